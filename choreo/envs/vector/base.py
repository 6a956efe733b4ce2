"""What every vector of environments is: one batch a step, one interface, one common spec."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from choreo.envs.base import TimeStep
from choreo.envs.spaces import EnvSpec
from choreo.errors import EnvironmentMismatch


@dataclass(slots=True)
class StepBatch:
    """One time step of N environments: `observation[key]` (N, ...), reward (N,) float32."""

    observation: dict[str, np.ndarray]
    reward: np.ndarray
    is_first: np.ndarray
    is_last: np.ndarray
    is_terminal: np.ndarray


class VectorEnv(abc.ABC):
    """N equal environments with one `step`; use it in a `with` block or call `close`."""

    spec: EnvSpec
    num: int

    def step(self, actions: np.ndarray, reset: np.ndarray, seeds: np.ndarray) -> StepBatch:
        """Reset environment i with seeds[i] where reset[i], else step it with actions[i].

        `actions` (N, A) float32 in [-1, 1], `reset` (N,) bool, `seeds` (N,) int64. Every
        environment moves before an error of one is raised.
        """
        self.send(actions, reset, seeds)
        return self.receive()

    @abc.abstractmethod
    def send(self, actions: np.ndarray, reset: np.ndarray, seeds: np.ndarray) -> None:
        """Begin a `step`; environments in processes of their own move while the caller goes on."""

    @abc.abstractmethod
    def receive(self) -> StepBatch:
        """Return what the step begun by `send` gave; nothing else may be asked in between."""

    @abc.abstractmethod
    def set_goal(self, index: int, goal: np.ndarray | None) -> None:
        """Give environment `index` a goal, see `Environment.set_goal`."""

    @abc.abstractmethod
    def coordinates(self) -> np.ndarray:
        """Return the named state coordinates (N, C) float64."""

    def joints_at_limits(self) -> np.ndarray:
        """Return the share of limited joints at a limit (N,), NaN where it is not known."""
        return np.full(self.num, np.nan)

    @abc.abstractmethod
    def render(self, index: int, height: int, width: int) -> np.ndarray:
        """Draw environment `index` as uint8 (H, W, 3)."""

    def set_observed(self, index: int, observation: Mapping[str, np.ndarray]) -> bool:
        """Put environment `index` into a state, see `Environment.set_observed`."""
        return False

    @abc.abstractmethod
    def close(self) -> None:
        """Free all environments; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def common_spec(specs: list[EnvSpec]) -> EnvSpec:
    """Return the spec that all environments of a vector share.

    Raises `EnvironmentMismatch` where one shows or takes something else.
    """
    for index, spec in enumerate(specs):
        differences = specs[0].compatible_with(spec)
        if differences:
            raise EnvironmentMismatch(
                f"environments stepped together must be alike, and environment {index} differs from"
                f" environment 0: {' '.join(differences)} Make them alike, or use one environment."
            )
    return specs[0]


def stack(steps: list[TimeStep]) -> StepBatch:
    """Return the time steps of N environments as one batch of fresh arrays."""
    return StepBatch(
        observation={
            key: np.stack([step.observation[key] for step in steps]) for key in steps[0].observation
        },
        reward=np.array([step.reward for step in steps], dtype=np.float32),
        is_first=np.array([step.is_first for step in steps], dtype=bool),
        is_last=np.array([step.is_last for step in steps], dtype=bool),
        is_terminal=np.array([step.is_terminal for step in steps], dtype=bool),
    )
