"""What a family of environments provides: one simulator in its own units and at its own pace."""

import abc
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from choreo.envs.spaces import ArraySpec


class Frame(NamedTuple):
    """What one control step of a simulator gave, apart from the observation."""

    reward: float
    is_last: bool
    is_terminal: bool


class Diverged(Exception):
    """The simulator itself found NaN, infinity or a speed beyond all bounds in its state."""


class Simulator(abc.ABC):
    """One simulator in its own units and at its own pace; each family of environments has one.

    `frame_limit` is its own time limit in frames and `frame_seconds` the simulated time of one;
    both are None when unknown. `cameras` are the names that `render` takes, in the order of their
    indices, and `default_camera` the one that shows it best; none and None where there is one view
    only.
    """

    observations: dict[str, ArraySpec]
    action_low: np.ndarray
    action_high: np.ndarray
    frame_limit: int | None
    frame_seconds: float | None
    coordinate_names: tuple[str, ...]
    cameras: tuple[str, ...] = ()
    default_camera: str | None = None

    @abc.abstractmethod
    def reset(self, seed: int) -> None:
        """Start an episode that the seed alone determines."""

    @abc.abstractmethod
    def step(self, action: np.ndarray) -> Frame:
        """Advance one frame with an action (A,) float64 within the simulator's own bounds.

        Raises `Diverged` when the simulator's state has become meaningless.
        """

    @abc.abstractmethod
    def observe(self) -> dict[str, np.ndarray]:
        """Return freshly allocated arrays as `observations` describes them."""

    @abc.abstractmethod
    def coordinates(self) -> np.ndarray:
        """Return the values (C,) float64 that `coordinate_names` names."""

    def joints_at_limits(self) -> float:
        """See `Environment.joints_at_limits`."""
        return math.nan

    def camera_number(self, name: str) -> int:
        """Return the index of a camera given by name, or by index in digits."""
        return self.cameras.index(name) if name in self.cameras else int(name)

    @abc.abstractmethod
    def render(self, height: int, width: int, camera: str | None = None) -> np.ndarray:
        """Draw the present state as uint8 (H, W, 3), perhaps a view of other memory order.

        `camera` is a name or an index in digits; None is the default. Drawing changes no state.
        Raises `RendererUnavailable`.
        """

    def find_upside_down(self, camera: str | None = None) -> str | None:
        """Say in a sentence how the picture is upside down; None when it is not or none can tell.

        Changes no state. Needs an open episode.
        """
        return None

    def set_goal(self, goal: np.ndarray | None) -> bool:
        """Take a goal for the episodes to come, None for a drawn one; False where there is none."""
        return False

    def physics_state(self) -> np.ndarray | None:
        """Return the present state (P,) float64, None where it cannot be read."""
        return None

    def reward_at(self, physics: np.ndarray, action: np.ndarray) -> tuple[float, bool] | None:
        """See `Environment.reward_at`, with an action in own units; None where it cannot be."""
        return None

    def set_observed(self, observation: Mapping[str, np.ndarray]) -> bool:
        """See `Environment.set_observed`; coordinates that are not told become NaN."""
        return False

    @abc.abstractmethod
    def close(self) -> None:
        """Free the simulator; a second call does nothing."""
