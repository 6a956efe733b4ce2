"""What happened beside what a model drew, as a film, a strip and a sheet."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from choreo.viz.drawing import GAP, INK, enlarge, font, png

SIDE = 128  # least height of a picture in pixels; small ones are enlarged [ours]
FEW = 16  # cards that are shown large [ours]
WIDTH = 1060  # pixels that fit into the page
LABEL = 92  # pixels left of a strip's rows
LINE = 20  # pixels of a line of text
BORDER = 3
SEES, PREDICTS = "#0f766e", "#d9822b"  # border of the model's pictures
NAMES = ("truth", "model", "difference")
AHEAD = (1, 5, 15, 30, 45)  # steps ahead that a strip shows


@dataclass(frozen=True)
class Comparison:
    """Pictures (T, H, W, 3) uint8 of what happened and what a model drew, who saw `seen` steps."""

    label: str
    truth: np.ndarray
    model: np.ndarray
    seen: int

    def pictures(self, moment: int, factor: int) -> list[np.ndarray]:
        """Truth, model and difference at one moment, enlarged, the model's in its border.

        The difference is black where the two agree. After the last moment that one stays.
        """
        moment = min(moment, len(self.truth) - 1)
        truth, model = self.truth[moment], self.model[moment]
        difference = np.abs(truth.astype(np.int16) - model).astype(np.uint8)
        drawn = [enlarge(picture, factor) for picture in (truth, model, difference)]
        drawn[1] = _bordered(drawn[1], SEES if moment < self.seen else PREDICTS)
        return drawn


def enlargement(picture: np.ndarray, side: int = SIDE, columns: int = 1) -> int:
    """How many times to enlarge (..., H, W, 3): up to `side` high, as far as the columns fit."""
    height, width = picture.shape[-3:-1]
    return max(1, min(side // height, (WIDTH - LABEL) // (columns * (width + GAP))))


def comparison_film(comparisons: Sequence[Comparison]) -> list[np.ndarray]:
    """All comparisons played together, with a headline that says when the model stops seeing.

    A comparison that is shorter than the others stays at its last moment.
    """
    factor = enlargement(comparisons[0].truth, columns=3)
    cell = comparisons[0].pictures(0, factor)[0].shape
    tile = (2 * LINE + cell[0] + 2 * GAP, 3 * (cell[1] + GAP) + 4 * GAP)
    columns = min(len(comparisons), max(1, WIDTH // tile[1]))
    rows = -(-len(comparisons) // columns)
    film = []
    for moment in range(max(len(c.truth) for c in comparisons)):
        sheet = Image.new("RGB", (columns * tile[1], LINE + GAP + rows * tile[0]), "white")
        _headline(sheet, moment, comparisons[0].seen)
        for number, comparison in enumerate(comparisons):
            place = (number % columns * tile[1], LINE + GAP + number // columns * tile[0])
            _tile(sheet, place, comparison.label, comparison.pictures(moment, factor))
        film.append(np.asarray(sheet))
    return film


def _headline(sheet: Image.Image, moment: int, seen: int) -> None:
    if moment < seen:
        text, colour = f"The model sees: step {moment + 1} of {seen}", SEES
    else:
        ahead = moment - seen + 1
        steps = "1 step" if ahead == 1 else f"{ahead} steps"
        text, colour = f"The model no longer sees and predicts {steps} ahead", PREDICTS
    ImageDraw.Draw(sheet).text((0, LINE // 2), text, colour, font(15), anchor="lm")


def _tile(
    sheet: Image.Image, place: tuple[int, int], label: str, pictures: Sequence[np.ndarray]
) -> None:
    draw, (left, top) = ImageDraw.Draw(sheet), place
    draw.text((left, top + LINE // 2), label, INK, font(14), anchor="lm")
    for name, picture in zip(NAMES, pictures):
        draw.text((left, top + LINE * 3 // 2), name, INK, font(12), anchor="lm")
        sheet.paste(Image.fromarray(picture), (left, top + 2 * LINE))
        left += picture.shape[1] + GAP


def comparison_strip(comparisons: Sequence[Comparison]) -> bytes:
    """A PNG: truth, model and difference of every comparison in rows, time from left to right."""
    moments = _moments(comparisons)
    factor = enlargement(comparisons[0].truth, columns=len(moments))
    height, width = comparisons[0].pictures(0, factor)[0].shape[:2]
    block = 3 * (height + GAP) + 3 * GAP
    size = (LABEL + len(moments) * (width + GAP), LINE + len(comparisons) * block)
    sheet = Image.new("RGB", size, "white")
    for column, (moment, text) in enumerate(moments):
        left = LABEL + column * (width + GAP)
        colour = SEES if moment < comparisons[0].seen else PREDICTS
        ImageDraw.Draw(sheet).text((left, LINE // 2), text, colour, font(14), anchor="lm")
        for number, comparison in enumerate(comparisons):
            for row, picture in enumerate(comparison.pictures(moment, factor)):
                top = LINE + number * block + row * (height + GAP)
                sheet.paste(Image.fromarray(picture), (left, top))
    for number, comparison in enumerate(comparisons):
        _row_names(sheet, comparison.label, LINE + number * block, height)
    return png(sheet)


def _row_names(sheet: Image.Image, label: str, top: int, height: int) -> None:
    for row, name in enumerate((f"{label}\n{NAMES[0]}", *NAMES[1:])):
        middle = top + row * (height + GAP) + height // 2
        ImageDraw.Draw(sheet).text((0, middle), name, INK, font(14), anchor="lm")


def _moments(comparisons: Sequence[Comparison]) -> list[tuple[int, str]]:
    """Moments that a strip shows, with what stands above them."""
    seen, length = comparisons[0].seen, max(len(c.truth) for c in comparisons)
    first = [(0, "sees")] + ([(seen - 1, "sees last")] if seen > 1 else [])
    ahead = [(seen + n - 1, f"{n} ahead") for n in AHEAD if seen + n <= length]
    return first + ahead


@dataclass(frozen=True)
class Card:
    """Pictures (H, W, 3) uint8 that belong together, with what to write above them."""

    label: str
    pictures: Sequence[np.ndarray]


def card_sheet(cards: Sequence[Card], names: Sequence[str]) -> bytes:
    """A PNG with all cards in a grid; `names` say over the first row what its pictures are."""
    height, width = cards[0].pictures[0].shape[:2]
    factor = enlargement(cards[0].pictures[0], SIDE if len(cards) <= FEW else SIDE // 2, len(names))
    height, width = factor * height, factor * width
    card = (LINE + height + 2 * GAP, len(names) * (width + 1) + 4 * GAP)
    columns = min(len(cards), max(1, WIDTH // card[1]))
    rows = -(-len(cards) // columns)
    sheet = Image.new("RGB", (columns * card[1], LINE + rows * card[0]), "white")
    draw = ImageDraw.Draw(sheet)
    for number, one in enumerate(cards):
        left, top = number % columns * card[1], LINE + number // columns * card[0]
        draw.text((left, top + LINE // 2), one.label, INK, font(13), anchor="lm")
        for name, picture in zip(names, one.pictures):
            if number < columns:
                draw.text((left, LINE // 2), name, INK, font(12), anchor="lm")
            sheet.paste(Image.fromarray(enlarge(picture, factor)), (left, top + LINE))
            left += width + 1
    return png(sheet)


def _bordered(picture: np.ndarray, colour: str) -> np.ndarray:
    """The picture with its outermost pixels in `colour`."""
    framed = Image.fromarray(picture)
    size = (framed.width - 1, framed.height - 1)
    ImageDraw.Draw(framed).rectangle((0, 0, *size), outline=colour, width=BORDER)
    return np.asarray(framed)
