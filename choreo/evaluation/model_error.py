"""How well the world model predicts without looking, against "nothing changes"."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from choreo.agent import Agent
from choreo.evaluation.episode import Episode
from choreo.evaluation.windows import (
    CONTEXT,
    HORIZONS,
    IMAGE_WINDOWS,
    Window,
    batches,
    cut_windows,
    longest_run,
)
from choreo.world_model import Batch
from choreo.world_model.encoder import preprocess

LEAST_VARIANCE = 1e-6  # dimensions that vary less are constant, and left out [ours]

Curves = dict[str, np.ndarray]
"""Errors by part of the observations ("vectors", "images"), each (H,) for 1 to H steps ahead."""

Predict = Callable[[Batch], Mapping[str, Tensor]]
"""From a batch to the preprocessed observations after its context, each (B, H or 1, shape)."""


@dataclass(frozen=True)
class Spread:
    """Variances of the data, by which squared errors are divided.

    vectors: of each dimension of the vector observations, (D,); images: of a pixel on average over
    all pixels, 0 without images. In preprocessed units, in which an image spans 1.
    """

    vectors: np.ndarray
    images: float = 0.0

    @property
    def varies(self) -> np.ndarray:
        """Which dimensions of the vectors are not constant, (D,)."""
        return self.vectors > LEAST_VARIANCE


@dataclass(frozen=True)
class ModelError:
    """Normalised squared errors by predictor, each (H,) for 1 to H steps ahead.

    1 is the error of always predicting the mean of all states, or the mean image. Where there are
    vectors and images, `errors` is the mean of the two, and `parts` has them apart.
    """

    errors: Curves
    sequences: int
    left_out: int
    """Dimensions of the vectors that (nearly) never change."""
    parts: dict[str, Curves] = field(default_factory=dict)
    """By part of the observations: errors by predictor."""

    def to_json(self) -> dict[str, Any]:
        """Plain values at 1, 5, 15 and 45 steps; null where episodes are too short."""
        counts = {"sequences": self.sequences, "constant_dimensions": self.left_out}
        data = {"horizons": list(HORIZONS), "context": CONTEXT, **_picked(self.errors), **counts}
        if len(self.parts) > 1:
            data |= {part: _picked(curves) for part, curves in self.parts.items()}
        return data


def measure_spread(episodes: Sequence[Episode]) -> Spread:
    """Variances over all steps of the episodes, of images over those that were kept."""
    vectors = np.concatenate([episode.vectors() for episode in episodes]).var(0)
    return Spread(vectors, _image_variance(episodes))


def _image_variance(episodes: Sequence[Episode]) -> float:
    """Variance of a pixel over all kept images, averaged over pixels and keys; 0 without any."""
    count, total, square = 0, np.zeros(0), np.zeros(0)
    for episode in episodes:
        if not len(episode.image_steps):
            continue
        flat = [value.reshape(len(value), -1) for value in episode.images.values()]
        pixels = np.concatenate(flat, axis=1).astype(np.float32) / 255 - 0.5
        count += len(pixels)
        total = pixels.sum(0, dtype=np.float64) + (total if total.size else 0)
        square = np.square(pixels).sum(0, dtype=np.float64) + (square if square.size else 0)
    return float((square / count - (total / count) ** 2).mean()) if count else 0.0


def measure_model_error(
    agents: Mapping[str, Agent], episodes: Sequence[Episode], spread: Spread, seed: int
) -> ModelError | None:
    """Open-loop errors of every agent's model, and of "nothing changes", on the same episodes.

    A model sees 15 steps and then only the actions of the next 45. Squared errors are divided by
    the data's variance: by that of each dimension for vectors; for images, the squared errors of
    all pixels together by the variances of all pixels together, so that pixels which hardly ever
    change do not outweigh the others. At most 32 sequences of images are used. None when all
    episodes are too short.
    """
    ahead = min(max(HORIZONS), longest_run(episodes) - CONTEXT)
    windows = cut_windows(episodes, CONTEXT + ahead) if ahead > 0 else []
    if not windows:
        return None
    if episodes[0].thumbnails:
        windows = _spread_out(windows, IMAGE_WINDOWS)
    parts = {
        name: _errors(agent, windows, spread, _open_loop(agent, seed))
        for name, agent in agents.items()
    }
    parts["nothing_changes"] = _errors(
        next(iter(agents.values())), windows, spread, _nothing_changes
    )
    means = {name: np.mean(list(curves.values()), axis=0) for name, curves in parts.items()}
    by_part = {part: {n: c[part] for n, c in parts.items()} for part in parts["nothing_changes"]}
    return ModelError(means, len(windows), int((~spread.varies).sum()), by_part)


def _spread_out(windows: list[Window], most: int) -> list[Window]:
    """At most `most` windows, evenly spaced."""
    places = np.linspace(0, len(windows) - 1, min(len(windows), most)).round().astype(np.int64)
    return [windows[place] for place in places]


def _open_loop(agent: Agent, seed: int) -> Predict:
    generator = torch.Generator(agent.device).manual_seed(seed)
    return lambda batch: agent.world_model.open_loop(batch, CONTEXT, generator)


def _nothing_changes(batch: Batch) -> dict[str, Tensor]:
    """The last state seen, for every step."""
    return preprocess({k: v[:, CONTEXT - 1 : CONTEXT] for k, v in batch.observation.items()})


def _errors(agent: Agent, windows: Sequence[Window], spread: Spread, predict: Predict) -> Curves:
    """Normalised squared errors of one predictor, each part's mean over sequences, (H,)."""
    images = [key for key in agent.spec.observations if key in agent.spec.images]
    vectors = [key for key in agent.spec.observations if key not in images]
    found: dict[str, list[np.ndarray]] = {"vectors": [], "images": []}
    for batch in batches(agent, windows):
        predicted = predict(batch)
        truth = preprocess({key: value[:, CONTEXT:] for key, value in batch.observation.items()})
        if vectors:
            found["vectors"].append(_vector_error(predicted, truth, vectors, spread))
        if images:
            found["images"].append(_image_error(predicted, truth, images, spread))
    return {part: _mean(errors) for part, errors in found.items() if errors}


