"""Returns of fine-tuning, a panel a task: `python benchmarks/tasks_figure.py docs`.

Reads what `export_table.py` wrote. A thick line is the mean or the only seed, a thin one a
seed. Experts are URLB's.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from study_figure import read

from choreo.evaluation.scores import URLB_EXPERT
from choreo.viz.style import FAINT, RUN_COLOURS, head, light_grid, make_axes, to_png

METHODS = {
    "skills": "skills",
    "scratch": "from scratch",
    "explorer": "the explorer",
    "model": "fresh policies on its model",
    "frozen": "frozen skills",
}
COLOURS = dict(zip(METHODS, (*RUN_COLOURS[:4], RUN_COLOURS[5]), strict=True))
EXPERT, CHANCE = "expert, 2M frames", "random actions"
ACROSS = 4


def main(docs: Path) -> None:
    """One panel for each task that was learned from skills."""
    curves: dict[str, dict[str, dict[int, dict[int, float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(dict))
    )
    for row in read(docs / "results" / "urlb-laptop-curves.csv"):
        seed, frames = int(row["seed"]), int(row["frames"])
        curves[row["task"]][row["method"]][seed][frames] = float(row["return"])
    table = read(docs / "results" / "urlb-laptop.csv")
    chance = {row["task"]: float(row["return"]) for row in table if row["method"] == "random"}
    tasks = sorted(task for task, found in curves.items() if "skills" in found)
    rows = -(-len(tasks) // ACROSS)
    figure, axes = make_axes(rows, ACROSS, 3.0 * ACROSS, 2.3 * rows)
    for place, task in zip(axes.flat, tasks, strict=False):
        for method, label in METHODS.items():
            draw(place, list(curves[task][method].values()), COLOURS[method], label)
        for level, style, label in (
            (URLB_EXPERT.get(task), ":", EXPERT),
            (chance.get(task), "--", CHANCE),
        ):
            if level is not None:
                place.axhline(level, color=FAINT, linestyle=style, linewidth=1.2, label=label)
        place.set_ylim(0, 250 if task.startswith("jaco") else 1000)  # the most that can be had
        place.set_xticks((0, 50_000, 100_000), ("0", "50,000", "100,000"))
        head(place, task)
        light_grid(place)
    for place in axes.flat[len(tasks) :]:
        place.set_axis_off()
    for place in axes[:, 0]:
        place.set_ylabel("return")
    for place in axes.flat[max(0, len(tasks) - ACROSS) : len(tasks)]:
        place.set_xlabel("frames of the task")
    lines: dict[str, Artist] = {}
    for place in axes.flat:
        handles, labels = place.get_legend_handles_labels()
        lines.update(zip(labels, handles, strict=True))
    names = [label for label in (*METHODS.values(), EXPERT, CHANCE) if label in lines]
    shown = [lines[label] for label in names]
    figure.legend(shown, names, loc="outside lower center", ncols=len(names), frameon=False)
    (docs / "images" / "urlb-laptop.png").write_bytes(to_png(figure))


def draw(place: Axes, seeds: list[dict[int, float]], colour: str, label: str) -> None:
    """Every seed, and the mean where there are several."""
    alone = len(seeds) == 1
    width, alpha = (2.2, 1.0) if alone else (0.8, 0.5)
    name = label if alone else None
    for found in seeds:
        place.plot(
            *zip(*sorted(found.items()), strict=True),
            color=colour,
            linewidth=width,
            alpha=alpha,
            label=name,
        )
    if len(seeds) > 1:
        frames = sorted(set.intersection(*map(set, seeds)))
        mean = np.mean([[found[x] for x in frames] for found in seeds], 0)
        place.plot(frames, mean, color=colour, linewidth=2.2, label=label)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
