"""Gymnasium environments: observations by the rule of `flatten`, actions one bounded `Box`."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from PIL import Image

from choreo.envs.flatten import Leaf, leaves
from choreo.envs.rendering import backends, images
from choreo.envs.simulators import joints
from choreo.envs.simulators.base import Frame, Simulator
from choreo.envs.simulators.values import Declared, flag_of, is_exact, reward_of, to_vector
from choreo.envs.spaces import ArraySpec
from choreo.errors import EnvironmentMismatch, RendererUnavailable, UsageError


class GymSimulator(Simulator):
    """A `gymnasium.Env`: truncation is a time limit, termination is terminal.

    Its observations are those that `flatten` finds in its space; `keys`, where there are any, are
    all that will be looked at.
    """

    def __init__(self, id: str, environment: gymnasium.Env, keys: tuple[str, ...] = ()) -> None:
        self._id, self._environment = id, environment
        shown = [_Shown(id, leaf) for leaf in _seen(id, environment.observation_space, keys)]
        self._shown = [one for one in shown if not keys or one.leaf.key in keys]
        box = _action_box(id, environment.action_space)
        self._shape, self._dtype = box.shape, box.dtype
        self._low, self._high = box.low, box.high
        self._raw: Any = None
        self._first, self._drawn = True, False
        self.observations = {one.leaf.key: one.spec for one in shown}
        self.action_low = box.low.astype(np.float64).ravel()
        self.action_high = box.high.astype(np.float64).ravel()
        self.frame_limit = min(_limits(environment), default=None)
        self.frame_seconds = _frame_seconds(environment)
        self.coordinate_names = ()

    def reset(self, seed: int) -> None:
        given: Any = self._environment.reset(seed=seed)
        self._raw, _ = self._parts(given, "reset", ("observation", "info"))
        self._first = True

    def step(self, action: np.ndarray) -> Frame:
        own = np.clip(action.reshape(self._shape).astype(self._dtype), self._low, self._high)
        given: Any = self._environment.step(own)
        self._raw, reward, *ends, _ = self._parts(given, "step", _STEP)
        terminated = flag_of(self._id, "terminated", ends[0])
        truncated = flag_of(self._id, "truncated", ends[1])
        return Frame(reward_of(self._id, reward), terminated or truncated, terminated)

    def observe(self) -> dict[str, np.ndarray]:
        first, self._first = self._first, False
        return {shown.leaf.key: shown.read(self._raw, first) for shown in self._shown}

    def _parts(self, given: Any, method: str, names: tuple[str, ...]) -> tuple[Any, ...]:
        if isinstance(given, tuple) and len(given) == len(names):
            return given
        count = f"{len(given)} values" if isinstance(given, tuple) else f"a {type(given).__name__}"
        raise EnvironmentMismatch(
            f"{self._id}: {method}() returned {count}; wanted what Gymnasium's {method} returns,"
            f" ({', '.join(names)}). The old API of gym has another form."
        )

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
        if not self._drawn:
            _choose_backend(self._environment)
            self._drawn = True
        try:
            frame = np.asarray(self._environment.render())
        except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
            raise RendererUnavailable(f"The environment cannot be drawn: {error}") from error
        if frame.ndim != 3 or frame.shape[2] != 3:
            raise RendererUnavailable(f"render() gave shape {frame.shape}; wanted (H, W, 3).")
        if not is_exact(frame, np.dtype(np.uint8)):
            raise RendererUnavailable(
                f"render() gave {frame.dtype} from {frame.min():.3g} to {frame.max():.3g}; wanted"
                " uint8 from 0 to 255."
            )
        picture = Image.fromarray(frame.astype(np.uint8))
        return np.array(picture.resize((width, height), Image.Resampling.BOX))

    def close(self) -> None:
        self._environment.close()


class _Shown:
    """One array of the observations: how it is checked and converted."""

    def __init__(self, id: str, leaf: Leaf) -> None:
        self.leaf = leaf
        self._name = f"{id}: the observation '{leaf.key}'"
        space = leaf.space
        box = isinstance(space, spaces.Box)
        bounds = (space.low, space.high) if box else (None, None)
        self._declared = Declared(
            self._name, tuple(space.shape or ()), np.dtype(space.dtype), *bounds
        )
        self._one_hot = isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
        self._last = leaf.is_image and images.channels_last(leaf.shape)
        self.spec = (
            images.image_spec(leaf.shape, self._last)
            if leaf.is_image
            else ArraySpec(leaf.shape, "float32")
        )

    def read(self, observation: Any, first: bool) -> np.ndarray:
        """Return a fresh array of what the agent sees of a nested observation."""
        try:
            value = self.leaf.pick(observation)
        except (KeyError, IndexError, TypeError) as error:
            raise EnvironmentMismatch(
                f"{self._name} is declared, and what was given has none of that name"
            ) from error
        array = self._declared.take(value, first)
        if self.leaf.is_image:
            return images.channel_first(array.reshape(self.leaf.shape), self._last)
        if self._one_hot:
            return self._choose(array)
        return to_vector(self._name, array)

    def _choose(self, array: np.ndarray) -> np.ndarray:
        try:
            return self.leaf.convert(array)
        except ValueError as error:
            raise EnvironmentMismatch(f"{self._name}: {error}.") from error


def make_gym(name: str, time_limited: bool = True) -> gymnasium.Env:
    """Make a registered environment, able to draw where it can.

    `time_limited` keeps the registered limit. Raises `UsageError` for an unknown or broken one.
    """
    options: dict[str, Any] = {"disable_env_checker": True}
    if not time_limited:
        options["max_episode_steps"] = -1
    _check_module(name)
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


def _check_module(name: str) -> None:
    """Refuse `module:Id` where there is no such module, which registers the environment."""
    module = name.partition(":")[0].partition(".")[0]
    if ":" in name and importlib.util.find_spec(module) is None:
        raise UsageError(
            f"Gymnasium cannot make '{name}': there is no module '{module}', neither installed nor"
            f" in the working directory {Path.cwd()}; it should register the environment"
        )


def continuous_ids() -> list[str]:
    """Return Gymnasium's own registered environments known to have continuous actions."""
    own = ("MountainCarContinuous-v0", "Pendulum-v1", "BipedalWalker-v3")
    mujoco = [
        name
        for name, spec in gymnasium.registry.items()
        if name.endswith("-v5") and str(spec.entry_point).startswith("gymnasium.envs.mujoco")
    ]
    return sorted([*own, *mujoco])


