"""The agent's pace over a simulator's: action repeat, scaling, time limit and finiteness."""

import logging
import math
from collections.abc import Mapping
from copy import deepcopy

import numpy as np

from choreo.envs.base import Environment, TimeStep
from choreo.envs.foreign import Foreign, close
from choreo.envs.rendering.view import View
from choreo.envs.simulators.base import Diverged, Frame, Simulator
from choreo.envs.spaces import EnvSpec
from choreo.errors import EnvironmentMismatch, NotFinite, UsageError

log = logging.getLogger(__name__)

_ACTION_TOLERANCE = 1e-5
_MOST_DIVERGED = 3  # episodes in a row whose simulation diverges: then it is no accident [ours]


class SimulatedEnvironment(Environment):
    """An `Environment` over a `Simulator`.

    `time_limit` (agent steps) cuts an episode that the simulator has not ended before; `view` is
    what the agent sees, the simulator's own observations unless given.

    An episode whose simulation diverges is cut there: its last observation comes once more, with no
    reward for the step, and a warning is logged. The third such episode in a row raises NotFinite.
    """

    def __init__(
        self,
        id: str,
        simulator: Simulator,
        action_repeat: int = 1,
        time_limit: int | None = None,
        view: View | None = None,
    ) -> None:
        low, high = simulator.action_low, simulator.action_high
        _check_bounds(id, low, high)
        _check_positive("action_repeat", action_repeat)
        if time_limit is not None:
            _check_positive("time_limit", time_limit)
        self.simulator = simulator
        self._foreign = Foreign(id)
        self._view = View(id, simulator) if view is None else view
        self._repeat = action_repeat
        self._time_limit = time_limit
        self._middle = (high + low) / 2
        self._scale = (high - low) / 2
        self._low, self._high = low, high
        self._steps = 0
        self._open = False
        self._seen: dict[str, np.ndarray] = {}
        self._diverged, self._lost = 0, False  # how many in a row, and whether this one is
        self.spec = _make_spec(id, simulator, self._view, action_repeat, time_limit)

    @property
    def left_out(self) -> tuple[str, ...]:
        return tuple(k for k in self.simulator.observations if k not in self.spec.observations)

    def reset(self, seed: int) -> TimeStep:
        if not 0 <= seed < 2**63:
            raise ValueError(f"a seed is at least 0 and below 2**63, got {seed}")
        self._steps, self._open = 0, False
        self._diverged = self._diverged if self._lost else 0
        self._lost = False
        with self._foreign("on reset"):
            self.simulator.reset(seed)
            observation = self._view.observe()
        self._open, self._seen = True, observation
        self._check_finite(observation, 0.0, None)
        return TimeStep(observation, 0.0, True, False, False)

    def step(self, action: np.ndarray) -> TimeStep:
        own_action = self._to_own_units(action)
        if not self._open:
            raise ValueError(f"{self.spec.id}: no open episode; call reset(seed) before step")
        self._steps += 1
        self._open = False
        with self._foreign(self._steps):
            reward, is_last, is_terminal = self._repeat_frames(own_action, action)
            observation = deepcopy(self._seen) if self._lost else self._view.observe()
        self._check_finite(observation, reward, action)
        self._seen = observation
        is_last = is_last or self._steps == self._time_limit
        self._open = not is_last
        return TimeStep(observation, reward, False, is_last, is_terminal)

    def coordinates(self) -> np.ndarray:
        return self.simulator.coordinates()

    def joints_at_limits(self) -> float:
        return self.simulator.joints_at_limits()

    def render(self, height: int, width: int) -> np.ndarray:
        with self._foreign("while it was drawn"):
            return np.ascontiguousarray(self.simulator.render(height, width))

    def find_upside_down(self) -> list[str]:
        """Say in a sentence for each camera shown how its picture is upside down, if it is.

        Needs an open episode and changes nothing in it.
        """
        found = [self.simulator.find_upside_down(camera) for camera in self._view.drawn]
        return [sentence for sentence in found if sentence is not None]

    def set_goal(self, goal: np.ndarray | None) -> None:
        if not self.simulator.set_goal(goal):
            super().set_goal(goal)

    def physics_state(self) -> np.ndarray | None:
        return self.simulator.physics_state()

    def reward_at(self, physics: np.ndarray, action: np.ndarray) -> tuple[float, bool]:
        self._open = False
        if self._repeat != 1:
            raise UsageError(
                f"{self.spec.id} sums its reward over {self._repeat} frames, and one state tells"
                " the reward of one frame only; make it with action_repeat=1"
            )
        found = self.simulator.reward_at(physics, self._to_own_units(action))
        return super().reward_at(physics, action) if found is None else found

    def set_observed(self, observation: Mapping[str, np.ndarray]) -> bool:
        self._open = False
        return self.simulator.set_observed(observation)

    def close(self) -> None:
        self._open = False
        close(self._foreign, self.simulator.close)

    def _repeat_frames(self, own_action: np.ndarray, action: np.ndarray) -> Frame:
        total = 0.0
        is_last = is_terminal = False
        for _ in range(self._repeat):
            try:
                reward, is_last, is_terminal = self.simulator.step(own_action)
            except Diverged as error:
                self._lose(self._describe(f"the simulation diverged ({error})", action))
                return Frame(0.0, True, False)
            total += reward
            if is_last:
                break
        return Frame(total, is_last, is_terminal)

    def _lose(self, text: str) -> None:
        self._diverged, self._lost = self._diverged + 1, True
        if self._diverged >= _MOST_DIVERGED:
            raise NotFinite(f"{text}, as in the {self._diverged - 1} episodes before")
        log.warning("%s; the episode is cut there", text)

    def _to_own_units(self, action: np.ndarray) -> np.ndarray:
        if np.shape(action) != self._scale.shape:
            raise ValueError(
                f"{self.spec.id} takes actions of shape {self._scale.shape}, got {np.shape(action)}"
            )
        largest = np.abs(action).max()
        if not largest <= 1 + _ACTION_TOLERANCE:  # also true for NaN
            raise ValueError(
                f"{self.spec.id}: actions lie in [-1, 1], got {np.asarray(action).tolist()}"
            )
        own = self._scale * action
        own += self._middle
        return np.minimum(np.maximum(own, self._low, out=own), self._high, out=own)

    def _check_finite(
        self, observation: dict[str, np.ndarray], reward: float, action: np.ndarray | None
    ) -> None:
        if not math.isfinite(reward):
            self._open = False
            raise NotFinite(self._describe(f"the reward is {reward}", action))
        for key, array in observation.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                self._open = False
                index = int(np.flatnonzero(~np.isfinite(array))[0])
                text = f"the observation '{key}' is {array.flat[index]} at index {index}"
                raise NotFinite(self._describe(text, action))

    def _describe(self, text: str, action: np.ndarray | None) -> str:
        when = "on reset" if action is None else f"after action {np.asarray(action).tolist()}"
        return f"{self.spec.id}: {text} in step {self._steps} of the episode, {when}"


