"""Truth, model and difference stand where they belong, and the border tells who still sees."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image, ImageColor

from choreo.viz import encode_video
from choreo.viz.compare import (
    BORDER,
    LABEL,
    LINE,
    PREDICTS,
    SEES,
    Card,
    Comparison,
    card_sheet,
    comparison_film,
    comparison_strip,
    enlargement,
)
from choreo.viz.drawing import GAP

SIZE, LENGTH, SEEN = 64, 50, 5
SHOWN = 2 * SIZE  # small pictures are shown twice as large


def comparison(label: str = "skill 1", length: int = LENGTH) -> Comparison:
    """Truth brightens by 4 a step, the model stays at 100."""
    truth = np.empty((length, SIZE, SIZE, 3), np.uint8)
    truth[:] = 4 * np.arange(length)[:, None, None, None]
    return Comparison(label, truth, np.full_like(truth, 100), SEEN)


def centres(sheet: np.ndarray, left: int, top: int) -> list[int]:
    """Levels in the middle of three pictures side by side."""
    step = SHOWN + GAP
    return [int(sheet[top + SHOWN // 2, left + n * step + SHOWN // 2, 0]) for n in range(3)]


def border(sheet: np.ndarray, left: int, top: int) -> list[int]:
    """The border's colour of the picture whose corner is given."""
    corner = sheet[top : top + BORDER, left : left + SHOWN]
    assert (corner == corner[0, 0]).all()
    return corner[0, 0].tolist()


def test_difference_is_black_where_both_agree() -> None:
    truth, model, difference = comparison().pictures(25, 1)
    assert (truth == 100).all()
    assert (model[BORDER:-BORDER, BORDER:-BORDER] == 100).all()
    assert (difference == 0).all()
    assert (comparison().pictures(0, 1)[2] == 100).all()  # no wrap below zero
    assert comparison().pictures(99, 1)[0].max() == 4 * (LENGTH - 1)


def test_a_film_shows_every_moment_and_when_the_model_stops_seeing() -> None:
    film = comparison_film([comparison("a"), comparison("b"), comparison("c", 20)])
    assert len(film) == LENGTH
    top, right = LINE + GAP + 2 * LINE, 3 * (SHOWN + GAP) + 4 * GAP
    assert centres(film[10], 0, top) == [40, 100, 60]
    assert centres(film[40], right, top) == [160, 100, 60]
    second = top + 2 * LINE + SHOWN + 2 * GAP
    assert centres(film[40], 0, second) == [76, 100, 24]  # the short one waits at its end
    for moment, colour in ((SEEN - 1, SEES), (SEEN, PREDICTS)):
        assert border(film[moment], SHOWN + GAP, top) == list(ImageColor.getrgb(colour))
    assert encode_video(film, 8).startswith(b"\x00\x00")


def test_a_strip_has_three_rows_per_comparison() -> None:
    sheet = np.asarray(Image.open(io.BytesIO(comparison_strip([comparison(), comparison("b")]))))
    columns = [0, 4, 5, 9, 19, 34, 49]  # the first and last seen; 1, 5, 15, 30 and 45 ahead
    assert sheet.shape[1] == LABEL + len(columns) * (SHOWN + GAP)
    block = 3 * (SHOWN + GAP) + 3 * GAP
    assert sheet.shape[0] == LINE + 2 * block
    for column, moment in enumerate(columns):
        left = LABEL + column * (SHOWN + GAP)
        middle = left + SHOWN // 2
        rows = [LINE + block + n * (SHOWN + GAP) + SHOWN // 2 for n in range(3)]
        levels = [int(sheet[row, middle, 0]) for row in rows]
        assert levels == [4 * moment, 100, abs(4 * moment - 100)]
        colour = list(ImageColor.getrgb(SEES if moment < SEEN else PREDICTS))
        assert border(sheet, left, LINE + SHOWN + GAP) == colour


@pytest.mark.parametrize(
    ("shape", "columns", "factor"),
    [((64, 64), 1, 2), ((32, 32), 1, 4), ((128, 128), 1, 1), ((64, 128), 7, 1), ((200, 900), 3, 1)],
)
def test_pictures_are_enlarged_as_far_as_they_fit(
    shape: Sequence[int], columns: int, factor: int
) -> None:
    assert enlargement(np.zeros((5, *shape, 3)), columns=columns) == factor


@pytest.mark.parametrize(("count", "shown"), [(3, SHOWN), (17, SIZE)])
def test_a_sheet_has_a_card_for_each(count: int, shown: int) -> None:
    cards = [
        Card(f"skill {n}", [np.full((SIZE, SIZE, 3), n * 10 + k, np.uint8) for k in range(3)])
        for n in range(count)
    ]
    sheet = np.asarray(Image.open(io.BytesIO(card_sheet(cards, ("one", "two", "three")))))
    width, height = 3 * (shown + 1) + 4 * GAP, LINE + shown + 2 * GAP
    columns = sheet.shape[1] // width
    assert columns == min(count, 1060 // width)
    number = columns + 1 if count > columns + 1 else columns - 1
    top = LINE + number // columns * height + LINE + shown // 2
    left = number % columns * width + shown // 2
    levels = [int(sheet[top, left + n * (shown + 1), 0]) for n in range(3)]
    assert levels == [10 * number, 10 * number + 1, 10 * number + 2]
