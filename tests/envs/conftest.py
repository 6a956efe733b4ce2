"""A fixture for tests that draw."""

import pytest

from choreo.envs import rendering


@pytest.fixture(scope="session")
def backend() -> str | None:
    """The back end that draws here, or None."""
    return rendering.probe().backend


@pytest.fixture
def renderer(backend: str | None, monkeypatch: pytest.MonkeyPatch) -> str:
    """Skip without OpenGL; what choosing a back end sets does not outlive the test."""
    if backend is None:
        pytest.skip("no headless OpenGL here")
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM", rendering._TRIED_VARIABLE):
        monkeypatch.setenv(name, backend)
    return backend
