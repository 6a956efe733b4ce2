"""Which skill a meta-controller chose over time, and how often."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from choreo.evaluation.episode import Episode


@dataclass(frozen=True)
class Choices:
    """The skill of every step of some episodes, each (T,), and the number of skills."""

    chosen: list[np.ndarray]
    skills: int

    @property
    def share(self) -> np.ndarray:
        """Share of all steps that each skill acted, (K,)."""
        counts = np.bincount(np.concatenate(self.chosen), minlength=self.skills)
        return counts / counts.sum()

    @property
    def held(self) -> float:
        """Mean steps for which a choice stood."""
        runs = [len(_runs(chosen)) for chosen in self.chosen]
        return sum(map(len, self.chosen)) / sum(runs)

    @property
    def most_used(self) -> list[int]:
        """Skills that were chosen at all, the most frequent first."""
        order = np.argsort(-self.share, kind="stable")
        return [int(skill) for skill in order if self.share[skill] > 0]

    def to_json(self) -> dict[str, Any]:
        """Plain values; `over_time` has [skill, steps] for each stretch of every episode."""
        return {
            "share": self.share.tolist(),
            "mean_steps_held": self.held,
            "over_time": [_runs(chosen) for chosen in self.chosen],
        }


def measure_choices(episodes: Sequence[Episode], skills: int) -> Choices | None:
    """What the meta-controller chose in these episodes; None where there was no choice."""
    chosen = [episode.choices for episode in episodes if episode.choices.size]
    return Choices(chosen, skills) if chosen else None


def _runs(chosen: np.ndarray) -> list[list[int]]:
    """[skill, steps] of every stretch of equal choices."""
    return [[int(skill), len(list(steps))] for skill, steps in groupby(chosen.tolist())]