def _vector_error(
    predicted: Mapping[str, Tensor], truth: Mapping[str, Tensor], keys: list[str], spread: Spread
) -> np.ndarray:
    """Squared errors of the varying dimensions over their variance, (B, H, D)."""
    guess, right = (_flat(values, keys).astype(np.float64) for values in (predicted, truth))
    return ((guess - right) ** 2)[..., spread.varies] / spread.vectors[spread.varies]


def _image_error(
    predicted: Mapping[str, Tensor], truth: Mapping[str, Tensor], keys: list[str], spread: Spread
) -> np.ndarray:
    """Mean squared error of all pixels over the mean variance of all, (B, H, 1)."""
    squares = [(predicted[key] - truth[key]).square().flatten(2) for key in keys]
    mean = torch.cat(squares, -1).double().mean(-1, keepdim=True).cpu().numpy()
    return mean / max(spread.images, LEAST_VARIANCE)


def _flat(observation: Mapping[str, Tensor], keys: list[str]) -> np.ndarray:
    """Vectors as one per step, (B, T, D)."""
    return torch.cat([observation[key].flatten(2) for key in keys], -1).cpu().numpy()


def _mean(errors: list[np.ndarray]) -> np.ndarray:
    """Mean over all sequences and dimensions of (B, H, D) arrays, (H,)."""
    joined = errors[0] if len(errors) == 1 else np.concatenate(errors)
    return joined.mean((0, 2))


def _picked(curves: Curves) -> dict[str, list[float | None]]:
    return {name: [_at(curve, h) for h in HORIZONS] for name, curve in curves.items()}


def _at(curve: np.ndarray, horizon: int) -> float | None:
    return float(curve[horizon - 1]) if horizon <= len(curve) else None
