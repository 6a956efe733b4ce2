"""Keeps the renderers of one MuJoCo environment, one for each size of picture."""

from typing import Any

import numpy as np

from choreo.envs.rendering.backends import MujocoRenderer

_TEST_SIZE = 32  # pixels
_STEEP = 0.95  # a camera that looks down or up more steeply has no upright picture


class Artist:
    """Draws a MuJoCo model at any size; models compiled anew are noticed."""

    def __init__(self) -> None:
        self._renderers: dict[tuple[int, int], MujocoRenderer] = {}

    def draw(self, model: Any, data: Any, camera: int, height: int, width: int) -> np.ndarray:
        """Return uint8 (H, W, 3) from a camera index; -1 is a free camera on the model.

        Raises `RendererUnavailable`.
        """
        return self._renderer(model, height, width).draw(data, camera)

    def find_upside_down(self, model: Any, data: Any, camera: int) -> str | None:
        """Say in a sentence how pictures from a camera are upside down, or return None.

        Marks above and below the middle must be drawn there, and the world's upward direction must
        not be down in the picture, unless the camera turns with a body or looks straight down.
        """
        renderer = MujocoRenderer(model, _TEST_SIZE, _TEST_SIZE)
        try:
            plain = renderer.draw(data, camera).astype(np.int16)
            marked = (renderer.draw(data, camera, mark) for mark in (0.5, -0.5))
            above, below = (_upper_share(picture, plain) for picture in marked)
            eye = renderer.update_scene(data, camera).camera[0]
            hangs = eye.up[2] < 0 and abs(eye.forward[2]) < _STEEP
        finally:
            renderer.close()
        if above < 0.5 or below > 0.5:
            return (
                "The renderer draws upside down: a mark above the middle appears below it. Choose"
                " another back end with MUJOCO_GL=egl or MUJOCO_GL=osmesa."
            )
        if hangs and not _turns_with_a_body(model, camera):
            return (
                f"The camera {_name(model, camera)} hangs upside down. Turn it by half a turn about"
                " its line of sight, or choose another with the option cameras."
            )
        return None

    def close(self) -> None:
        """Free all renderers; a later `draw` makes new ones."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def _renderer(self, model: Any, height: int, width: int) -> MujocoRenderer:
        renderer = self._renderers.get((height, width))
        if renderer is not None and renderer.fits(model, height, width):
            return renderer
        if renderer is not None:
            renderer.close()
        renderer = self._renderers[height, width] = MujocoRenderer(model, height, width)
        return renderer


def _upper_share(picture: np.ndarray, plain: np.ndarray) -> float:
    """Return which share of what a mark has changed lies in the upper half; 0.5 for nothing."""
    rows = np.abs(picture - plain).sum((1, 2))
    return float(rows[: len(rows) // 2].sum() / rows.sum()) if rows.any() else 0.5


def _turns_with_a_body(model: Any, camera: int) -> bool:
    return camera >= 0 and model.cam_bodyid[camera] != 0 and model.cam_mode[camera] == 0


def _name(model: Any, camera: int) -> str:
    return f"'{model.camera(camera).name or camera}'" if camera >= 0 else "of the whole model"
