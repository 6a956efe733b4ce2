"""Ranges and means of recorded arrays, gathered in one pass."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from choreo.data.episode import ACTION, REWARD, EpisodeData
from choreo.data.reading import FLAGS


@dataclass
class Extent:
    """Range, sum and count of all finite numbers of one array, and the count of the others."""

    low: float = math.inf
    high: float = -math.inf
    total: float = 0.0
    count: int = 0
    not_finite: int = 0

    def add(self, values: np.ndarray) -> None:
        """Take in more numbers, of any shape."""
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            if not finite.all():
                self.not_finite += int(values.size - finite.sum())
                values = values[finite]
        if values.size:
            self.low = min(self.low, float(values.min()))
            self.high = max(self.high, float(values.max()))
            self.total += float(values.sum(dtype=np.float64))
            self.count += values.size

    def summary(self) -> dict[str, float | None]:
        """Minimum, maximum, mean and the share of numbers that are NaN or infinite."""
        share = self.not_finite / max(1, self.count + self.not_finite)
        if not self.count:
            return {"min": None, "max": None, "mean": None, "nan": share}
        return {
            "min": self.low,
            "max": self.high,
            "mean": self.total / self.count,
            "nan": share,
        }


@dataclass
class Statistics:
    """What is known of the episodes seen so far; a constant amount of memory."""

    episodes: int = 0
    steps: int = 0
    terminated: int = 0
    shortest: int | None = None
    longest: int = 0
    extents: dict[str, Extent] = field(default_factory=dict)
    action_low: list[float] = field(default_factory=list)
    action_high: list[float] = field(default_factory=list)
    returns: Extent = field(default_factory=Extent)
    notes: dict[str, int] = field(default_factory=dict)

    def add(self, episode: EpisodeData) -> None:
        """Take in an episode whose actions are as they were recorded."""
        length = len(episode)
        self.episodes += 1
        self.steps += length
        self.terminated += int(episode.steps["is_terminal"][-1])
        self.shortest = length if self.shortest is None else min(self.shortest, length)
        self.longest = max(self.longest, length)
        for name, values in episode.steps.items():
            if name not in FLAGS:
                rows = values[1:] if name in (ACTION, REWARD) else values
                self.extents.setdefault(name, Extent()).add(rows)
        self.returns.add(episode.steps[REWARD].sum(dtype=np.float64, keepdims=True))
        self._add_actions(episode.steps[ACTION][1:])
        for note in episode.notes:
            self.notes[note] = self.notes.get(note, 0) + 1

    def _add_actions(self, actions: np.ndarray) -> None:
        finite = np.isfinite(actions)
        low = np.where(finite, actions, np.inf).min(0).astype(np.float64)
        high = np.where(finite, actions, -np.inf).max(0).astype(np.float64)
        if self.action_low and len(self.action_low) == len(low):
            low, high = np.minimum(low, self.action_low), np.maximum(high, self.action_high)
        self.action_low, self.action_high = low.tolist(), high.tolist()

    def summary(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "episodes": self.episodes,
            "steps": self.steps,
            "terminated": self.terminated,
            "lengths": {
                "min": self.shortest,
                "max": self.longest,
                "mean": self.steps / max(1, self.episodes),
            },
            "returns": self.returns.summary(),
            "ranges": {name: extent.summary() for name, extent in sorted(self.extents.items())},
            "notes": dict(sorted(self.notes.items())),
        }

    def to_json(self) -> dict[str, Any]:
        """Everything that `from_json` needs; floating-point numbers come back exactly."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> "Statistics":
        """The statistics that `to_json` wrote."""
        extents = {name: Extent(**extent) for name, extent in state["extents"].items()}
        return cls(**{**state, "extents": extents, "returns": Extent(**state["returns"])})
