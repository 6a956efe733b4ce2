"""Maps are drawn at any number of skills, and nearly all of every path is inside."""

import io

import numpy as np
import pytest
from PIL import Image

from choreo.viz.maps import SkillPath, _broken, _limits, skill_grid, skill_map


def paths(skills: int) -> list[SkillPath]:
    rng = np.random.default_rng(0)
    return [SkillPath(k, rng.normal(size=(20, 2)).cumsum(0)) for k in range(skills)]


@pytest.mark.parametrize("skills", [1, 4, 17])
def test_maps_are_pictures_with_colour(skills: int) -> None:
    three = {"trained": paths(skills), "untrained": paths(skills), "random": paths(skills)}
    for png in (
        skill_map(three, ("x", "y"), skills),
        skill_grid(paths(skills), ("a", "b"), skills),
    ):
        picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
        assert (np.ptp(picture, axis=2) > 60).sum() > 20


def test_limits_hold_the_points_and_a_margin() -> None:
    path = SkillPath(0, np.array([[0.0, 5.0], [10.0, 5.0]]))
    (low_x, high_x), (low_y, high_y) = _limits([path], ("height", "speed"))
    assert (low_x, high_x) == pytest.approx((-0.5, 10.5), abs=0.02)
    assert low_y < 5 < high_y
    (_, _), (low_y, high_y) = _limits([path], ("x", "y"))
    assert (low_y, high_y) == pytest.approx((-0.5, 10.5), abs=0.02)


def test_lines_stop_where_an_angle_wraps() -> None:
    points = np.array([[0.0, 3.0], [1.0, 3.1], [2.0, -3.1], [3.0, -3.0]])
    (path,) = _broken([SkillPath(4, points)], ((0.0, 10.0), (-3.2, 3.2)))
    assert path.skill == 4
    assert np.isnan(path.points[2]).all()
    np.testing.assert_array_equal(path.points[[0, 1, 3, 4]], points)
