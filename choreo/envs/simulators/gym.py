"""Gymnasium environments with `Box` or `Dict` of `Box` observations and a bounded `Box` action."""

import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from PIL import Image

from choreo.envs.rendering import backends, images
from choreo.envs.simulators import joints
from choreo.envs.simulators.base import Frame, Simulator
from choreo.envs.spaces import ArraySpec
from choreo.errors import EnvironmentMismatch, RendererUnavailable, UsageError


class GymSimulator(Simulator):
    """A `gymnasium.Env`: truncation is a time limit, termination is terminal.

    A `Box` is the key "observation", a `Dict` keeps its keys. Rank 1 becomes a float32 vector,
    uint8 of rank 3 an image with its channels first.
    """

    def __init__(self, id: str, environment: gymnasium.Env) -> None:
        self._environment = environment
        self._spaces = _observation_boxes(id, environment.observation_space)
        self._is_dict = isinstance(environment.observation_space, spaces.Dict)
        box = _action_box(id, environment.action_space)
        self._shape, self._dtype = box.shape, box.dtype
        self._low, self._high = box.low, box.high
        self._raw: Any = None
        self._channels_last = {
            key: images.channels_last(box.shape)
            for key, box in self._spaces.items()
            if _is_image(box)
        }
        self.observations = {key: self._array_spec(key) for key in self._spaces}
        self.action_low = box.low.astype(np.float64).ravel()
        self.action_high = box.high.astype(np.float64).ravel()
        spec = environment.spec
        self.frame_limit = None if spec is None else spec.max_episode_steps
        self.frame_seconds = _frame_seconds(environment)
        self.coordinate_names = ()

    def reset(self, seed: int) -> None:
        self._raw, _ = self._environment.reset(seed=seed)

    def step(self, action: np.ndarray) -> Frame:
        own = np.clip(action.reshape(self._shape).astype(self._dtype), self._low, self._high)
        self._raw, reward, terminated, truncated, _ = self._environment.step(own)
        return Frame(float(reward), bool(terminated or truncated), bool(terminated))

    def observe(self) -> dict[str, np.ndarray]:
        if self._is_dict:
            return {key: self._convert(key, self._raw[key]) for key in self._spaces}
        return {"observation": self._convert("observation", self._raw)}

    def coordinates(self) -> np.ndarray:
        return np.zeros(0)

    def joints_at_limits(self) -> float:
        return joints.share_at_limits_of(self._environment.unwrapped)

    def render(self, height: int, width: int, camera: str | None = None) -> np.ndarray:
        if self._environment.render_mode != "rgb_array":
            raise RendererUnavailable(
                f"The environment was made with render_mode {self._environment.render_mode!r};"
                " frames need render_mode='rgb_array'."
            )
        if _is_mujoco(self._environment):
            backends.choose_backend()
        try:
            frame = np.asarray(self._environment.render())
        except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
            raise RendererUnavailable(f"The environment cannot be drawn: {error}") from error
        if frame.ndim != 3 or frame.shape[2] != 3:
            raise RendererUnavailable(f"render() gave shape {frame.shape}; wanted (H, W, 3).")
        picture = Image.fromarray(frame.astype(np.uint8))
        return np.array(picture.resize((width, height), Image.Resampling.BOX))

    def close(self) -> None:
        self._environment.close()

    def _array_spec(self, key: str) -> ArraySpec:
        shape = self._spaces[key].shape
        if key in self._channels_last:
            return images.image_spec(shape, self._channels_last[key])
        return ArraySpec(tuple(shape), "float32")

    def _convert(self, key: str, value: Any) -> np.ndarray:
        if key in self._channels_last:
            return images.channel_first(value, self._channels_last[key])
        return np.array(value, dtype=np.float32)


def make_gym(name: str, time_limited: bool = True) -> gymnasium.Env:
    """Make a registered environment, able to draw where it can.

    `time_limited` keeps the registered limit. Raises `UsageError` for an unknown or broken one.
    """
    options: dict[str, Any] = {"disable_env_checker": True}
    if not time_limited:
        options["max_episode_steps"] = -1
    try:
        environment = gymnasium.make(name, **options)
        if "rgb_array" in environment.metadata.get("render_modes", ()):
            environment.close()
            environment = gymnasium.make(name, render_mode="rgb_array", **options)
    except ImportError as error:
        raise UsageError(
            f"Gymnasium cannot make '{name}' without a package that is not installed: {error}."
            " Gymnasium's extras bring them, for example: pip install 'gymnasium[mujoco]'."
        ) from error
    except gymnasium.error.Error as error:
        raise UsageError(f"Gymnasium cannot make '{name}': {error}") from error
    return environment


def continuous_ids() -> list[str]:
    """Return Gymnasium's own registered environments known to have continuous actions."""
    own = ("MountainCarContinuous-v0", "Pendulum-v1", "BipedalWalker-v3")
    mujoco = [
        name
        for name, spec in gymnasium.registry.items()
        if name.endswith("-v5") and str(spec.entry_point).startswith("gymnasium.envs.mujoco")
    ]
    return sorted([*own, *mujoco])


def _observation_boxes(id: str, space: spaces.Space) -> dict[str, spaces.Box]:
    entries = dict(space.spaces) if isinstance(space, spaces.Dict) else {"observation": space}
    return {key: _check_box(id, key, box) for key, box in entries.items()}


def _check_box(id: str, key: str, space: spaces.Space) -> spaces.Box:
    if not isinstance(space, spaces.Box):
        raise EnvironmentMismatch(
            f"{id}: the observation '{key}' is {space}. Wanted a Box, or a Dict of Boxes without"
            " nesting; gymnasium.wrappers.FlattenObservation makes one."
        )
    if _is_image(space) and math.prod(space.shape) > 0:
        return space
    if len(space.shape) == 3 and images.looks_like_one(space.shape):
        text = images.wrong_dtype(f"the observation '{key}'", space.shape, space.dtype)
        raise EnvironmentMismatch(f"{id}: {text}")
    if len(space.shape) != 1 or math.prod(space.shape) == 0:
        raise EnvironmentMismatch(
            f"{id}: the observation '{key}' has shape {space.shape}; wanted a vector (D,)."
            " gymnasium.wrappers.FlattenObservation makes one."
        )
    return space


def _is_image(space: spaces.Box) -> bool:
    return len(space.shape) == 3 and space.dtype == np.uint8


def _action_box(id: str, space: spaces.Space) -> spaces.Box:
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        raise EnvironmentMismatch(
            f"{id} has discrete actions ({space}). Agents act with continuous values; wanted a Box."
        )
    if not isinstance(space, spaces.Box) or space.dtype is None or space.dtype.kind != "f":
        raise EnvironmentMismatch(
            f"{id} takes actions {space}. Wanted one Box of floating-point values."
        )
    return space


def _frame_seconds(environment: gymnasium.Env) -> float | None:
    seconds = getattr(environment.unwrapped, "dt", None)
    return seconds if isinstance(seconds, float) else None


def _is_mujoco(environment: gymnasium.Env) -> bool:
    return type(environment.unwrapped).__module__.startswith("gymnasium.envs.mujoco")
