"""Several environments stepped one after the other in this process."""

import weakref
from collections.abc import Mapping

import numpy as np

from choreo.envs.base import Environment
from choreo.envs.vector.base import StepBatch, VectorEnv, common_spec, stack
from choreo.errors import UsageError


class SerialVector(VectorEnv):
    """Steps its environments one after the other in this process."""

    def __init__(self, environments: list[Environment]) -> None:
        if not environments:
            raise UsageError("a vector needs at least one environment")
        self._environments = environments
        self._finalizer = weakref.finalize(self, _close_all, environments)
        self.spec = common_spec([environment.spec for environment in environments])
        self.num = len(environments)
        self._sent: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def send(self, actions: np.ndarray, reset: np.ndarray, seeds: np.ndarray) -> None:
        self._sent = (np.array(actions, dtype=np.float32), np.array(reset), np.array(seeds))

    def receive(self) -> StepBatch:
        assert self._sent is not None, "send comes before receive"
        (actions, reset, seeds), self._sent = self._sent, None
        steps = []
        errors = []
        for index, environment in enumerate(self._environments):
            try:
                steps.append(
                    environment.reset(int(seeds[index]))
                    if reset[index]
                    else environment.step(actions[index])
                )
            except Exception as error:  # the others move on first, as they do in processes
                errors.append(error)
        if errors:
            raise errors[0]
        return stack(steps)

    def coordinates(self) -> np.ndarray:
        return np.stack([environment.coordinates() for environment in self._environments])

    def joints_at_limits(self) -> np.ndarray:
        return np.array([environment.joints_at_limits() for environment in self._environments])

    def render(self, index: int, height: int, width: int) -> np.ndarray:
        return self._environments[index].render(height, width)

    def set_observed(self, index: int, observation: Mapping[str, np.ndarray]) -> bool:
        return self._environments[index].set_observed(observation)

    def set_goal(self, index: int, goal: np.ndarray | None) -> None:
        self._environments[index].set_goal(goal)

    def close(self) -> None:
        self._finalizer()


def _close_all(environments: list[Environment]) -> None:
    for environment in environments:
        environment.close()
