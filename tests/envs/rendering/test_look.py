from collections.abc import Callable

import numpy as np
import pytest

from choreo.envs.make import make
from choreo.envs.rendering.look import as_picture, look
from choreo.envs.rendering.view import View
from choreo.envs.simulated import SimulatedEnvironment
from choreo.envs.simulators.base import Frame, Simulator


class Painted(Simulator):
    """Its pictures are what a function of the frame paints."""

    def __init__(self, paint: Callable[[int], np.ndarray | int]) -> None:
        self.observations = {}
        self.action_low, self.action_high = np.array([-1.0]), np.array([1.0])
        self.frame_limit = self.frame_seconds = None
        self.coordinate_names = ()
        self.paint, self.frame = paint, 0

    def reset(self, seed: int) -> None:
        self.frame = 0

    def step(self, action: np.ndarray) -> Frame:
        self.frame += 1
        return Frame(0.0, False, False)

    def observe(self) -> dict[str, np.ndarray]:
        return {}

    def coordinates(self) -> np.ndarray:
        return np.zeros(0)

    def render(self, height: int, width: int, camera: str | None = None) -> np.ndarray:
        picture = np.zeros((height, width, 3), np.uint8)
        picture[:] = self.paint(self.frame)
        return picture

    def find_upside_down(self, camera: str | None = None) -> str | None:
        return "upside down" if self.paint(0) is GRADIENT else None

    def close(self) -> None:
        pass


GRADIENT = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)


@pytest.mark.parametrize(
    ("paint", "words"),
    [
        (lambda frame: 0, "is black"),
        (lambda frame: 30 + frame, "same colour everywhere"),
        (lambda frame: GRADIENT.copy(), "same in different states"),
        (lambda frame: GRADIENT if frame == 0 else GRADIENT + 1, "upside down"),
    ],
)
def test_a_bad_picture_is_a_sentence(paint: Callable, words: str) -> None:
    simulator = Painted(paint)
    env = SimulatedEnvironment("here", simulator, view=View("here", simulator, "pixels"))
    problems = look(env).problems
    assert len(problems) == 1 and words in problems[0]


def test_a_good_picture_has_no_problem_and_is_returned_channel_last() -> None:
    simulator = Painted(lambda frame: GRADIENT + frame)
    env = SimulatedEnvironment("here", simulator, view=View("here", simulator, "pixels"))
    found = look(env)
    assert found.problems == [] and np.array_equal(found.images["image"], GRADIENT)


def test_states_have_nothing_to_look_at() -> None:
    found = look(make("dmc:point_mass-easy"))
    assert (found.images, found.problems) == ({}, [])


@pytest.mark.parametrize(("channels", "first"), [(1, 1), (3, 3), (4, 4)])
def test_any_number_of_channels_becomes_a_picture(channels: int, first: int) -> None:
    image = np.arange(channels * 4, dtype=np.uint8).reshape(channels, 2, 2)
    picture = as_picture(image)
    assert picture.shape == (2, 2, 3) and picture.flags.c_contiguous
    assert np.array_equal(picture[..., 2], image[first - 1])


@pytest.mark.rendering
@pytest.mark.parametrize(
    "name", ["walker_run", "quadruped_run", "jaco_reach_top_left", "point_mass"]
)
def test_the_benchmarks_own_cameras_give_good_pictures(renderer: str, name: str) -> None:
    env = make(name, obs="pixels", image_size=32)
    found = look(env)
    env.close()
    assert found.problems == [] and found.images["image"].shape == (32, 32, 3)
