import numpy as np
import pytest

from choreo.envs.rendering import images


@pytest.mark.parametrize(
    ("shape", "last"),
    [
        ((64, 64, 3), True),
        ((64, 64, 1), True),
        ((64, 64, 9), True),
        ((64, 64, 96), True),
        ((3, 64, 64), False),
        ((96, 64, 64), False),
        ((64, 64, 64), True),
        ((48, 64, 3), True),
        ((3, 48, 64), False),
    ],
)
def test_the_channels_are_the_axis_that_differs_or_the_shorter_end(
    shape: tuple[int, ...], last: bool
) -> None:
    assert images.channels_last(shape) is last


def test_an_image_is_turned_and_copied() -> None:
    image = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
    turned = images.channel_first(image, True)
    assert turned.shape == images.image_spec(image.shape, True).shape == (3, 32, 32)
    assert turned.flags.c_contiguous and turned[2, 4, 5] == image[4, 5, 2]
    kept = images.channel_first(turned, False)
    assert np.array_equal(kept, turned) and kept is not turned


def test_a_wrong_dtype_comes_with_the_conversion() -> None:
    assert images.looks_like_one((64, 64, 3)) and not images.looks_like_one((2, 64, 3))
    text = images.wrong_dtype("it", (64, 64, 3), np.dtype("float32"))
    assert "float32" in text and "(255 * image).round().astype(numpy.uint8)" in text
