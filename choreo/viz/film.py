"""Pictures in motion: film strips as PNG and small mp4 videos."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from choreo.viz.drawing import GAP, INK, font, png, small_png
from choreo.viz.report import Film

LABEL = 92  # pixels left of a strip's rows
COLOURS = 128  # of a picture in a GIF [ours]

FilmForm = Literal["mp4", "gif", "webp"]
"""How a film is encoded: H.264, or as pictures that move wherever pictures are shown."""
MOST_PICTURES: dict[FilmForm, int | None] = {"mp4": None, "gif": 600, "webp": 600}
"""Pictures of a film at most; GIF and WebP are put together in memory. [ours]"""
LABELLED = 24  # pixels above a clip beside others


@dataclass(frozen=True)
class Clip:
    """Pictures uint8 (H, W, 3) of one episode, with what to write beside them."""

    label: str
    frames: Sequence[np.ndarray]


def clickable(clip: Clip, fps: float, anchor: str) -> Film:
    """A clip as a film that plays on click; before that its middle picture stands there."""
    still = Image.fromarray(clip.frames[len(clip.frames) // 2]).quantize(64)
    return Film(clip.label, encode_video(clip.frames, fps), anchor, png(still))


def film_strip(clips: Sequence[Clip], columns: int = 8) -> bytes:
    """A PNG with a row per clip and evenly spaced moments from left to right."""
    height, width = clips[0].frames[0].shape[:2]
    size = (LABEL + columns * (width + GAP), len(clips) * (height + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for row, clip in enumerate(clips):
        top = row * (height + GAP)
        draw.text((0, top + height // 2), clip.label, INK, font(15), anchor="lm")
        moments = np.linspace(0, len(clip.frames) - 1, columns).round().astype(int)
        for column, moment in enumerate(moments):
            place = (LABEL + column * (width + GAP), top)
            sheet.paste(Image.fromarray(clip.frames[moment]), place)
    return small_png(sheet)


def side_by_side(clips: Sequence[Clip], columns: int = 4) -> list[np.ndarray]:
    """Pictures (H, W, 3) with all clips under their labels; one that ends early stands still."""
    height, width = clips[0].frames[0].shape[:2]
    columns = min(columns, len(clips))
    rows, cell = -(-len(clips) // columns), height + LABELLED
    size = (columns * (width + GAP) - GAP, rows * (cell + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    draw, pictures = ImageDraw.Draw(sheet), []
    places = [(k % columns * (width + GAP), k // columns * (cell + GAP)) for k in range(len(clips))]
    for (left, top), clip in zip(places, clips):
        draw.text((left, top + LABELLED // 2), clip.label, INK, font(15), anchor="lm")
    for moment in range(max(len(clip.frames) for clip in clips)):
        for (left, top), clip in zip(places, clips):
            frame = clip.frames[min(moment, len(clip.frames) - 1)]
            sheet.paste(Image.fromarray(frame), (left, top + LABELLED))
        pictures.append(np.array(sheet))
    return pictures


def encode(frames: Iterable[np.ndarray], fps: float, form: FilmForm) -> bytes:
    """Encode pictures uint8 (H, W, 3), of which there is at least one, in one of the forms."""
    return encode_video(frames, fps) if form == "mp4" else _encode_moving(frames, fps, form)


def encode_video(frames: Iterable[np.ndarray], fps: float) -> bytes:
    """Encode pictures uint8 (H, W, 3) as an mp4 (H.264); odd sizes lose a row or column.

    Pictures are taken one by one, and equal ones give equal bytes: with more threads the encoder
    would decide otherwise from machine to machine.
    """
    import av  # 30 MB of libraries, wanted only where something is filmed

    first, every = _first_and_all(frames)
    height, width = (side - side % 2 for side in first.shape[:2])
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=max(1, round(fps)))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "26", "preset": "veryfast"}
        stream.codec_context.thread_count = 1
        for frame in every:
            picture = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return target.getvalue()


def _encode_moving(frames: Iterable[np.ndarray], fps: float, form: FilmForm) -> bytes:
    """A GIF or WebP that plays for ever; a GIF counts in hundredths of a second."""
    pictures = [Image.fromarray(frame) for frame in frames]
    if form == "gif":
        pictures = [picture.quantize(COLOURS, dither=Image.Dither.NONE) for picture in pictures]
    target, rest = io.BytesIO(), pictures[1:]
    step = 10 if form == "gif" else 1
    shown = max(step, round(1000 / fps / step) * step)
    pictures[0].save(target, form, save_all=True, append_images=rest, duration=shown, loop=0)
    return target.getvalue()


def _first_and_all(frames: Iterable[np.ndarray]) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    rest = iter(frames)
    first = next(rest)
    return first, chain([first], rest)