def _make_spec(
    id: str, simulator: Simulator, view: View, action_repeat: int, time_limit: int | None
) -> EnvSpec:
    limits = [time_limit] if time_limit is not None else []
    if simulator.frame_limit is not None:
        limits.append(math.ceil(simulator.frame_limit / action_repeat))
    seconds = simulator.frame_seconds
    return EnvSpec(
        id=id,
        observations=view.observations,
        action_size=len(simulator.action_low),
        action_low=tuple(simulator.action_low.tolist()),
        action_high=tuple(simulator.action_high.tolist()),
        action_repeat=action_repeat,
        episode_steps=min(limits, default=None),
        coordinates=simulator.coordinate_names,
        step_seconds=None if seconds is None else seconds * action_repeat,
        obs=view.obs,
        cameras=view.cameras,
        keys=view.keys,
        image_size=view.size,
    )


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise UsageError(f"{name} is a whole number of at least 1, got {value}")


def _check_bounds(id: str, low: np.ndarray, high: np.ndarray) -> None:
    if low.size == 0:
        raise EnvironmentMismatch(f"{id} takes no action values, so there is nothing to learn.")
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise EnvironmentMismatch(
            f"{id} has an unbounded action space: the bounds are {low.tolist()} to {high.tolist()}."
            " Agents act in [-1, 1] and need finite bounds to scale to; let the environment declare"
            " them (for Gymnasium: gymnasium.wrappers.TransformAction(env, lambda action: action,"
            " gymnasium.spaces.Box(low, high)))."
        )
    if not (low < high).all():
        raise EnvironmentMismatch(
            f"{id} has an empty action range: the bounds are {low.tolist()} to {high.tolist()}."
        )
