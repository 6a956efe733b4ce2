"""The figure of docs/study.md from its CSV files: `python benchmarks/study_figure.py docs`."""

import csv
import sys
from pathlib import Path

from choreo.viz.style import RUN_COLOURS, light_grid, make_axes, to_png

WALK = {
    "from scratch": ("170k-walk-scratch-0", "170k-walk-scratch-1", "300k-walk-scratch-0"),
    "from 170,000 frames": ("170k-walk-authors-0", "170k-walk-authors-1"),
    "from 300,000 frames": ("300k-walk-skills-0",),
}
"""Fine-tunings of quadruped_walk by what they start from."""


def main(docs: Path) -> None:
    """Draw both panels."""
    results = docs / "results"
    figure, axes = make_axes(1, 2, 9.0, 3.0)
    rising, walking = axes[0]
    rows = read(results / "quadruped-righting.csv")
    frames = [int(row["from_frame"]) + 12_500 for row in rows]
    rose = [int(row["got_up"]) / int(row["on_back"]) for row in rows]
    rising.plot(frames, rose, color=RUN_COLOURS[0], linewidth=2, label="gets up from its back")
    share = [float(row["share_upright"]) for row in rows]
    rising.plot(frames, share, color=RUN_COLOURS[1], linewidth=2, label="share of steps upright")
    rising.set_xlabel("frames without rewards")
    for colour, (start, names) in zip(RUN_COLOURS[3::-1], WALK.items(), strict=False):
        for place, name in enumerate(names):
            rows = read(results / f"quadruped-{name}-evaluation.csv")
            points = [int(row["frames"]) for row in rows], [float(row["return"]) for row in rows]
            label = start if place == 0 else None
            walking.plot(*points, color=colour, linewidth=2, label=label)
    walking.set_xlabel("frames of quadruped_walk")
    walking.set_ylabel("return")
    for place in (rising, walking):
        place.legend(loc="best", frameon=False)
        light_grid(place)
    (docs / "images" / "study.png").write_bytes(to_png(figure))


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, whose first lines may be remarks."""
    lines = path.read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
