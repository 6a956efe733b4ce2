"""Where each skill goes: its paths in the plane of two state coordinates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from choreo.viz.style import head, light_grid, make_axes, readable, skill_colours, to_png

REAL_PLANE = ("x", "y")  # metres both ways


@dataclass(frozen=True)
class SkillPath:
    """Points (T + 1, 2) that one episode of a skill passed."""

    skill: int
    points: np.ndarray


Limits = tuple[tuple[float, float], tuple[float, float]]


def skill_map(
    panels: Mapping[str, Sequence[SkillPath]], names: Sequence[str], skills: int
) -> bytes:
    """One panel per data set, all with the same axes; every skill has its colour, ends a dot."""
    limits = _limits([path for paths in panels.values() for path in paths], names)
    panels = {title: _broken(paths, limits) for title, paths in panels.items()}
    figure, axes = make_axes(1, len(panels), 3.7 * len(panels), 3.9, shared=True)
    figure.set_layout_engine("compressed")
    colours = skill_colours(skills)
    for place, (title, paths) in zip(axes[0], panels.items()):
        _draw(place, paths, colours, width=0.9, alpha=0.55)
        _ends(place, paths, colours, 14)
        _finish(place, limits, names)
        head(place, title)
        place.set_xlabel(readable(names)[0])
    axes[0, 0].set_ylabel(readable(names)[1])
    return to_png(figure)


def skill_grid(paths: Sequence[SkillPath], names: Sequence[str], skills: int) -> bytes:
    """A small panel for every skill: its paths in colour over those of all skills in grey."""
    columns = min(8, skills)
    rows = -(-skills // columns)
    figure, axes = make_axes(rows, columns, 11.1, 1.42 * rows * 8 / columns + 0.2, shared=True)
    limits, colours = _limits(paths, names), skill_colours(skills)
    paths = _broken(paths, limits)
    every = [path.points for path in paths]
    for skill, place in enumerate(axes.flat):
        if skill >= skills:
            place.axis("off")
            continue
        place.add_collection(LineCollection(every, colors="#dde1e6", linewidths=0.4))
        own = [path for path in paths if path.skill == skill]
        _draw(place, own, colours, width=1.1, alpha=0.9)
        _ends(place, own, colours, 12)
        _finish(place, limits, names)
        place.set_xticks([])
        place.set_yticks([])
        head(place, f"{skill}", size=8)
    return to_png(figure)


def _draw(
    place: Axes, paths: Sequence[SkillPath], colours: np.ndarray, width: float, alpha: float
) -> None:
    lines = [path.points for path in paths]
    own = [colours[path.skill] for path in paths]
    place.add_collection(LineCollection(lines, colors=own, linewidths=width, alpha=alpha))


def _ends(place: Axes, paths: Sequence[SkillPath], colours: np.ndarray, size: float) -> None:
    ends = np.array([path.points[-1] for path in paths]).reshape(-1, 2)
    own = [colours[path.skill] for path in paths]
    place.scatter(*ends.T, c=own, s=size, edgecolors="white", linewidths=0.5, zorder=3)


def _limits(paths: Sequence[SkillPath], names: Sequence[str]) -> Limits:
    """Nearly all points, with a margin; a square where the plane is a real one."""
    points = np.concatenate([path.points for path in paths])
    low, high = np.quantile(points, [0.0005, 0.9995], axis=0)
    if tuple(names) == REAL_PLANE:
        middle, half = (low + high) / 2, (high - low).max() / 2
        low, high = middle - half, middle + half
    margin = 0.05 * np.where(high > low, high - low, 1.0)
    low, high = low - margin, high + margin
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def _broken(paths: Sequence[SkillPath], limits: Limits) -> list[SkillPath]:
    """Interrupt lines that jump over half a panel in one step: angles that wrap around."""
    span = np.array([high - low for low, high in limits])
    broken = []
    for path in paths:
        jumps = (np.abs(np.diff(path.points, axis=0)) > span / 2).any(1)
        places = np.flatnonzero(jumps) + 1
        broken.append(SkillPath(path.skill, np.insert(path.points, places, np.nan, axis=0)))
    return broken


def _finish(place: Axes, limits: Limits, names: Sequence[str]) -> None:
    place.set_xlim(*limits[0])
    place.set_ylim(*limits[1])
    if tuple(names) == REAL_PLANE:
        place.set_aspect("equal", adjustable="box")
    light_grid(place)