_STEP = ("observation", "reward", "terminated", "truncated", "info")


def _seen(id: str, space: spaces.Space, keys: tuple[str, ...]) -> list[Leaf]:
    """Return the arrays to show; refuses those that cannot be shown and were not left out."""
    found, refused = leaves(space, dot=".")
    for key, reason in refused.items():
        if keys and key not in keys:
            continue
        others = " ".join(found)
        advice = f" Name the others with the option keys ({others})." if found else ""
        raise EnvironmentMismatch(f"{id}: the observation '{key}' {reason}. {_WANTED}.{advice}")
    if not found:
        raise EnvironmentMismatch(f"{id} shows no observation at all ({space}). {_WANTED}.")
    return list(found.values())


_WANTED = "Agents see a Box, a choice (Discrete) or a picture, and a Dict or Tuple of such"


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


def _layers(environment: gymnasium.Env) -> Iterator[Any]:
    """Every wrapper from the outermost on, and the environment itself."""
    while isinstance(environment, gymnasium.Wrapper):
        yield environment
        environment = environment.env
    yield environment


def _limits(environment: gymnasium.Env) -> Iterator[int]:
    """Time limits in frames: the registry's, and of every layer that has one as TimeLimit does."""
    told = [None if environment.spec is None else environment.spec.max_episode_steps]
    told += [getattr(layer, "_max_episode_steps", None) for layer in _layers(environment)]
    return (int(limit) for limit in told if isinstance(limit, int | np.integer) and limit > 0)


def _choose_backend(environment: gymnasium.Env) -> None:
    """Choose how MuJoCo draws, before an environment that stands on it first does.

    Whatever its class is called: it is known by its model, or its base. Where MuJoCo is loaded for
    other reasons, an environment may do without a back end.
    """
    if any(_is_mujoco(layer) for layer in _layers(environment)):
        backends.choose_backend()
    elif "mujoco" in sys.modules:
        with suppress(RendererUnavailable):
            backends.choose_backend()


def _is_mujoco(layer: Any) -> bool:
    bases = any(base.__module__.startswith("gymnasium.envs.mujoco") for base in type(layer).__mro__)
    model = getattr(layer, "model", None)
    return bases or type(model).__module__.startswith("mujoco")
