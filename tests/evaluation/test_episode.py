"""Episodes keep small copies of every image and of the images themselves only a few."""

import numpy as np
import pytest
from toy_episodes import episode_of

from choreo.evaluation.episode import Episode, thumbnails

SIZE = 32


def levels(count: int) -> np.ndarray:
    """Images (count, 3, 32, 32) whose level is 10 times their number."""
    return np.broadcast_to(
        10 * np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 3, SIZE, SIZE)
    )


@pytest.fixture
def episode() -> Episode:
    return episode_of(2, images=levels(6), image_steps=[0, 2, 3, 5])


def test_thumbnails_are_means_of_areas() -> None:
    images = np.zeros((2, 3, 32, 64), np.uint8)
    images[1, 0, :2, :4] = 90  # one channel of one area: a third of it in grey
    images[1, :, 30:, 60:62] = 200  # half an area
    small = thumbnails(images).reshape(2, 16, 16)
    assert small.dtype == np.uint8
    assert small[0].max() == 0
    assert small[1, 0, 0] == 30
    assert small[1, 15, 15] == 100
    assert np.count_nonzero(small) == 2


def test_thumbnails_of_odd_and_tiny_images() -> None:
    assert thumbnails(np.full((1, 1, 33, 50), 7, np.uint8)).tolist() == [[7] * 256]
    assert thumbnails(np.full((3, 2, 5, 20), 9, np.uint8)).shape == (3, 5 * 16)


def test_one_vector_per_step_is_small_and_grey(episode: Episode) -> None:
    flat = episode.flat_observations()
    assert flat.shape == (6, 256)
    assert flat.dtype == np.float32
    np.testing.assert_allclose(flat[:, 100], np.arange(6) * 10 / 255, rtol=1e-6)
    assert episode.vectors().shape == (6, 0)


def test_images_are_found_by_their_step(episode: Episode) -> None:
    assert episode.image_at(3)["image"].max() == 30
    with pytest.raises(AssertionError, match="step 4 was not kept"):
        episode.image_at(4)


def test_cutting_cuts_images_too(episode: Episode) -> None:
    short = episode.cut(3)
    assert short.image_steps.tolist() == [0, 2, 3]
    assert len(short.images["image"]) == 3
    assert len(short.thumbnails["image"]) == len(short.distances) == 4


def test_images_can_be_let_go(episode: Episode) -> None:
    fewer = episode.with_images(np.array([1, 2, 5]))
    assert fewer.image_steps.tolist() == [2, 5]
    assert fewer.images["image"][:, 0, 0, 0].tolist() == [20, 50]
    assert fewer.images["image"].base is None  # nothing holds on to the others
