"""Cells of a grid, counted by hand."""

import numpy as np
import pytest
from toy_episodes import episode_of

from choreo.evaluation import coverage
from choreo.evaluation.coverage import Grid, Projection, make_projection, measure_coverage


def test_cells_of_a_small_grid() -> None:
    grid = Grid(np.array([0.0, 0.0]), np.array([1.0, 1.0]), bins=2)
    points = np.array([[0.1, 0.1], [0.2, 0.4], [0.6, 0.1], [1.0, 1.0], [0.9, 0.9]])
    assert grid.cells == 4
    assert grid.visited(points) == 3
    assert grid.cell_of(np.array([[1.0, 1.0]]))[0] == grid.cell_of(np.array([[0.5, 0.5]]))[0]


def test_a_coordinate_that_never_changes_is_one_cell() -> None:
    points = np.array([[0.0, 7.0], [1.0, 7.0]])
    assert Grid.around(points).visited(points) == 2


def test_all_data_share_the_grid_and_starts_do_not_count() -> None:
    # One coordinate from 0 to 50 makes 50 cells of width 1, set by the wide walk alone.
    wide = [episode_of(k, coordinates=[[9.0], [0.0], [50.0]]) for k in range(2)]
    narrow = [
        episode_of(0, coordinates=[[30.0], [10.5], [10.7], [11.5]]),
        episode_of(1, coordinates=[[30.0], [11.2], [12.5]]),
    ]
    result = measure_coverage({"wide": wide, "narrow": narrow}, Projection(("x",)), skills=2)
    assert result.cells == 50
    assert result.visited == {"wide": 2, "narrow": 3}
    assert result.per_skill["narrow"] == [2, 2]


def test_named_coordinates_come_first() -> None:
    episode = episode_of(0, coordinates=[[1.0, 2.0], [3.0, 4.0]])
    projection = make_projection(("x", "y"), [episode])
    np.testing.assert_array_equal(projection(episode), episode.coordinates)


def test_components_of_an_unknown_environment() -> None:
    # Two observations that move together and a constant one: one direction holds everything.
    t = np.linspace(-1, 1, 21)
    observations = np.stack([t, 100 * t, np.ones(21)], axis=1)
    episode = episode_of(0, coordinates=np.zeros((21, 0)), observations=observations)
    projection = make_projection((), [episode])
    points = projection(episode)
    assert projection.names == ("component 1", "component 2", "component 3")
    assert points[:, 0].std() > 1
    np.testing.assert_allclose(points[:, 1:], 0, atol=1e-5)
    assert abs(np.corrcoef(points[:, 0], t)[0, 1]) > 0.999


def test_components_of_images_are_those_of_small_grey_copies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The right half brightens with time; only every fourth step is used to find the direction.
    monkeypatch.setattr(coverage, "IMAGE_ROWS", 6)
    images = np.full((21, 3, 64, 64), 50, np.uint8)
    images[..., 32:] = 10 * np.arange(21, dtype=np.uint8)[:, None, None, None]
    episode = episode_of(0, coordinates=np.zeros((21, 0)), images=images, image_steps=[])
    projection = make_projection((), [episode])
    points = projection(episode)
    assert points.shape == (21, 3)
    assert abs(np.corrcoef(points[:, 0], np.arange(21))[0, 1]) > 0.999
    np.testing.assert_allclose(points[:, 1:], 0, atol=1e-3)
