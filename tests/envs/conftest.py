"""A fixture for tests that draw."""

import pytest

from choreo.envs.rendering import backends


@pytest.fixture(scope="session")
def backend() -> str | None:
    """The back end that draws here, or None."""
    return backends.probe().backend


@pytest.fixture
def renderer(backend: str | None, monkeypatch: pytest.MonkeyPatch) -> str:
    """Skip without OpenGL; what choosing a back end sets does not outlive the test."""
    if backend is None:
        pytest.skip("no headless OpenGL here")
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM", backends._TRIED_VARIABLE):
        monkeypatch.setenv(name, backend)
    return backend
