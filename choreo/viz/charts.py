"""Figures of many runs: points and intervals of methods, profiles, curves with bands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator

from choreo.viz.style import FAINT, INK, head, light_grid, make_axes
from choreo.viz.vector import to_svg

WIDTH = 3.6  # inches of a panel; several stand side by side on a wide page
COLOURS = (
    "#12877d", "#c98a1b", "#4f74c8", "#b8527b", "#6d9a35", "#8d6bc4", "#b5603a", "#3d92b3",
)  # fmt: skip
"""Of methods, readable on white and on black; the controls are grey."""
GREYS = ("#8492a0", "#a9b4be")


@dataclass(frozen=True)
class Spot:
    """A mean with its interval, and the single values that it is of."""

    value: float | None
    interval: tuple[float, float] | None = None
    each: Sequence[float] = ()
    note: str = "missing"
    """What is written where there is no value."""


@dataclass(frozen=True)
class Trace:
    """A line with a band, (n,) each; `each` holds single lines as x and y."""

    x: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray
    each: Sequence[tuple[np.ndarray, np.ndarray]] = ()


def method_colours(names: Sequence[str], controls: Sequence[str]) -> dict[str, str]:
    """A colour for every method, the same in all figures of a page."""
    others = [name for name in names if name not in controls]
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(others)}
    return colours | {name: GREYS[n % len(GREYS)] for n, name in enumerate(controls)}


def spots(
    title: str,
    rows: Mapping[str, Spot],
    colours: Mapping[str, str],
    label: str = "",
    limits: tuple[float, float] | None = None,
) -> str:
    """A row per method: the mean, its interval as a bar, and every single value as a point."""
    figure, axes = make_axes(1, 1, WIDTH, 0.72 + 0.3 * len(rows))
    place = axes[0, 0]
    for number, (name, spot) in enumerate(rows.items()):
        _spot(place, len(rows) - 1 - number, spot, colours[name])
    place.set_yticks(range(len(rows)), [_short(name) for name in reversed(list(rows))])
    place.set_ylim(-0.6, len(rows) - 0.4)
    place.tick_params(axis="y", labelcolor=INK, labelsize=8.5)
    place.spines["left"].set_visible(False)
    if limits is not None:
        place.set_xlim(*limits)
    elif place.get_xlim()[0] > 0:
        place.set_xlim(left=0)
    place.xaxis.set_major_locator(MaxNLocator(5))
    place.set_xlabel(label)
    _name(place, title)
    light_grid(place, "x")
    return to_svg(figure)


def _spot(place: Axes, height: int, spot: Spot, colour: str) -> None:
    if spot.value is None:
        place.annotate(
            spot.note, (0.02, height), xycoords=("axes fraction", "data"), va="center",
            color=FAINT, fontsize=8, fontstyle="italic",
        )  # fmt: skip
        return
    if spot.interval is not None:
        place.plot(spot.interval, [height] * 2, color=colour, linewidth=7, alpha=0.3)
    spread = np.linspace(-0.16, 0.16, len(spot.each)) if len(spot.each) > 1 else [0.0]
    place.scatter(
        spot.each, height + np.asarray(spread[: len(spot.each)]), s=13, color=colour,
        edgecolors="none", alpha=0.85, zorder=3,
    )  # fmt: skip
    place.plot([spot.value] * 2, [height - 0.3, height + 0.3], color=colour, linewidth=2.4)


def lines(
    title: str,
    traces: Mapping[str, Trace],
    colours: Mapping[str, str],
    label: tuple[str, str],
    whole: bool = False,
) -> str:
    """A line with a band per method; `label` is of both axes, `whole` is for shares of 0 to 1."""
    figure, axes = make_axes(1, 1, WIDTH, 2.5)
    place = axes[0, 0]
    for name, trace in traces.items():
        mark = "o" if len(trace.x) == 1 else None
        for x, y in trace.each:
            place.plot(x, y, color=colours[name], linewidth=0.7, alpha=0.3)
        shade, colour = np.isfinite(trace.low), colours[name]
        place.fill_between(
            trace.x,
            trace.low,
            trace.high,
            where=shade,
            color=colours[name],
            alpha=0.15,
            linewidth=0,
        )
        place.plot(trace.x, trace.middle, color=colour, linewidth=1.9, marker=mark)
    if whole:
        place.set_ylim(-0.02, 1.02)
    else:
        place.xaxis.set_major_formatter(EngFormatter(sep=""))
        place.xaxis.set_major_locator(MaxNLocator(5))
    place.set_xlabel(label[0])
    place.set_ylabel(label[1])
    _name(place, title)
    light_grid(place)
    return to_svg(figure)


def _name(place: Axes, title: str) -> None:
    """A title over the whole panel, not over the axes alone."""
    head(place, "", 9.5)
    place.get_figure().suptitle(  # type: ignore[union-attr]
        _short(title, 44), x=0.01, ha="left", fontsize=9.5, fontweight="bold", color=INK
    )


def _short(text: str, length: int = 26) -> str:
    """Text that fits beside a panel; no part of it is taken for mathematics."""
    cut = text if len(text) <= length else text[: length - 1] + "…"
    return cut.replace("$", r"\$")
