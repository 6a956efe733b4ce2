"""Images that environments show themselves: which axis holds the channels, and turning it first."""

from typing import Any

import numpy as np

from choreo.envs.spaces import ArraySpec

_LEAST_SIDE = 16  # pixels; a floating-point array with two such sides is taken for an image


def channels_last(shape: tuple[int, ...]) -> bool:
    """Return whether an image of this shape is (H, W, C) and not (C, H, W).

    The channels are the axis that differs where the others are equal, else the shorter end; (H, W,
    C) when neither tells.
    """
    first, middle, last = shape
    if middle in (first, last) and first != last:
        return middle == first
    return last <= first


def image_spec(shape: tuple[int, ...], last: bool) -> ArraySpec:
    """Return the channel-first spec of an image of shape (H, W, C) if `last`, else (C, H, W)."""
    return ArraySpec((shape[2], shape[0], shape[1]) if last else tuple(shape), "uint8")


def channel_first(image: Any, last: bool) -> np.ndarray:
    """Return a fresh contiguous uint8 (C, H, W) of an image (H, W, C) if `last`, else (C, H, W)."""
    array = np.asarray(image)
    return np.array(array.transpose(2, 0, 1) if last else array, dtype=np.uint8, order="C")


def looks_like_one(shape: tuple[int, ...]) -> bool:
    """Return whether an array of this shape must be an image, whatever its dtype."""
    return len(shape) == 3 and sorted(shape)[1] >= _LEAST_SIDE


def wrong_dtype(name: str, shape: tuple[int, ...], dtype: Any) -> str:
    """Say in a sentence how to make an image uint8."""
    return (
        f"{name} is an image of shape {tuple(shape)} with dtype {dtype}; images are uint8 from 0 to"
        " 255. Where it lies in [0, 1], let the environment declare uint8 and return"
        " (255 * image).round().astype(numpy.uint8)."
    )
