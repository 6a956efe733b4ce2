"""Film strips and videos show the right pictures in the right places."""

import io

import av
import numpy as np
from PIL import Image

from choreo.viz.film import GAP, LABEL, Clip, encode_video, film_strip

SIZE = 32


def clip(label: str, colours: list[int]) -> Clip:
    return Clip(label, [np.full((SIZE, SIZE, 3), colour, np.uint8) for colour in colours])


def test_a_strip_has_a_row_per_clip_and_even_moments() -> None:
    png = film_strip([clip("skill 0", list(range(0, 50, 10))), clip("skill 1", [200])], columns=3)
    sheet = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    assert sheet.shape == (2 * SIZE + GAP, LABEL + 3 * (SIZE + GAP), 3)
    columns = [LABEL + n * (SIZE + GAP) + SIZE // 2 for n in range(3)]
    assert [sheet[SIZE // 2, column, 0] for column in columns] == [0, 20, 40]
    assert [sheet[SIZE + GAP + SIZE // 2, column, 0] for column in columns] == [200] * 3
    assert sheet[:SIZE, :LABEL].min() < 100  # the label


def test_a_video_can_be_played_again() -> None:
    frames = [np.full((33, 64, 3), level, np.uint8) for level in range(0, 250, 25)]
    data = encode_video(frames, fps=10)
    with av.open(io.BytesIO(data), "r") as container:
        played = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(played) == 10
    assert played[0].shape == (32, 64, 3)  # H.264 wants even sides
    assert abs(int(played[-1].mean()) - 225) < 12
