"""What the codebook says of states: whether skills reach their own code, and which are used."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch

from choreo.agent import Agent
from choreo.evaluation.episode import Episode
from choreo.replay import Replay
from choreo.world_model import Batch

SKIPPED = 50  # steps that a skill has to get where it belongs; they are not counted
ASSIGNMENTS = 10_000
SEQUENCE = 50  # steps over which the model filters replay, as in training [paper]
BATCH = 50


def hit_rate(episodes: Sequence[Episode], skipped: int = SKIPPED) -> float | None:
    """Share of steps, after the first `skipped`, whose nearest code is the commanded skill.

    None when no episode is that long.
    """
    hits = [episode.codes[skipped + 1 :] == episode.skill for episode in episodes]
    joined = np.concatenate(hits) if hits else np.zeros(0)
    return float(joined.mean()) if joined.size else None


def hit_matrix(episodes: Sequence[Episode], skills: int, skipped: int = SKIPPED) -> np.ndarray:
    """Share of the steps of every commanded skill (row) spent at every code (column), (K, K)."""
    counts = np.zeros((skills, skills))
    for episode in episodes:
        counts[episode.skill] += np.bincount(episode.codes[skipped + 1 :], minlength=skills)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def hold_steps(episodes: Sequence[Episode], skills: int) -> list[float | None]:
    """How long each skill holds: its longest run of observations at its own code, (K,).

    Counted in agent steps, the mean over a skill's episodes; None for a skill without any.
    """
    runs: list[list[int]] = [[] for _ in range(skills)]
    for episode in episodes:
        if episode.skill is not None:
            at_home = groupby(episode.codes == episode.skill)
            longest = max((len(list(run)) for home, run in at_home if home), default=0)
            runs[episode.skill].append(longest)
    return [float(np.mean(own)) if own else None for own in runs]


@dataclass(frozen=True)
class CodeUse:
    """How often each code is the nearest one, (K,) counts."""

    counts: np.ndarray

    @property
    def used(self) -> float:
        """Share of the codes that are ever chosen."""
        return float((self.counts > 0).mean())

    @property
    def perplexity(self) -> float:
        """Exponential of the entropy: as many codes used evenly would look the same."""
        share = self.counts[self.counts > 0] / self.counts.sum()
        return float(np.exp(-(share * np.log(share)).sum()))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        total = int(self.counts.sum())
        return {"used": self.used, "perplexity": self.perplexity, "assignments": total}


def rollout_use(episodes: Sequence[Episode], codes: int) -> CodeUse:
    """Use of the codes over the last 10,000 steps of episodes."""
    chosen = np.concatenate([episode.codes[1:] for episode in episodes])[-ASSIGNMENTS:]
    return CodeUse(np.bincount(chosen, minlength=codes))


def replay_use(agent: Agent, replay: Replay, seed: int) -> CodeUse | None:
    """Use of the codes over the posterior h of the last 10,000 recorded steps.

    The model filters sequences of 50 steps from its zero state, as in training. None for a replay
    that holds no such sequence.
    """
    generator = torch.Generator(agent.device).manual_seed(seed)
    chosen = [_assign(agent, data, generator) for data in _last_sequences(replay)]
    if not chosen:
        return None
    codes = np.concatenate(chosen)[:ASSIGNMENTS]
    return CodeUse(np.bincount(codes, minlength=agent.num_skills))


def _last_sequences(replay: Replay) -> Iterator[dict[str, np.ndarray]]:
    """Batches (B, 50, ...) of the newest sequences, newest first, at least 10,000 steps."""
    start, stop = replay.bounds()
    wanted = -(-ASSIGNMENTS // SEQUENCE)
    held = (stop - start) // SEQUENCE
    places = [
        (back, stream) for stream in range(replay.streams) for back in range(1, 1 + held[stream])
    ]
    places = sorted(places)[:wanted]
    for first in range(0, len(places), BATCH):
        backs, streams = np.array(places[first : first + BATCH]).T
        yield replay.gather(streams, stop[streams] - backs * SEQUENCE, SEQUENCE)


@torch.no_grad()
def _assign(agent: Agent, data: dict[str, np.ndarray], generator: torch.Generator) -> np.ndarray:
    tensors = {key: torch.as_tensor(value).to(agent.device) for key, value in data.items()}
    tensors["is_first"][:, 0] = True
    batch = Batch.from_tensors(tensors, list(agent.spec.observations))
    model = agent.world_model
    embed = model.embed(batch.observation)
    posterior, _ = model.rssm.observe(embed, batch.action, batch.is_first, generator)
    return agent.skills.nearest_code(posterior.deter).flatten().cpu().numpy()
