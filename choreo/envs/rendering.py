"""Headless drawing of MuJoCo scenes; nothing of OpenGL is imported before a frame is asked for."""

import atexit
import contextlib
import functools
import importlib
import importlib.util
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from choreo.errors import RendererUnavailable

BACKENDS = ("egl", "osmesa")
PACKAGES = "libegl1 libgl1-mesa-dri (EGL) or libosmesa6 (OSMesa)"

# Geoms a scene can hold; the largest suite scenes have a few hundred.
_MAX_GEOMS = 2000

_PROBE = """
import mujoco
from choreo.envs import rendering
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = rendering.MujocoRenderer(model, 32, 32)
picture = renderer.draw(data, -1)
renderer.close()
raise SystemExit(0 if picture.any() else "the picture is black")
"""


@dataclass(frozen=True)
class RendererProbe:
    """Whether frames can be drawn here: the working back end or None, and a sentence on it."""

    backend: str | None
    sentence: str


@contextlib.contextmanager
def without_renderer() -> Iterator[None]:
    """Import MuJoCo packages inside this block without an OpenGL back end and its window system.

    dm_control imports a renderer as soon as it is imported itself; drawing here is done by
    `MujocoRenderer`, so that it never needs one.
    """
    before = os.environ.get("MUJOCO_GL")
    os.environ["MUJOCO_GL"] = "disable"
    try:
        yield
    finally:
        if before is None:
            del os.environ["MUJOCO_GL"]
        else:
            os.environ["MUJOCO_GL"] = before


def probe(timeout: float = 60.0) -> RendererProbe:
    """Draw one frame with each back end in a process of its own, so that nothing can hang.

    `timeout` is in seconds and for each back end. The user's MUJOCO_GL, when it names a headless
    back end, is the only one tried.
    """
    failures = []
    for backend in _wanted_backends():
        reason = _try_backend(backend, timeout)
        if reason is None:
            return RendererProbe(backend, f"Frames are drawn with {backend.upper()}.")
        failures.append(f"{backend.upper()}: {reason}")
    sentence = (
        f"No frame can be drawn here ({'; '.join(failures)}). On Debian and Ubuntu install"
        f" {PACKAGES}."
    )
    return RendererProbe(None, sentence)


@functools.cache
def choose_backend() -> str:
    """Return "egl" or "osmesa", whichever draws here, and set MUJOCO_GL and PYOPENGL_PLATFORM.

    Must come before any import of OpenGL. Raises `RendererUnavailable` when neither works.
    """
    result = probe()
    if result.backend is None:
        raise RendererUnavailable(result.sentence)
    use_backend(result.backend)
    return result.backend


def use_backend(backend: str) -> None:
    """Name the back end to MuJoCo, Gymnasium and PyOpenGL, which read it from the environment."""
    os.environ["MUJOCO_GL"] = backend
    os.environ["PYOPENGL_PLATFORM"] = backend


class MujocoRenderer:
    """Draws a MuJoCo model off screen at one size (pixels); it changes nothing in the data."""

    def __init__(self, model: Any, height: int, width: int) -> None:
        backend = choose_backend()
        mujoco: Any = importlib.import_module("mujoco")
        self._mujoco = mujoco
        self._model = model
        self._height, self._width = height, width
        visual = model.vis.global_
        visual.offwidth = max(visual.offwidth, width)
        visual.offheight = max(visual.offheight, height)
        self._context = _make_context(backend, height, width)
        self._context.make_current()
        self._scene = mujoco.MjvScene(model, _MAX_GEOMS)
        self._resources = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._resources)
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._closed = False
        # The driver's own exit handler, registered before this one, runs after it.
        atexit.register(_close_if_alive, weakref.ref(self))

    def fits(self, model: Any, height: int, width: int) -> bool:
        """Return whether this renderer was made for that very model and size."""
        return self._model is model and (self._height, self._width) == (height, width)

    def draw(self, data: Any, camera: int) -> np.ndarray:
        """Return uint8 (H, W, 3), first row on top; `camera` -1 is a free one on the model."""
        mujoco = self._mujoco
        self._context.make_current()
        for index in range(self._model.nhfield):  # terrain may change from episode to episode
            mujoco.mjr_uploadHField(self._model, self._resources, index)
        mujoco.mjv_updateScene(
            self._model,
            data,
            mujoco.MjvOption(),
            None,
            self._make_camera(camera),
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        mujoco.mjr_render(self._rectangle, self._scene, self._resources)
        picture = np.empty((self._height, self._width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(picture, None, self._rectangle, self._resources)
        return np.ascontiguousarray(picture[::-1])

    def close(self) -> None:
        """Free what the graphics driver holds; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._context.make_current()
        self._resources.free()
        self._context.free()

    def _make_camera(self, index: int) -> Any:
        camera = self._mujoco.MjvCamera()
        if index < 0:
            self._mujoco.mjv_defaultFreeCamera(self._model, camera)
        else:
            camera.type = self._mujoco.mjtCamera.mjCAMERA_FIXED
            camera.fixedcamid = index
        return camera


def _close_if_alive(reference: "weakref.ref[MujocoRenderer]") -> None:
    renderer = reference()
    if renderer is not None:
        renderer.close()


def _make_context(backend: str, height: int, width: int) -> Any:
    try:
        return importlib.import_module(f"mujoco.{backend}").GLContext(width, height)
    except (ImportError, RuntimeError, AttributeError) as error:
        raise RendererUnavailable(
            f"{backend.upper()} gave no drawing context ({error}). Install {PACKAGES}."
        ) from error


def _wanted_backends() -> tuple[str, ...]:
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    return (wanted,) if wanted in BACKENDS else BACKENDS


def _try_backend(backend: str, timeout: float) -> str | None:
    """Return why a back end does not work, or None when it does."""
    if importlib.util.find_spec("OpenGL") is None:
        return "PyOpenGL is not installed"
    code = f"from choreo.envs import rendering\nrendering.choose_backend = lambda: '{backend}'"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)}
    environment.update(MUJOCO_GL=backend, PYOPENGL_PLATFORM=backend)
    command = [sys.executable, "-c", code + _PROBE]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no frame within {timeout:.0f} s"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
