import os

import numpy as np
import pytest

from choreo.envs import rendering
from choreo.envs.make import make
from choreo.errors import RendererUnavailable


def test_the_guard_restores_the_users_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with rendering.without_renderer():
        assert os.environ["MUJOCO_GL"] == "disable"
    assert os.environ["MUJOCO_GL"] == "osmesa"
    monkeypatch.delenv("MUJOCO_GL")
    with rendering.without_renderer():
        pass
    assert "MUJOCO_GL" not in os.environ


def test_no_working_back_end_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_try_backend", lambda backend, timeout: f"no {backend} here")
    rendering.choose_backend.cache_clear()
    try:
        with pytest.raises(RendererUnavailable) as caught:
            rendering.choose_backend()
    finally:
        rendering.choose_backend.cache_clear()
    for part in ("no egl here", "no osmesa here", "libegl1 libgl1-mesa-dri", "libosmesa6"):
        assert part in str(caught.value)


def test_a_back_end_that_hangs_is_given_up() -> None:
    reason = rendering._try_backend("egl", timeout=0.01)
    assert reason is not None and "no frame within" in reason


@pytest.mark.rendering
def test_a_frame_shows_the_state_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # What choosing sets must not outlive the test.
    monkeypatch.setenv("MUJOCO_GL", os.environ.get("MUJOCO_GL", ""))
    monkeypatch.setenv("PYOPENGL_PLATFORM", os.environ.get("PYOPENGL_PLATFORM", ""))
    if rendering.probe().backend is None:
        pytest.skip("no headless OpenGL here")
    env, plain = make("dmc:point_mass-easy"), make("dmc:point_mass-easy")
    env.reset(0)
    plain.reset(0)
    first = env.render(48, 64)
    assert first.shape == (48, 64, 3) and first.dtype == np.uint8 and first.std() > 5
    assert np.array_equal(first, env.render(48, 64))
    action = np.ones(2, dtype=np.float32)
    for _ in range(40):
        drawn, undrawn = env.step(action), plain.step(action)
    assert np.array_equal(drawn.observation["observation"], undrawn.observation["observation"])
    assert not np.array_equal(first, env.render(48, 64))
    assert env.render(32, 32).shape == (32, 32, 3)
    env.close()
