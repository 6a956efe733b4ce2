import os

import numpy as np
import pytest

from choreo.envs.make import make
from choreo.envs.rendering import backends
from choreo.errors import RendererUnavailable


def test_the_guard_restores_the_users_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with backends.without_renderer():
        assert os.environ["MUJOCO_GL"] == "disable"
    assert os.environ["MUJOCO_GL"] == "osmesa"
    monkeypatch.delenv("MUJOCO_GL")
    with backends.without_renderer():
        pass
    assert "MUJOCO_GL" not in os.environ


def test_no_working_back_end_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        backends,
        "try_backend",
        lambda backend, timeout: backends.Attempt(f"no {backend} here"),
    )
    monkeypatch.delenv(backends._TRIED_VARIABLE, raising=False)
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    backends.choose_backend.cache_clear()
    try:
        with pytest.raises(RendererUnavailable) as caught:
            make("walker_run", obs="pixels").reset(0)
    finally:
        backends.choose_backend.cache_clear()
    for part in ("no egl here", "no osmesa here", "libegl1 libgl1-mesa-dri", "libosmesa6"):
        assert part in str(caught.value)


def test_a_back_end_that_hangs_is_given_up() -> None:
    failure = backends.try_backend("egl", timeout=0.01).failure
    assert failure is not None and "no frame within" in failure


def test_a_cuda_device_that_does_not_draw_is_given_up_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = []

    def draw(backend: str, select: bool, timeout: float) -> backends.Attempt:
        tried.append(select)
        return backends.Attempt("no permission" if select else None)

    monkeypatch.setattr(backends, "_draw_apart", draw)
    monkeypatch.delenv("MUJOCO_EGL_DEVICE_ID", raising=False)
    assert backends.try_backend("egl") == backends.Attempt(None)
    assert tried == [True, False]
    monkeypatch.setenv("MUJOCO_EGL_DEVICE_ID", "1")
    assert backends.try_backend("egl").failure == "no permission"


def test_what_one_process_has_tried_another_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "MUJOCO_EGL_DEVICE_ID"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(backends._TRIED_VARIABLE, "")
    probes = []

    def probe() -> backends.RendererProbe:
        probes.append(1)
        return backends.RendererProbe("osmesa", "", "3")

    monkeypatch.setattr(backends, "probe", probe)
    backends.choose_backend.cache_clear()
    try:
        assert backends.choose_backend() == "osmesa" == os.environ["MUJOCO_GL"]
        assert os.environ["MUJOCO_EGL_DEVICE_ID"] == "3"
        backends.choose_backend.cache_clear()
        assert backends.choose_backend() == "osmesa" and len(probes) == 1
    finally:
        backends.choose_backend.cache_clear()


@pytest.mark.rendering
def test_a_frame_shows_the_state_and_changes_nothing(renderer: str) -> None:
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
