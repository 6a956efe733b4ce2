"""How well the world model predicts without looking, against "nothing changes"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from choreo.agent import Agent
from choreo.evaluation.rollouts import Episode
from choreo.world_model import Batch

HORIZONS = (1, 5, 15, 45)
CONTEXT = 15  # steps the model sees before it predicts [ours]
LEAST_VARIANCE = 1e-6  # dimensions that vary less are constant, and left out [ours]


@dataclass(frozen=True)
class ModelError:
    """Normalised squared errors by predictor, each (H,) for 1 to H steps ahead.

    1 is the error of always predicting the mean of all states.
    """

    errors: dict[str, np.ndarray]
    sequences: int
    left_out: int
    """Observation dimensions that (nearly) never change."""

    def to_json(self) -> dict[str, Any]:
        """Plain values at 1, 5, 15 and 45 steps; null where episodes are too short."""
        picked = {name: [_at(curve, h) for h in HORIZONS] for name, curve in self.errors.items()}
        counts = {"sequences": self.sequences, "constant_dimensions": self.left_out}
        return {"horizons": list(HORIZONS), "context": CONTEXT, **picked, **counts}


def measure_model_error(
    agents: Mapping[str, Agent], episodes: Sequence[Episode], variance: np.ndarray, seed: int
) -> ModelError | None:
    """Open-loop errors of every agent's model, and of "nothing changes", on the same episodes.

    A model sees 15 steps and then only the actions of the next 45. Squared errors are divided by
    `variance` (D,), that of each observation dimension. None when all episodes are too short.
    """
    ahead = min(max(HORIZONS), max(episode.length for episode in episodes) + 1 - CONTEXT)
    windows = _windows(episodes, CONTEXT + ahead) if ahead > 0 else []
    if not windows:
        return None
    data = {key: np.stack([window[key] for window in windows]) for key in windows[0]}
    varies = variance > LEAST_VARIANCE
    errors = {
        name: _error(*_predict(agent, data, seed), variance, varies)
        for name, agent in agents.items()
    }
    seen, truth = _nothing_changes(next(iter(agents.values())), data)
    errors["nothing_changes"] = _error(seen, truth, variance, varies)
    return ModelError(errors, len(windows), int((~varies).sum()))


def _windows(episodes: Sequence[Episode], length: int) -> list[dict[str, np.ndarray]]:
    """Sequences of `length` steps, end to end, in the form of replay: the action led here."""
    windows = []
    for episode in episodes:
        before = np.zeros_like(episode.actions[:1])
        actions = np.concatenate([before, episode.actions])  # (T + 1, A)
        for start in range(0, len(actions) - length + 1, length):
            part = slice(start, start + length)
            window = {key: value[part] for key, value in episode.observations.items()}
            windows.append({**window, "action": actions[part]})
    return windows


def _batch(agent: Agent, data: Mapping[str, np.ndarray]) -> Batch:
    tensors = {key: torch.as_tensor(value).to(agent.device) for key, value in data.items()}
    shape = tensors["action"].shape[:2]
    flags = torch.zeros(shape, dtype=torch.bool, device=agent.device)
    first = flags.clone()
    first[:, 0] = True
    reward = torch.zeros(shape, device=agent.device)
    tensors |= {"is_first": first, "is_terminal": flags, "reward": reward}
    return Batch.from_tensors(tensors, list(agent.spec.observations))


def _flat(observation: Mapping[str, Tensor]) -> np.ndarray:
    """All keys as one vector per step, (B, T, D)."""
    return torch.cat([value.flatten(2) for value in observation.values()], -1).cpu().numpy()


def _predict(
    agent: Agent, data: Mapping[str, np.ndarray], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The model's predictions and the truth, both (B, H, D)."""
    batch = _batch(agent, data)
    generator = torch.Generator(agent.device).manual_seed(seed)
    predicted = agent.world_model.open_loop(batch, CONTEXT, generator)
    ordered = {key: predicted[key] for key in batch.observation}
    return _flat(ordered), _flat(batch.observation)[:, CONTEXT:]


def _nothing_changes(agent: Agent, data: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The last state seen, and the truth (B, H, D)."""
    observation = _flat(_batch(agent, data).observation)
    return observation[:, CONTEXT - 1 : CONTEXT], observation[:, CONTEXT:]


def _error(
    predicted: np.ndarray, truth: np.ndarray, variance: np.ndarray, varies: np.ndarray
) -> np.ndarray:
    """Mean over sequences and varying dimensions of the normalised squared error, (H,)."""
    squared = (predicted.astype(np.float64) - truth) ** 2
    return (squared[..., varies] / variance[varies]).mean((0, 2))


def _at(curve: np.ndarray, horizon: int) -> float | None:
    return float(curve[horizon - 1]) if horizon <= len(curve) else None
