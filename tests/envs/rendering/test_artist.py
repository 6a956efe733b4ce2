import importlib
from typing import Any

import numpy as np
import pytest

from choreo.envs.rendering import backends
from choreo.envs.rendering.artist import Artist

pytestmark = pytest.mark.rendering

# A red ball over a blue one, seen from the front, hanging, from above and by a ball that turns.
MODEL = """
<mujoco>
  <worldbody>
    <light pos="0 -3 3"/>
    <geom size=".3" pos="0 0 .5" rgba="1 0 0 1"/>
    <geom size=".3" pos="0 0 -.5" rgba="0 0 1 1"/>
    <camera name="front" pos="0 -3 0" xyaxes="1 0 0 0 0 1"/>
    <camera name="hanging" pos="0 -3 0" xyaxes="-1 0 0 0 0 -1"/>
    <camera name="above" pos="0 0 4" xyaxes="1 0 0 0 1 0"/>
    <body pos="3 0 0"><freejoint/><geom size=".1"/>
      <camera name="eye" pos="0 -3 0" xyaxes="-1 0 0 0 0 -1"/></body>
  </worldbody>
</mujoco>
"""
FRONT, HANGING, ABOVE, EYE, FREE = 0, 1, 2, 3, -1


@pytest.fixture
def scene(renderer: str) -> tuple[Any, Any]:
    mujoco: Any = importlib.import_module("mujoco")
    model = mujoco.MjModel.from_xml_string(MODEL)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def test_what_is_above_is_drawn_above(scene: tuple[Any, Any]) -> None:
    artist = Artist()
    picture = artist.draw(*scene, FRONT, 32, 48).astype(int)
    assert picture.shape == (32, 48, 3)
    red, blue = picture[..., 0].sum(1), picture[..., 2].sum(1)
    assert red[:16].sum() > 3 * red[16:].sum() and blue[16:].sum() > 3 * blue[:16].sum()
    artist.close()


@pytest.mark.parametrize("camera", [FRONT, ABOVE, EYE, FREE])
def test_upright_steep_and_turning_cameras_are_not_upside_down(
    scene: tuple[Any, Any], camera: int
) -> None:
    assert Artist().find_upside_down(*scene, camera) is None


def test_a_hanging_camera_is_found_by_name(scene: tuple[Any, Any]) -> None:
    assert "camera 'hanging' hangs" in (Artist().find_upside_down(*scene, HANGING) or "")


def test_a_renderer_that_draws_upside_down_is_found(
    scene: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    upright = backends.MujocoRenderer._read
    monkeypatch.setattr(backends.MujocoRenderer, "_read", lambda self: upright(self)[::-1])
    assert "renderer draws upside down" in (Artist().find_upside_down(*scene, FRONT) or "")


def test_looking_for_it_leaves_scene_and_state_alone(scene: tuple[Any, Any]) -> None:
    artist = Artist()
    model, data = scene
    before, state = artist.draw(model, data, FRONT, 32, 32), data.qpos.copy()
    artist.find_upside_down(model, data, FRONT)
    assert np.array_equal(artist.draw(model, data, FRONT, 32, 32), before)
    assert np.array_equal(state, data.qpos)
    artist.close()


def test_terrain_that_changes_is_drawn_anew(renderer: str) -> None:
    mujoco: Any = importlib.import_module("mujoco")
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><asset><hfield name='h' nrow='9' ncol='9' size='2 2 1 .1'/></asset><worldbody>"
        "<light pos='0 0 5'/><geom type='hfield' hfield='h'/></worldbody></mujoco>"
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    artist = Artist()
    flat = artist.draw(model, data, FREE, 32, 32)
    model.hfield_data[:] = np.linspace(0, 1, 81)
    hills = artist.draw(model, data, FREE, 32, 32)
    assert not np.array_equal(flat, hills)
    assert np.array_equal(hills, Artist().draw(model, data, FREE, 32, 32))


def test_a_model_compiled_anew_is_noticed(scene: tuple[Any, Any], renderer: str) -> None:
    mujoco: Any = importlib.import_module("mujoco")
    artist = Artist()
    first = artist.draw(*scene, FRONT, 32, 32)
    other = mujoco.MjModel.from_xml_string(MODEL.replace("1 0 0 1", "0 1 0 1"))
    data = mujoco.MjData(other)
    mujoco.mj_forward(other, data)
    assert not np.array_equal(first, artist.draw(other, data, FRONT, 32, 32))
    assert np.array_equal(first, artist.draw(*scene, FRONT, 32, 32))
