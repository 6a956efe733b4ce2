"""Plain figures: bars against controls, heat maps, curves of errors, learning and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, PercentFormatter

from choreo.errors import UsageError
from choreo.schema import Real, parse, plain_bytes, problem
from choreo.viz.style import (
    CONDITION_COLOURS,
    INK,
    RUN_COLOURS,
    head,
    light_grid,
    make_axes,
    to_png,
)


@dataclass(frozen=True)
class Bars:
    """One figure of the skill report: a value per condition, and what chance gives."""

    title: str
    values: Mapping[str, float | None]
    chance: float | None = None
    percent: bool = False


def bar_panels(panels: Sequence[Bars]) -> bytes:
    """Bars of several figures side by side, with a dashed line where chance is."""
    figure, axes = make_axes(1, len(panels), 3.7 * len(panels), 2.9)
    for place, panel in zip(axes[0], panels):
        _bars(place, panel)
    return to_png(figure)


def _bars(place: Axes, panel: Bars) -> None:
    values = [0.0 if value is None else value for value in panel.values.values()]
    texts = [_number(value, panel.percent) for value in panel.values.values()]
    colours = [CONDITION_COLOURS[name] for name in panel.values]
    bars = place.bar(list(panel.values), values, color=colours, width=0.56)
    labels = place.bar_label(bars, texts, padding=3, color=INK, fontweight="bold")
    for label in labels:
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
    if panel.chance is not None:
        place.axhline(panel.chance, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=0.5)
        place.set_xlabel(f"dashed: chance, {_number(panel.chance, panel.percent)}")
    top = max([*values, panel.chance or 0.0, 1e-9])
    place.set_ylim(0, top * 1.16)
    head(place, panel.title)
    place.set_yticks([])
    place.spines["left"].set_visible(False)
    place.tick_params(axis="x", length=0, labelsize=9)


def _number(value: float | None, percent: bool) -> str:
    if value is None:
        return "not measured"
    if not percent:
        return f"{value:,.0f}"
    return f"{value:.0%}" if value >= 0.0995 else f"{value:.1%}"


def hit_heatmap(panels: Mapping[str, np.ndarray]) -> bytes:
    """Matrices (K, K) of commanded skill against nearest code; skills that arrive stand out."""
    figure, axes = make_axes(1, len(panels), 3.7 * len(panels), 3.7)
    for place, (title, matrix) in zip(axes[0], panels.items()):
        place.imshow(matrix, cmap="GnBu", vmin=0, vmax=1, interpolation="nearest")
        head(place, title)
        place.set_xlabel("nearest code")
        place.tick_params(length=0)
    axes[0, 0].set_ylabel("commanded skill")
    return to_png(figure)


def switch_heatmap(matrix: np.ndarray, skills: Sequence[int]) -> bytes:
    """Hit rate of a skill (column) after another one (row), (n, n); NaN stays white."""
    figure, axes = make_axes(1, 1, 11.1, 4.6)
    place = axes[0, 0]
    shown = place.imshow(matrix, cmap="GnBu", vmin=0, vmax=1, interpolation="nearest")
    names = [str(skill) for skill in skills]
    place.set_xticks(range(len(skills)), names)
    place.set_yticks(range(len(skills)), names)
    place.tick_params(length=0)
    place.set_xlabel("skill that then acts")
    place.set_ylabel("skill that acted before")
    place.set_anchor("W")
    beside = place.inset_axes((1.05, 0.1, 0.03, 0.8))
    bar = figure.colorbar(shown, cax=beside, format=PercentFormatter(1, decimals=0))
    bar.outline.set_visible(False)  # type: ignore[operator]
    return to_png(figure)


def choice_strips(
    chosen: Sequence[np.ndarray], rewards: Sequence[np.ndarray], colours: np.ndarray
) -> bytes:
    """Skills over time, a strip per episode (T,) in the skills' colours, and the reward over it."""
    figure, axes = make_axes(len(chosen), 1, 11.1, 1.05 * len(chosen) + 0.5, shared=True)
    top = max(*(float(np.max(reward)) for reward in rewards), 1e-9)
    low = min(*(float(np.min(reward)) for reward in rewards), 0.0)
    for number, (place, skills, reward) in enumerate(zip(axes[:, 0], chosen, rewards)):
        extent = (0, len(skills), low, low + 1.1 * (top - low))
        place.imshow(colours[skills][None], aspect="auto", extent=extent, alpha=0.55)
        place.plot(np.arange(len(reward)) + 0.5, reward, color=INK, linewidth=1)
        place.set_ylabel(f"start {number}")
    axes[-1, 0].set_xlabel("steps (colour: chosen skill; line: reward)")
    return to_png(figure)


