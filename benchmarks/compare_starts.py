"""Fine-tunings from skills against from scratch, over seeds, as one table of curves and a figure.

`python benchmarks/compare_starts.py OUT NAME skills=RUN ... scratch=RUN ...` writes OUT/NAME.csv
and OUT/NAME.png from evaluations during training; thin lines are seeds, thick ones their means.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from choreo.viz.plots import Curve, read_curve
from choreo.viz.style import RUN_COLOURS, light_grid, make_axes, to_png

Curves = dict[str, list[Curve]]


def main(out: Path, name: str, runs: list[tuple[str, Path]]) -> None:
    """Read the evaluations of all runs, write them, and draw them."""
    curves: Curves = {}
    for start, run in runs:
        curve = read_curve(run / "metrics.jsonl", run.name, kind="evaluation")
        curves.setdefault(start, []).append(curve)
    out.mkdir(parents=True, exist_ok=True)
    write(out / f"{name}.csv", curves)
    (out / f"{name}.png").write_bytes(draw(curves))


def write(path: Path, curves: Curves) -> None:
    """One row an evaluation."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["start", "run", "frames", "return"])
        for start, mine in curves.items():
            for curve in mine:
                rows = zip(curve.frames, curve.values, strict=True)
                table.writerows([start, curve.name, int(x), f"{y:.2f}"] for x, y in rows)


def draw(curves: Curves) -> bytes:
    """A PNG; the runs of a start were evaluated at the same frames."""
    figure, axes = make_axes(1, 1, 6.4, 3.2)
    place = axes[0, 0]
    for colour, (start, mine) in zip(RUN_COLOURS, curves.items(), strict=False):
        for curve in mine:
            place.plot(curve.frames, curve.values, color=colour, linewidth=0.8, alpha=0.5)
        mean = np.mean([curve.values for curve in mine], 0)
        label = f"from {start}, {len(mine)} seeds"
        place.plot(mine[0].frames, mean, color=colour, linewidth=2.4, label=label)
    place.set_xlabel("frames of the task")
    place.set_ylabel("return")
    place.legend(loc="best", frameon=False)
    light_grid(place)
    return to_png(figure)


if __name__ == "__main__":
    pairs = [argument.split("=", 1) for argument in sys.argv[3:]]
    main(Path(sys.argv[1]), sys.argv[2], [(start, Path(run)) for start, run in pairs])
