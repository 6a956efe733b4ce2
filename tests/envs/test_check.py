from pathlib import Path

import pytest

from choreo.envs.check import check
from choreo.envs.rendering import artist
from choreo.errors import RendererUnavailable

RESTLESS = """
import gymnasium, numpy
from gymnasium import spaces

class Restless(gymnasium.Env):
    observation_space = spaces.Box(-9, 9, (1,))
    action_space = spaces.Box(-1, 1, (1,))
    count = 0
    def reset(self, *, seed=None, options=None):
        Restless.count += 1
        return numpy.full(1, Restless.count % 7), {}
    def step(self, action):
        return numpy.zeros(1), 1.0, False, False, {}

class Broken(Restless):
    def step(self, action):
        return numpy.full(1, numpy.nan), 1.0, False, False, {}
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "restless_environments.py").write_text(RESTLESS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "restless_environments"


def test_a_fitting_environment_is_described_in_words() -> None:
    result = check("gym:Pendulum-v1")
    text = " ".join(result.fits)
    assert result.ok and result.spec is not None
    assert "'observation' float32[3]" in text and "[-2, 2]" in text and "200 agent steps" in text
    assert "bit for bit" in text and "time limit" in text
    assert "Actions: 1 continuous value;" in text and "held for 1 frame." in text
    assert len(result.returns) == 3 and max(result.returns) < 0
    assert result.frames_per_second is not None and result.frames_per_second > 0


def test_what_does_not_fit_is_a_problem_and_not_an_exception(module: str) -> None:
    assert "discrete" in check("gym:CartPole-v1").problems[0]
    assert "not a number" in check(f"{module}:Broken").problems[0]


def test_an_environment_that_ignores_its_seed_is_found_out(module: str) -> None:
    result = check(f"{module}:Restless")
    assert not result.ok and "same seed" in result.problems[0]
    assert any("No random episode ended" in sentence for sentence in result.fits)


@pytest.mark.rendering
def test_pictures_are_described_and_looked_at(renderer: str) -> None:
    result = check("point_mass", obs="pixels", cameras=("cam0",), image_size=32, time_limit=20)
    text = " ".join(result.fits)
    assert result.ok, result.problems
    assert "'image' uint8[3, 32, 32]; cameras: cam0." in text and "not black" in text
    assert result.images["image"].shape == (32, 32, 3)


def test_a_missing_renderer_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RendererUnavailable("No frame can be drawn here. Install libegl1.")

    monkeypatch.setattr(artist, "MujocoRenderer", refuse)
    assert "Install libegl1" in check("point_mass", obs="pixels").problems[0]