def code_use_bars(counts: np.ndarray) -> bytes:
    """Share of the assignments of every code, most used first, and an even share as a line."""
    share = np.sort(counts)[::-1] / max(counts.sum(), 1)
    figure, axes = make_axes(1, 1, 11.1, 2.3)
    place = axes[0, 0]
    place.bar(np.arange(len(share)), share, color=CONDITION_COLOURS["trained"], width=0.8)
    place.axhline(1 / len(share), color=INK, linewidth=1, linestyle=(0, (4, 3)))
    place.set_xlabel(f"the {len(share)} codes, most used first (dashed: all codes used evenly)")
    place.set_xticks([])
    place.set_xlim(-0.7, len(share) - 0.3)
    place.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    light_grid(place, "y")
    return to_png(figure)


def error_curves(panels: Mapping[str, Mapping[str, np.ndarray]], horizons: Sequence[int]) -> bytes:
    """Prediction error against steps ahead, (H,) each, on a logarithmic scale."""
    looks = {
        "trained": ("trained model", CONDITION_COLOURS["trained"], "-"),
        "untrained": ("untrained model", CONDITION_COLOURS["untrained"], "-"),
        "nothing_changes": ("“nothing changes”", INK, (0, (4, 3))),
    }
    figure, axes = make_axes(1, len(panels), 5.55 * len(panels), 3.1)
    for place, (title, curves) in zip(axes[0], panels.items()):
        for name, curve in curves.items():
            label, colour, style = looks[name]
            ahead = np.arange(1, len(curve) + 1)
            marks = [h - 1 for h in horizons if h <= len(curve)]
            place.plot(ahead, curve, color=colour, linestyle=style, linewidth=1.8, label=label)
            place.plot(ahead[marks], curve[marks], "o", color=colour, markersize=4)
        place.set_yscale("log")
        head(place, title)
        place.set_xlabel("steps ahead")
        light_grid(place)
    axes[0, 0].set_ylabel("error (1 = guess the mean)")
    axes[0, 0].legend(loc="best", fontsize=8, frameon=False)
    return to_png(figure)


@dataclass(frozen=True)
class Curve:
    """Values of one run against frames, both (n,)."""

    name: str
    frames: np.ndarray
    values: np.ndarray


def read_curve(path: Path, name: str, kind: str = "episode", value: str = "return") -> Curve:
    """Read one value of a run's `metrics.jsonl`; lines of another kind are passed over.

    Raises UsageError when the file is missing or holds no such value.
    """
    if not path.is_file():
        raise UsageError(f"no such file: {path}; give the metrics.jsonl of a run folder")
    try:
        lines = [parse(line) for line in plain_bytes(path).splitlines()]
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}). Copy it back") from error
    form = {"kind": (kind,), "frames": Real(), value: Real(-1e300)}
    own = [line for line in lines if problem(line, form) is None]
    if not own:
        raise UsageError(f"{path} holds no '{value}' of kind '{kind}'; did the run get that far?")
    frames, values = ([float(line[key]) for line in own] for key in ("frames", value))
    return Curve(name, np.array(frames), np.array(values))


def learning_curves(curves: Sequence[Curve], smooth: int = 1, label: str = "return") -> bytes:
    """Returns of several runs against frames; with `smooth` > 1 running means over as many."""
    figure, axes = make_axes(1, 1, 8.4, 3.5)
    place = axes[0, 0]
    for number, curve in enumerate(curves):
        colour = RUN_COLOURS[number % len(RUN_COLOURS)]
        if smooth > 1:
            place.plot(curve.frames, curve.values, ".", color=colour, alpha=0.3, markersize=4)
        mean = running_mean(curve.values, smooth)
        mark = "o" if len(mean) == 1 else None
        place.plot(curve.frames, mean, color=colour, linewidth=2.2, label=curve.name, marker=mark)
    place.set_xlabel("frames (simulator steps)")
    place.set_ylabel(label)
    place.xaxis.set_major_formatter(EngFormatter(sep=""))
    place.legend(loc="best", frameon=False)
    light_grid(place)
    return to_png(figure)


def cost_curves(panels: Mapping[str, Mapping[str, Mapping[int, float]]]) -> bytes:
    """Milliseconds of parts against a size, both logarithmic: panel, part, size -> milliseconds."""
    figure, axes = make_axes(1, len(panels), 2.6 * len(panels) + 1.2, 3.0)
    every = [t for curves in panels.values() for c in curves.values() for t in c.values()]
    for place, (title, curves) in zip(axes[0], panels.items()):
        for name, colour in zip(curves, RUN_COLOURS):
            sizes, times = list(curves[name]), list(curves[name].values())
            label = name.replace("_", " ")
            place.plot(sizes, times, "o-", color=colour, linewidth=1.6, markersize=4, label=label)
        place.set_xscale("log", base=2)
        place.set_yscale("log")
        place.set_ylim(min(every) / 1.3, max(every) * 1.3)
        ticks = sorted({size for curve in curves.values() for size in curve})
        place.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        place.minorticks_off()
        head(place, title)
        light_grid(place)
    axes[0, 0].set_ylabel("ms of an update")
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return to_png(figure)


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Mean of each value and up to `width - 1` before it, (n,)."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(stop - width, 0)
    return (total[stop] - total[start]) / (stop - start)
