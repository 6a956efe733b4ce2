"""Letters, gaps and the way from a picture to bytes, for whatever is put together of pictures."""

import io

import numpy as np
from PIL import Image, ImageFont

GAP = 4  # pixels between pictures
INK = "#1f2933"


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The letters of all pictures."""
    return ImageFont.load_default(size)


def small_png(picture: Image.Image) -> bytes:
    """A picture as PNG of 256 colours, which takes a third of the bytes and looks the same."""
    return png(picture.convert("RGB").quantize(256))


def png(picture: Image.Image) -> bytes:
    """A picture as PNG."""
    target = io.BytesIO()
    picture.save(target, "PNG", optimize=True)
    return target.getvalue()


def enlarge(picture: np.ndarray, factor: int) -> np.ndarray:
    """Every pixel of (..., H, W, 3) as a square of `factor` x `factor`."""
    return picture.repeat(factor, axis=-3).repeat(factor, axis=-2)
