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
from typing import Any, NamedTuple

import numpy as np

from choreo.envs.rendering import egl, watchdog
from choreo.errors import RendererUnavailable

BACKENDS = ("egl", "osmesa")
PACKAGES = "libegl1 libgl1-mesa-dri (EGL) or libosmesa6 (OSMesa)"
FIRST_FRAME_SECONDS = 120.0

# Tells this program's own processes, which inherit it, that the back end has drawn before.
_TRIED_VARIABLE = "CHOREO_DRAWS_WITH"

# Geoms a scene can hold; the largest suite scenes have a few hundred.
_MAX_GEOMS = 2000

_PROBE = """
import mujoco
from choreo.envs.rendering import backends, egl
device = egl.select_device() if select else ""
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = backends.MujocoRenderer(model, 32, 32)
picture = renderer.draw(data, -1)
renderer.close()
if not picture.any():
    raise SystemExit("the picture is black")
print("drawn", device)
"""


@dataclass(frozen=True)
class RendererProbe:
    """Whether frames can be drawn here: the working back end or None, and a sentence on it.

    `egl_device` is the index of the EGL device to draw with, "" for MuJoCo's own choice.
    """

    backend: str | None
    sentence: str
    egl_device: str = ""


class Attempt(NamedTuple):
    """Why a back end did not draw, None when it did, and the EGL device it drew with or ""."""

    failure: str | None
    egl_device: str = ""


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
        failure, device = try_backend(backend, timeout)
        if failure is None:
            return RendererProbe(backend, f"Frames are drawn with {backend.upper()}.", device)
        failures.append(f"{backend.upper()}: {failure}")
    only = os.environ.get("MUJOCO_GL", "")
    advice = (
        f"MUJOCO_GL={only} lets nothing else be tried: unset it, or install"
        if len(failures) < len(BACKENDS)
        else "On Debian and Ubuntu install"
    )
    sentence = f"No frame can be drawn here ({'; '.join(failures)}). {advice} {PACKAGES}."
    return RendererProbe(None, sentence)


@functools.cache
def choose_backend() -> str:
    """Return "egl" or "osmesa", whichever draws here, and set MUJOCO_GL and PYOPENGL_PLATFORM.

    Must come before any import of OpenGL. With EGL and CUDA, drawing is done by the graphics card
    that CUDA uses. Raises `RendererUnavailable` when neither back end works.
    """
    tried = os.environ.get(_TRIED_VARIABLE, "")
    if tried in BACKENDS and tried == os.environ.get("MUJOCO_GL"):
        return tried
    result = probe()
    if result.backend is None:
        raise RendererUnavailable(result.sentence)
    use_backend(result.backend, result.egl_device)
    return result.backend


def use_backend(backend: str, egl_device: str = "") -> None:
    """Name the back end to MuJoCo, Gymnasium and PyOpenGL, which read it from the environment."""
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM", _TRIED_VARIABLE):
        os.environ[name] = backend
    if egl_device:
        os.environ[egl.DEVICE_VARIABLE] = egl_device


