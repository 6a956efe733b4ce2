"""The agent's pace over a simulator's: action repeat, scaling, time limit and finiteness."""

import abc
import math
from typing import NamedTuple

import numpy as np

from choreo.envs.base import Environment, TimeStep
from choreo.envs.spaces import ArraySpec, EnvSpec
from choreo.errors import EnvironmentMismatch, NotFinite, UsageError

_ACTION_TOLERANCE = 1e-5


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
    both are None when unknown.
    """

    observations: dict[str, ArraySpec]
    action_low: np.ndarray
    action_high: np.ndarray
    frame_limit: int | None
    frame_seconds: float | None
    coordinate_names: tuple[str, ...]

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

    @abc.abstractmethod
    def render(self, height: int, width: int) -> np.ndarray:
        """Draw the present state as uint8 (H, W, 3)."""

    def physics_state(self) -> np.ndarray | None:
        """Return the present state (P,) float64, None where it cannot be read."""
        return None

    def reward_at(self, physics: np.ndarray, action: np.ndarray) -> tuple[float, bool] | None:
        """See `Environment.reward_at`, with an action in own units; None where it cannot be."""
        return None

    @abc.abstractmethod
    def close(self) -> None:
        """Free the simulator; a second call does nothing."""


class SimulatedEnvironment(Environment):
    """An `Environment` over a `Simulator`.

    `time_limit` (agent steps) cuts an episode that the simulator has not ended before.
    """

    def __init__(
        self, id: str, simulator: Simulator, action_repeat: int = 1, time_limit: int | None = None
    ) -> None:
        low, high = simulator.action_low, simulator.action_high
        _check_bounds(id, low, high)
        _check_positive("action_repeat", action_repeat)
        if time_limit is not None:
            _check_positive("time_limit", time_limit)
        self._simulator = simulator
        self._repeat = action_repeat
        self._time_limit = time_limit
        self._middle = (high + low) / 2
        self._scale = (high - low) / 2
        self._low, self._high = low, high
        self._steps = 0
        self._open = False
        self.spec = _make_spec(id, simulator, action_repeat, time_limit)

    def reset(self, seed: int) -> TimeStep:
        if not 0 <= seed < 2**63:
            raise ValueError(f"a seed is at least 0 and below 2**63, got {seed}")
        self._simulator.reset(seed)
        self._steps = 0
        self._open = True
        observation = self._simulator.observe()
        self._check_finite(observation, 0.0, None)
        return TimeStep(observation, 0.0, True, False, False)

    def step(self, action: np.ndarray) -> TimeStep:
        own_action = self._to_own_units(action)
        if not self._open:
            raise ValueError(f"{self.spec.id}: no open episode; call reset(seed) before step")
        self._steps += 1
        reward, is_last, is_terminal = self._repeat_frames(own_action, action)
        observation = self._simulator.observe()
        self._check_finite(observation, reward, action)
        is_last = is_last or self._steps == self._time_limit
        self._open = not is_last
        return TimeStep(observation, reward, False, is_last, is_terminal)

    def coordinates(self) -> np.ndarray:
        return self._simulator.coordinates()

    def render(self, height: int, width: int) -> np.ndarray:
        return self._simulator.render(height, width)

    def physics_state(self) -> np.ndarray | None:
        return self._simulator.physics_state()

    def reward_at(self, physics: np.ndarray, action: np.ndarray) -> tuple[float, bool]:
        self._open = False
        if self._repeat != 1:
            raise UsageError(
                f"{self.spec.id} sums its reward over {self._repeat} frames, and one state tells"
                " the reward of one frame only; make it with action_repeat=1"
            )
        found = self._simulator.reward_at(physics, self._to_own_units(action))
        return super().reward_at(physics, action) if found is None else found

    def close(self) -> None:
        self._open = False
        self._simulator.close()

    def _repeat_frames(self, own_action: np.ndarray, action: np.ndarray) -> Frame:
        total = 0.0
        is_last = is_terminal = False
        for _ in range(self._repeat):
            try:
                reward, is_last, is_terminal = self._simulator.step(own_action)
            except Diverged as error:
                self._open = False
                raise NotFinite(
                    self._describe(f"the simulation diverged ({error})", action)
                ) from error
            total += reward
            if is_last:
                break
        return Frame(total, is_last, is_terminal)

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
    id: str, simulator: Simulator, action_repeat: int, time_limit: int | None
) -> EnvSpec:
    limits = [time_limit] if time_limit is not None else []
    if simulator.frame_limit is not None:
        limits.append(math.ceil(simulator.frame_limit / action_repeat))
    seconds = simulator.frame_seconds
    return EnvSpec(
        id=id,
        observations=simulator.observations,
        action_size=len(simulator.action_low),
        action_low=tuple(simulator.action_low.tolist()),
        action_high=tuple(simulator.action_high.tolist()),
        action_repeat=action_repeat,
        episode_steps=min(limits, default=None),
        coordinates=simulator.coordinate_names,
        step_seconds=None if seconds is None else seconds * action_repeat,
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
            " Agents act in [-1, 1] and need finite bounds to scale to; give the environment a"
            " wrapper that declares them (for Gymnasium: gymnasium.wrappers.RescaleAction over a"
            " Box with finite bounds)."
        )
    if not (low < high).all():
        raise EnvironmentMismatch(
            f"{id} has an empty action range: the bounds are {low.tolist()} to {high.tolist()}."
        )
