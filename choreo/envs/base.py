"""The one interface that every environment has."""

import abc
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from choreo.envs.spaces import EnvSpec
from choreo.errors import UsageError


@dataclass(slots=True)
class TimeStep:
    """What one reset or agent step gave.

    `observation` holds one array per key of `EnvSpec.observations`; `reward` is summed over the
    action repeat and 0 on reset. An episode cut by a time limit has `is_last` and not
    `is_terminal`.
    """

    observation: dict[str, np.ndarray]
    reward: float
    is_first: bool
    is_last: bool
    is_terminal: bool


class Environment(abc.ABC):
    """An environment at the pace of the agent: actions in [-1, 1], one key per observation.

    `reset(seed)` fully determines what follows: the same seed and the same actions give bitwise
    the same `TimeStep`s, after any other episodes and in any process. Resume relies on it.
    """

    spec: EnvSpec

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of observations that the simulator has and this environment does not show."""
        return ()

    @abc.abstractmethod
    def reset(self, seed: int) -> TimeStep:
        """Start an episode that `seed` (0 <= seed < 2**63) determines."""

    @abc.abstractmethod
    def step(self, action: np.ndarray) -> TimeStep:
        """Act with `action` (A,) in [-1, 1] for `spec.action_repeat` frames or to the end.

        Raises `NotFinite` when the simulator gives NaN or infinity, `ValueError` for an action
        of another shape or outside [-1, 1] by more than 1e-5, or without an open episode.
        """

    @abc.abstractmethod
    def coordinates(self) -> np.ndarray:
        """Return the values (C,) float64 that `spec.coordinates` names."""

    def joints_at_limits(self) -> float:
        """Return the share of limited joints within 1% of a limit or beyond; NaN if not known."""
        return math.nan

    @abc.abstractmethod
    def render(self, height: int, width: int) -> np.ndarray:
        """Draw the present state as uint8 (H, W, 3); raises `RendererUnavailable`."""

    def physics_state(self) -> np.ndarray | None:
        """Return the simulator's present state (P,) float64, None where it cannot be read.

        For MuJoCo: positions, velocities and activations, as dm_control orders them.
        """
        return None

    def reward_at(self, physics: np.ndarray, action: np.ndarray) -> tuple[float, bool]:
        """Return reward and termination of the frame that reached a state (P,) by an action (A,).

        The open episode is lost. Raises `UsageError` where a state does not tell the reward.
        """
        raise UsageError(
            f"the rewards of {self.spec.id} cannot be computed from recorded physics states; those"
            " of dm_control can. Give a task such as walker_run"
        )

    def set_observed(self, observation: Mapping[str, np.ndarray]) -> bool:
        """Put the simulator into the state that a raw observation, by key, tells.

        `coordinates` and `render` then show that state, with NaN for coordinates that are not
        told; the open episode is lost. Returns False, and nothing is changed, where observations
        of this environment do not tell its state.
        """
        return False

    def set_goal(self, goal: np.ndarray | None) -> None:
        """Give the episodes that begin from now on this goal; None draws one from the seed again.

        Raises `UsageError` where goals cannot be given.
        """
        raise UsageError(
            f"{self.spec.id} takes no goals; those of Meta-World (mw_reach) do. Leave the goals out"
        )

    @abc.abstractmethod
    def close(self) -> None:
        """Free the simulator; a second call does nothing."""
