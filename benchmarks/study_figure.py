"""The figure of docs/study.md from its CSV files: `python benchmarks/study_figure.py docs`."""

import csv
import sys
from pathlib import Path

from righting import BLOCK

from choreo.viz.style import RUN_COLOURS, light_grid, make_axes, to_png

WALK = {
    "from 300,000 frames": (RUN_COLOURS[0], ("skills 0", "skills 1")),
    "the explorer of these": (RUN_COLOURS[2], ("explorer 0", "explorer 1")),
    "the model of these": (RUN_COLOURS[3], ("model 0",)),
    "from 170,000 frames": (RUN_COLOURS[5], ("170k-walk-authors-0", "170k-walk-authors-1")),
    "from scratch": (RUN_COLOURS[1], ("scratch 0", "scratch 1", "170k-walk-scratch-1")),
}
"""Fine-tunings of quadruped_walk by their start: method and seed of `laptop`, or a file."""


def main(docs: Path) -> None:
    """Draw both panels."""
    results = docs / "results"
    figure, axes = make_axes(1, 2, 12.0, 3.0)
    rising, walking = axes[0]
    for seed, dash in (("0", "-"), ("1", ":")):
        rows = read(results / f"quadruped-righting-{seed}.csv")
        frames = [int(row["from_frame"]) + BLOCK // 2 for row in rows]
        rose = [int(row["got_up"]) / int(row["on_back"]) for row in rows]
        share = [float(row["share_upright"]) for row in rows]
        for place, (values, what) in enumerate(
            ((rose, "up, if on its back"), (share, "upright steps"))
        ):
            colour, label = RUN_COLOURS[place], f"{what}, seed {seed}"
            rising.plot(frames, values, dash, color=colour, linewidth=2, label=label)
    rising.set_xlabel("frames without rewards")
    rising.set_ylabel("share of episodes, of steps")
    for start, (colour, names) in WALK.items():
        for place, name in enumerate(names):
            label = start if place == 0 else None
            walking.plot(*evaluated(results, name), color=colour, linewidth=2, label=label)
    walking.set_xlabel("frames of quadruped_walk")
    walking.set_ylabel("return")
    for place in (rising, walking):
        place.xaxis.set_major_formatter("{x:,.0f}")
        place.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        light_grid(place)
    (docs / "images" / "study.png").write_bytes(to_png(figure))


def evaluated(results: Path, name: str) -> tuple[list[int], list[float]]:
    """Frames and returns of the evaluations of one fine-tuning."""
    if " " in name:
        wanted = ["quadruped_walk", *name.split()]
        curves = read(results / "urlb-laptop-first-curves.csv")
        rows = [row for row in curves if [row[x] for x in ("task", "method", "seed")] == wanted]
    else:
        rows = read(results / f"quadruped-{name}-evaluation.csv")
    return [int(row["frames"]) for row in rows], [float(row["return"]) for row in rows]


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, whose first lines may be remarks."""
    lines = path.read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
