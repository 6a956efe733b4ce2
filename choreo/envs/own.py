"""A user's own `Environment`: held to its spec, its errors told as those of a simulator are."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from choreo.envs.base import Environment, TimeStep
from choreo.envs.foreign import Foreign, close
from choreo.envs.spaces import RESERVED, ArraySpec
from choreo.errors import EnvironmentMismatch, NotFinite
from choreo.schema import in_words


class OwnEnvironment(Environment):
    """The environment inside, with every time step compared with its spec.

    Raises `EnvironmentMismatch` where a step is not what the spec says, and `EnvironmentFailed`
    where the code raises an error.
    """

    def __init__(self, id: str, inner: Environment) -> None:
        self.inner, self.spec = inner, inner.spec
        self._id, self._foreign = id, Foreign(id)
        self._steps = 0
        for key in self.spec.observations:
            if key in RESERVED or not key:
                raise EnvironmentMismatch(
                    f"{id} calls an observation '{key}', which is the name of another field of a"
                    " step. Give it another name."
                )

    def reset(self, seed: int) -> TimeStep:
        self._steps = 0
        with self._foreign("on reset"):
            return self._checked(self.inner.reset(seed))

    def step(self, action: np.ndarray) -> TimeStep:
        self._steps += 1
        with self._foreign(self._steps):
            return self._checked(self.inner.step(action))

    def coordinates(self) -> np.ndarray:
        with self._foreign("when asked for its coordinates"):
            found = np.asarray(self.inner.coordinates(), np.float64)
        if found.shape != (len(self.spec.coordinates),):
            raise EnvironmentMismatch(
                f"{self._id} gives coordinates of shape {list(found.shape)}; its spec names "
                f"{len(self.spec.coordinates)} of them."
            )
        return found

    def render(self, height: int, width: int) -> np.ndarray:
        with self._foreign("while it was drawn"):
            return self.inner.render(height, width)

    def physics_state(self) -> np.ndarray | None:
        with self._foreign("when asked for its state"):
            return self.inner.physics_state()

    def reward_at(self, physics: np.ndarray, action: np.ndarray) -> tuple[float, bool]:
        with self._foreign("when asked for a reward"):
            return self.inner.reward_at(physics, action)

    def set_observed(self, observation: Mapping[str, np.ndarray]) -> bool:
        with self._foreign("when put into a state"):
            return self.inner.set_observed(observation)

    def set_goal(self, goal: np.ndarray | None) -> None:
        with self._foreign("when given a goal"):
            self.inner.set_goal(goal)

    def close(self) -> None:
        close(self._foreign, self.inner.close)

    def _checked(self, step: TimeStep) -> TimeStep:
        declared = self.spec.observations
        if step.observation.keys() != declared.keys():
            raise EnvironmentMismatch(
                f"{self._id} shows {in_words(sorted(step.observation))}; its spec names "
                f"{in_words(sorted(declared))}."
            )
        for key, array in declared.items():
            self._check_array(key, step.observation[key], array)
        if not np.isfinite(step.reward):
            raise NotFinite(f"{self._id}: the reward is {step.reward} in step {self._steps}")
        return step

    def _check_array(self, key: str, found: Any, declared: ArraySpec) -> None:
        shape, dtype = np.shape(found), getattr(found, "dtype", type(found).__name__)
        if shape != declared.shape or dtype != declared.dtype:
            raise EnvironmentMismatch(
                f"{self._id}: the observation '{key}' is {dtype}{list(shape)}; its spec says"
                f" {declared}."
            )
        if dtype == np.float32 and not np.isfinite(found).all():
            raise NotFinite(
                f"{self._id}: the observation '{key}' is not finite in step {self._steps}"
            )
