import importlib
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv

from choreo.envs.make import make
from choreo.envs.rendering import backends
from choreo.envs.simulated import SimulatedEnvironment
from choreo.envs.simulators.gym import GymSimulator
from choreo.errors import EnvironmentMismatch, RendererUnavailable, UsageError

VECTOR = spaces.Box(-1, 1, (2,), np.float64)
_LOW, _HIGH = np.array([[-2, 0]], np.float32), np.array([[2, 4]], np.float32)
ACTION = spaces.Box(_LOW, _HIGH, dtype=np.float32)


class Fake(gymnasium.Env):
    """Ends as `ending` says in its second step; remembers the last action."""

    def __init__(
        self,
        observation_space: spaces.Space = VECTOR,
        action_space: spaces.Space = ACTION,
        ending: str = "",
    ) -> None:
        self.observation_space, self.action_space = observation_space, action_space
        self.ending = ending
        self.action: Any = None
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.steps = 0
        return self._show(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        self.steps += 1
        self.action = action
        over = self.steps == 2
        ends = (over and self.ending == "terminated", over and self.ending == "truncated")
        return self._show(), 1.0, *ends, {}

    def _show(self) -> Any:
        if isinstance(self.observation_space, spaces.Dict):
            return {"b": np.ones(3), "a": np.zeros(2)}
        return self.np_random.uniform(size=2)


def wrap(env: gymnasium.Env) -> SimulatedEnvironment:
    return SimulatedEnvironment("fake", GymSimulator("fake", env))


@pytest.mark.parametrize(("ending", "terminal"), [("terminated", True), ("truncated", False)])
def test_termination_is_terminal_and_truncation_is_only_last(ending: str, terminal: bool) -> None:
    env = wrap(Fake(ending=ending))
    env.reset(0)
    action = np.zeros(2, dtype=np.float32)
    assert not env.step(action).is_last
    step = env.step(action)
    assert step.is_last and step.is_terminal == terminal


def test_actions_arrive_in_the_shape_dtype_and_bounds_of_the_box() -> None:
    inner = Fake()
    env = wrap(inner)
    env.reset(0)
    env.step(np.array([0.5, 1.0], dtype=np.float32))
    assert inner.action.tolist() == [[1.0, 4.0]]
    assert inner.action.dtype == np.float32 and ACTION.contains(inner.action)


def test_a_dict_keeps_its_keys_and_becomes_float32() -> None:
    space = spaces.Dict({"a": VECTOR, "b": spaces.Box(-1, 1, (3,), np.float64)})
    observation = wrap(Fake(space)).reset(0).observation
    assert {key: (value.shape, value.dtype.name) for key, value in observation.items()} == {
        "a": ((2,), "float32"),
        "b": ((3,), "float32"),
    }


@pytest.mark.parametrize(
    ("observation", "action", "words"),
    [
        (VECTOR, spaces.Discrete(3), "discrete"),
        (VECTOR, spaces.MultiBinary(3), "discrete"),
        (VECTOR, spaces.Box(0, 5, (1,), np.int64), "floating-point"),
        (VECTOR, spaces.Box(-np.inf, np.inf, (1,)), "unbounded"),
        (spaces.Text(4), ACTION, "holds text. Agents see a Box"),
        (spaces.Dict(a=VECTOR, b=spaces.Text(4)), ACTION, r"'b' holds text.*keys \(a\)"),
        (spaces.Box(0, 255, (84, 84, 3), np.uint8), ACTION, "give 64 x 64"),
        (spaces.Box(0, 1, (64, 64, 3)), ACTION, r"float32.*255 \* image"),
        (spaces.Box(0, 255, (4, 64, 64, 3), np.uint8), ACTION, "not a stack"),
    ],
)
def test_spaces_that_do_not_fit_are_refused_in_words(
    observation: spaces.Space, action: spaces.Space, words: str
) -> None:
    with pytest.raises(EnvironmentMismatch, match=words):
        wrap(Fake(observation, action))


class Seeing(Fake):
    """Shows its vector and what it sees, brighter to the right, in either order of axes."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        eye = spaces.Box(0, 255, shape, np.uint8)
        super().__init__(spaces.Dict({"a": VECTOR, "eye": eye}))
        self.shape = shape

    def _show(self) -> Any:
        image = np.zeros(self.shape, np.uint8)
        image[:] = np.arange(32)[:, None] if self.shape[2] == 3 else np.arange(32)
        return {"a": np.zeros(2), "eye": image}


@pytest.mark.parametrize("shape", [(32, 32, 3), (3, 32, 32)])
def test_own_images_come_channels_first(shape: tuple[int, int, int]) -> None:
    env = wrap(Seeing(shape))
    assert str(env.spec.observations["eye"]) == "uint8[3, 32, 32]"
    eye = env.reset(0).observation["eye"]
    assert eye.shape == (3, 32, 32) and eye.dtype == np.uint8 and eye.flags.c_contiguous
    assert eye[1, 4].tolist() == list(range(32))
    assert env.spec.images["eye"].shape == (3, 32, 32)


def test_a_box_may_be_an_image() -> None:
    class Eye(Fake):
        def _show(self) -> Any:
            return np.full((64, 64, 1), 7, np.uint8)

    env = wrap(Eye(spaces.Box(0, 255, (64, 64, 1), np.uint8)))
    assert env.reset(0).observation["observation"].shape == (1, 64, 64)


def test_pendulum_has_its_registered_limit_and_a_given_one_replaces_it() -> None:
    env = make("gym:Pendulum-v1")
    assert env.spec.episode_steps == 200 and env.spec.action_high == (2.0,)
    longer = make("gym:Pendulum-v1", time_limit=203, action_repeat=2)
    assert longer.spec.episode_steps == 203
    longer.reset(0)
    steps = [longer.step(np.zeros(1, dtype=np.float32)) for _ in range(203)]
    assert [index for index, step in enumerate(steps) if step.is_last] == [202]


def test_an_unknown_gym_id_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="Pendulum"):
        make("gym:Pendulun-v1")


def test_an_environment_without_frames_says_so() -> None:
    with pytest.raises(RendererUnavailable, match="rgb_array"):
        wrap(Fake()).render(8, 8)


class Robot(HalfCheetahEnv):
    """A user's subclass, in a module of another name."""


class Holds(Fake):
    """An environment of another package, which holds a model of MuJoCo's."""

    def __init__(self) -> None:
        super().__init__()
        mujoco: Any = importlib.import_module("mujoco")
        self.model = mujoco.MjModel.from_xml_string("<mujoco/>")


@pytest.mark.parametrize(
    ("make_robot", "needs"),
    [
        (lambda: Robot(), True),
        (lambda: gymnasium.wrappers.TimeLimit(Robot(), 5), True),
        (Holds, True),
        (lambda: gymnasium.wrappers.TimeLimit(Holds(), 5), True),
        (Fake, False),
    ],
)
def test_a_back_end_is_chosen_for_what_stands_on_mujoco(
    make_robot: Callable[[], gymnasium.Env], needs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> str:
        raise RendererUnavailable("none here")

    monkeypatch.setattr(backends, "choose_backend", refuse)
    inner = make_robot()
    inner.unwrapped.render_mode = "rgb_array"
    inner.unwrapped.render = lambda: np.zeros((8, 8, 3), np.uint8)  # type: ignore[method-assign]
    if not needs:
        assert wrap(inner).render(8, 8).shape == (8, 8, 3)
        return
    with pytest.raises(RendererUnavailable, match="none here"):
        wrap(inner).render(8, 8)


def test_a_float_frame_is_no_black_picture() -> None:
    inner = Fake()
    inner.render_mode = "rgb_array"
    inner.render = lambda: np.full((8, 8, 3), 0.5)  # type: ignore[method-assign]
    with pytest.raises(RendererUnavailable, match=r"float64 from 0.5 to 0.5; wanted uint8"):
        wrap(inner).render(8, 8)


@pytest.mark.rendering
def test_a_users_own_robot_is_drawn(renderer: str) -> None:
    picture = make("odd_envs:own_cheetah", obs="pixels", image_size=32).reset(0).observation
    assert picture["image"].std() > 10
