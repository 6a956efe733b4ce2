"""Action bounds of recorded data, and actions scaled to [-1, 1] by them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from choreo.data.episode import ACTION, BadEpisode, EpisodeData

UNIT_TOLERANCE = 1e-6  # within [-1, 1] by this, actions are taken as scaled already [ours]
CARD_SAYS = "its card"  # origin of bounds of files whose card says that actions are scaled
EXTREMES = "the extremes of the actions"
TOLERANCE = 1e-5  # of the range, by which actions may pass declared bounds [as environments allow]


@dataclass(frozen=True)
class Bounds:
    """Lowest and highest actions, (A,) each, in the units of the environment."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    origin: str
    """Where they come from, in words."""

    @property
    def unit(self) -> bool:
        """Whether they are [-1, 1] in every dimension."""
        return set(self.low) == {-1.0} and set(self.high) == {1.0}

    def scale(self, actions: np.ndarray) -> np.ndarray:
        """Actions (..., A) as float32 in [-1, 1]; the rest is cut off."""
        low, high = np.array(self.low), np.array(self.high)
        if self.unit:
            return np.clip(actions, -1, 1).astype(np.float32)
        scaled = (actions.astype(np.float64) - low) / (high - low) * 2 - 1
        return np.clip(scaled, -1, 1).astype(np.float32)

    def unscale(self, actions: np.ndarray) -> np.ndarray:
        """Actions (..., A) in [-1, 1] as float32 in the units of the environment."""
        if self.unit:
            return actions
        low, high = np.array(self.low), np.array(self.high)
        own = low + (actions.astype(np.float64) + 1) / 2 * (high - low)
        return np.clip(own, low, high).astype(np.float32)

    def check(self, episode: EpisodeData) -> None:
        """Raises BadEpisode where an action is outside by more than rounding."""
        self.check_size(episode)
        actions = episode.steps[ACTION][1:]
        low, high = np.array(self.low), np.array(self.high)
        beyond = np.maximum(low - actions, actions - high) > TOLERANCE * (high - low)
        if not beyond.any():
            return
        row, dimension = np.argwhere(beyond)[0].tolist()
        raise BadEpisode(
            episode.origin,
            f"{beyond.any(1).sum()} of its actions are out of bounds, first "
            f"{actions[row, dimension]:.6g} in row {row + 1}, dimension {dimension}, where "
            f"{self.origin} declares {self.low[dimension]:.6g} to {self.high[dimension]:.6g}",
            "Scale them to [-1, 1]"
            if self.origin == CARD_SAYS
            else "Cut them off with `choreo data import SRC DST --clip`, make all smaller with "
            "--rescale, declare wider bounds with --spec",
        )

    def check_size(self, episode: EpisodeData) -> None:
        """Raises BadEpisode where actions have more or fewer values than the bounds."""
        size = episode.steps[ACTION].shape[1]
        if size != len(self.low):
            raise BadEpisode(
                episode.origin,
                f"its actions have {size} values, and the bounds {len(self.low)}",
                "Give bounds that fit with --spec",
            )

    def widened(self, low: Sequence[float], high: Sequence[float]) -> "Bounds":
        """The same middle, and as wide as actions with these extremes (A,) need."""
        own = np.array([self.low, self.high])
        middle, half = own.mean(0), (own[1] - own[0]) / 2
        reach = np.maximum(np.abs(np.array(low) - middle), np.abs(np.array(high) - middle))
        half = np.maximum(half, reach)
        ends = ((middle - half).tolist(), (middle + half).tolist())
        return Bounds(tuple(ends[0]), tuple(ends[1]), self.origin)

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "low": list(self.low), "high": list(self.high)}


def unit_bounds(size: int, origin: str) -> Bounds:
    """[-1, 1] in `size` dimensions."""
    return Bounds((-1.0,) * size, (1.0,) * size, origin)


def observed_bounds(low: Sequence[float], high: Sequence[float]) -> Bounds:
    """Bounds from the extremes (A,) of all recorded actions.

    [-1, 1] when all are within, else the extremes themselves. A dimension that never moved gets
    a width of 2 around its value.
    """
    most = 1 + UNIT_TOLERANCE
    if all(-most <= a and b <= most for a, b in zip(low, high)):
        return unit_bounds(len(low), "actions within [-1, 1]")
    ends = [(a, b) if a < b else (a - 1, b + 1) for a, b in zip(low, high)]
    return Bounds(tuple(a for a, _ in ends), tuple(b for _, b in ends), EXTREMES)
