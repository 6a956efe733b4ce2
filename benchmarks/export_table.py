"""Finished runs of a report as tables: `python benchmarks/export_table.py RUNS_CSV OUT CURVES`.

RUNS_CSV is what `choreo report` writes beside its page. OUT holds the final scores, CURVES the
evaluations on the way. Measured rows alone, without folders.
"""

import csv
import json
import sys
from pathlib import Path

COLUMNS = {
    "task": "task",
    "method": "method",
    "seed": "seed",
    "return": "return",
    "low": "return_low",
    "high": "return_high",
    "episodes": "episodes",
    "frames": "budget",
    "frames_before": "pretrained",
    "minutes": "seconds",
    "preset": "preset",
    "processor": "processor",
    "commit": "commit",
    "largest_share": "largest_share",
}
"""Columns of the table, and what the report calls them.

The last one is ours: the share of steps of the skill that was chosen most in the final episodes.
"""

LOGGED = {"selector_entropy": "adaptation/entropy", "imagined_return": "adaptation/return"}
"""Columns of the curves, and what the metrics call them."""


def main(runs: Path, out: Path, curves: Path) -> None:
    """Copy the rows that have a final score; one episode alone has no interval."""
    with runs.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "done" and row["return"]]
    measured = sorted(
        (row for row in rows if row["command"] != "pretrain"),
        key=lambda row: (row["task"], row["method"] == "random", row["method"], row["seed"]),
    )
    with out.open("w", newline="") as final, curves.open("w", newline="") as on_the_way:
        table, points = (csv.writer(file, lineterminator="\n") for file in (final, on_the_way))
        table.writerow(COLUMNS)
        points.writerow(["task", "method", "seed", "frames", "return", *LOGGED])
        for row in measured:
            points.writerows(
                [row["task"], row["method"], row["seed"], *point]
                for point in evaluations(Path(row["folder"]))
            )
            row["seconds"] = f"{float(row['seconds']) / 60:.1f}" if row["seconds"] else ""
            for name in ("return", "return_low", "return_high"):
                row[name] = f"{float(row[name]):.1f}" if row[name] else ""
            row["commit"] = row["commit"][:10]
            row["largest_share"] = largest_share(Path(row["folder"]))
            table.writerow([row[name] for name in COLUMNS.values()])


def evaluations(cell: Path) -> list[tuple[int | str, ...]]:
    """Frames, mean return and what was logged before, at a fine-tuning's own evaluations.

    Random actions have none; without a selector there is no entropy.
    """
    metrics = cell / "run" / "metrics.jsonl"
    if not metrics.is_file():
        return []
    found, logged = [], dict.fromkeys(LOGGED, "")
    for line in map(json.loads, metrics.read_text().splitlines()):
        for name, key in LOGGED.items():
            if key in line:
                logged[name] = f"{line[key]:.3f}"
        if line["kind"] == "evaluation":
            found.append((line["frames"], f"{line['return']:.1f}", *logged.values()))
    return found


def largest_share(cell: Path) -> str:
    """Of the skill that was chosen most in the evaluation of a fine-tuning; else empty."""
    evaluation = cell.parents[1] / "evaluate" / cell.name / "evaluation.json"
    choices = json.loads(evaluation.read_text()).get("choices") if evaluation.is_file() else None
    return f"{max(choices['share']):.3f}" if choices else ""


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