class MujocoRenderer:
    """Draws a MuJoCo model off screen at one size (pixels); it changes nothing in the data."""

    def __init__(self, model: Any, height: int, width: int) -> None:
        backend = choose_backend()
        mujoco: Any = importlib.import_module("mujoco")
        self._mujoco = mujoco
        self._model = model
        self._height, self._width = height, width
        self._scene = mujoco.MjvScene(model, _MAX_GEOMS)
        with _watched(backend):
            self._context = _make_context(backend, height, width)
            self._context.make_current()
            self._resources = _make_resources(mujoco, model, height, width)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._resources)
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._options = mujoco.MjvOption()
        self._cameras: dict[int, Any] = {}
        self._terrain = model.hfield_data.copy()
        self._closed = False
        self._first_watch: Any = _watched(backend)
        # The driver's own exit handler, registered before this one, runs after it.
        self._at_exit = functools.partial(_close_if_alive, weakref.ref(self))
        atexit.register(self._at_exit)

    def fits(self, model: Any, height: int, width: int) -> bool:
        """Return whether this renderer was made for that very model and size."""
        return self._model is model and (self._height, self._width) == (height, width)

    def draw(self, data: Any, camera: int, mark: float | None = None) -> np.ndarray:
        """Return uint8 (H, W, 3), first row on top, a fresh array whose rows lie backwards.

        `camera` -1 is a free one on the model. `mark`, for tests of the renderer, puts a ball
        before the camera, from -1 at the lower edge of the picture to 1 at its upper edge.
        """
        self._context.make_current()
        self._upload_terrain()
        scene = self.update_scene(data, camera)
        if mark is not None:
            _add_mark(self._mujoco, scene, mark)
        with self._first_watch:
            picture = self._read()
        self._first_watch = contextlib.nullcontext()
        return picture

    def update_scene(self, data: Any, camera: int) -> Any:
        """Put the state's geoms into the scene (MjvScene) as the camera sees them; return it."""
        self._mujoco.mjv_updateScene(
            self._model,
            data,
            self._options,
            None,
            self._find_camera(camera),
            self._mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        return self._scene

    def close(self) -> None:
        """Free what the graphics driver holds; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self._at_exit)
        self._context.make_current()
        self._resources.free()
        self._context.free()

    def _read(self) -> np.ndarray:
        self._mujoco.mjr_render(self._rectangle, self._scene, self._resources)
        picture = np.empty((self._height, self._width, 3), dtype=np.uint8)
        self._mujoco.mjr_readPixels(picture, None, self._rectangle, self._resources)
        return picture[::-1]

    def _upload_terrain(self) -> None:
        """Give the driver the height fields again where an episode has changed them."""
        if np.array_equal(self._model.hfield_data, self._terrain):
            return
        for index in range(self._model.nhfield):
            self._mujoco.mjr_uploadHField(self._model, self._resources, index)
        self._terrain = self._model.hfield_data.copy()

    def _find_camera(self, index: int) -> Any:
        if index not in self._cameras:
            self._cameras[index] = self._make_camera(index)
        return self._cameras[index]

    def _make_camera(self, index: int) -> Any:
        camera = self._mujoco.MjvCamera()
        if index < 0:
            self._mujoco.mjv_defaultFreeCamera(self._model, camera)
        else:
            camera.type = self._mujoco.mjtCamera.mjCAMERA_FIXED
            camera.fixedcamid = index
        return camera


def _make_resources(mujoco: Any, model: Any, height: int, width: int) -> Any:
    """Return what the driver holds of a model, with a buffer of exactly this size (pixels)."""
    visual = model.vis.global_
    before = visual.offwidth, visual.offheight
    visual.offwidth, visual.offheight = width, height
    try:
        return mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
    finally:
        visual.offwidth, visual.offheight = before


def _add_mark(mujoco: Any, scene: Any, height: float) -> None:
    """Add a bright ball to a scene, nearer to its camera than anything of the model."""
    left, right = scene.camera[0], scene.camera[1]
    distance = 3 * left.frustum_near
    half = 3 * left.frustum_top  # of the picture's height (m) at that distance
    middle = (left.pos + right.pos) / 2 + distance * left.forward
    mujoco.mjv_initGeom(
        scene.geoms[scene.ngeom],
        mujoco.mjtGeom.mjGEOM_SPHERE,
        np.full(3, 0.2 * half, np.float64),
        (middle + height * half * left.up).astype(np.float64),
        np.eye(3).ravel(),
        np.array([1, 0, 1, 1], np.float32),
    )
    scene.geoms[scene.ngeom].emission = 1
    scene.ngeom += 1


def _watched(backend: str) -> contextlib.AbstractContextManager[None]:
    other = next(name for name in BACKENDS if name != backend)
    return watchdog.limited(
        FIRST_FRAME_SECONDS,
        f"{backend.upper()} drew no first frame within {FIRST_FRAME_SECONDS:.0f} s: the graphics"
        f" driver hangs. Try MUJOCO_GL={other}, or fewer environments at once; `choreo doctor`"
        " tries both back ends.",
    )


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


def try_backend(backend: str, timeout: float = 60.0) -> Attempt:
    """Draw one frame in a process of its own; EGL first on the graphics card that CUDA uses."""
    if importlib.util.find_spec("OpenGL") is None:
        return Attempt("PyOpenGL is not installed")
    attempt = _draw_apart(backend, backend == "egl", timeout)
    if attempt.failure is not None and backend == "egl" and egl.DEVICE_VARIABLE not in os.environ:
        return _draw_apart(backend, False, timeout)
    return attempt


def _draw_apart(backend: str, select: bool, timeout: float) -> Attempt:
    code = (
        "from choreo.envs.rendering import backends\n"
        f"backends.choose_backend = lambda: '{backend}'\nselect = {select}\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)}
    environment.update(MUJOCO_GL=backend, PYOPENGL_PLATFORM=backend)
    command = [sys.executable, "-P", "-c", code + _PROBE]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return Attempt(f"no frame within {timeout:.0f} s")
    words = done.stdout.split()
    if done.returncode == 0 and words[:1] == ["drawn"]:
        return Attempt(None, "".join(words[1:]))
    lines = done.stderr.strip().splitlines()
    return Attempt(lines[-1] if lines else f"exit code {done.returncode}")
