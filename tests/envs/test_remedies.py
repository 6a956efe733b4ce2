"""What the errors of environments advise helps: each piece of advice is followed here."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TransformAction, TransformObservation
from odd_envs import BOX, FLOAT_PICTURE, PICTURE, UNIT, ZEROS, Odd
from PIL import Image

from choreo.envs import make
from choreo.envs.rendering.view import View
from choreo.envs.simulated import SimulatedEnvironment
from choreo.envs.simulators.gym import GymSimulator
from choreo.errors import EnvironmentMismatch


class Unbounded(Odd):
    action_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)


LARGE = spaces.Box(0, 255, (84, 84, 3), np.uint8)


def resized(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((64, 64)))


def large() -> Odd:
    return Odd(LARGE, lambda t: np.full((84, 84, 3), t, np.uint8))


def wide() -> Odd:
    return Odd(shown=lambda t: ZEROS + 50)


# the environment, a word of the advice, and the environment after it was followed
ADVICE: dict[str, tuple[Callable[[], Any], str, Callable[[], Any]]] = {
    "bounds": (Unbounded, "TransformAction", lambda: TransformAction(Unbounded(), _same, UNIT)),
    "size": (
        large,
        "TransformObservation with Image.resize of PIL",
        lambda: TransformObservation(large(), resized, spaces.Box(0, 255, (64, 64, 3), np.uint8)),
    ),
    "range": (
        wide,
        "declare what it gives",
        lambda: TransformObservation(wide(), _same, spaces.Box(-np.inf, np.inf, (3,))),
    ),
    "cast": (
        lambda: Odd(PICTURE, lambda t: FLOAT_PICTURE),
        r"\(255 \* image\).round\(\).astype\(numpy.uint8\)",
        lambda: Odd(PICTURE, lambda t: (255 * FLOAT_PICTURE).round().astype(np.uint8)),
    ),
    "declared cast": (
        lambda: Odd(spaces.Box(0, 1, (32, 32, 3)), lambda t: FLOAT_PICTURE),
        r"\(255 \* image\).round\(\).astype\(numpy.uint8\)",
        lambda: Odd(PICTURE, lambda t: (255 * FLOAT_PICTURE).round().astype(np.uint8)),
    ),
}


def _same(value: Any) -> Any:
    return value


def wrap(env: gymnasium.Env) -> SimulatedEnvironment:
    return SimulatedEnvironment("fake", GymSimulator("fake", env))


@pytest.mark.parametrize("name", ADVICE)
def test_advice_that_was_followed_helps(name: str) -> None:
    before, words, after = ADVICE[name]
    with pytest.raises(EnvironmentMismatch, match=words):
        wrap(before()).reset(0)
    env = wrap(after())
    env.reset(0)
    env.step(np.zeros(2, np.float32))


@pytest.mark.parametrize("odd", ["large_count", "partly_seen"])
def test_the_option_keys_leaves_out_what_the_error_names(odd: str) -> None:
    import odd_envs

    inner = getattr(odd_envs, odd)()
    space = spaces.Dict(x=BOX, odd=inner.observation_space)
    env = Odd(space, lambda t: {"x": ZEROS, "odd": inner.shown(t)})
    with pytest.raises(EnvironmentMismatch, match="option keys"):
        wrap(env).reset(0)
    simulator = GymSimulator("fake", env, ("x",))
    left = SimulatedEnvironment("fake", simulator, view=View("fake", simulator, keys=("x",)))
    assert left.reset(0).observation.keys() == {"x"}


def test_a_time_limit_can_be_set_where_the_check_says_so() -> None:
    assert make("odd_envs:nested", time_limit=4).spec.episode_steps == 4
