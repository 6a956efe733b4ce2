"""How pictures look: colours, type and the way from a figure to bytes."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from choreo.viz.drawing import small_png

INK = "#1f2933"
FAINT = "#7b8794"
RULE = "#e4e7eb"
CONDITION_COLOURS = {"trained": "#0f766e", "untrained": "#d39b3a", "random": "#9aa5b1"}
RUN_COLOURS = ("#0f766e", "#d39b3a", "#4361a8", "#a8446b", "#7b8794", "#5c8a2e")
DPI = 150

_SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": "#cbd2d9",
    "axes.labelcolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "grid.color": RULE,
}


def make_axes(
    rows: int, columns: int, width: float, height: float, shared: bool = False
) -> tuple[Figure, np.ndarray]:
    """A figure (inches) off screen, apart from pyplot, with its axes (rows, columns)."""
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared)
    return figure, axes


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG on white."""
    target = io.BytesIO()
    with mpl.rc_context(_SETTINGS):
        figure.savefig(target, format="png", dpi=DPI, facecolor="white")
    return small_png(Image.open(target))


def skill_colours(skills: int) -> np.ndarray:
    """One colour per skill, (K, 4), as far apart as many colours can be."""
    places = (np.arange(skills) + 0.5) / skills
    colours = mpl.colormaps["turbo"](0.04 + 0.92 * places)
    colours[:, :3] *= 0.92  # readable on white
    return colours


def head(axes: Axes, text: str, size: float = 10) -> None:
    """A title over the left edge."""
    axes.set_title(text, loc="left", fontsize=size, fontweight="bold", color=INK)


def light_grid(axes: Axes, axis: str = "both") -> None:
    """Thin lines behind the data."""
    axes.grid(True, axis=axis, linewidth=0.8)  # type: ignore[arg-type]
    axes.tick_params(length=0)


def readable(names: Sequence[str]) -> list[str]:
    """Coordinate names as labels."""
    return [name.replace("_", " ") for name in names]
