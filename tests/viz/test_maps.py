"""Maps are drawn at any number of skills, and nearly all of every path is inside."""

import io

import numpy as np
import pytest
from PIL import Image

from choreo.viz.maps import SkillPath, _limits, skill_grid, skill_map


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
    (low_x, high_x), (low_y, high_y) = _limits([SkillPath(0, np.array([[0.0, 5.0], [10.0, 5.0]]))])
    assert (low_x, high_x) == pytest.approx((-0.5, 10.5), abs=0.02)
    assert low_y < 5 < high_y
