"""The finished runs of a report as a small table: `python benchmarks/export_table.py RUNS_CSV OUT`.

RUNS_CSV is what `choreo report` writes beside its page. Measured rows alone, without folders.
"""

import csv
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
}
"""Columns of the table, and what the report calls them."""


def main(runs: Path, out: Path) -> None:
    """Copy the rows that have a final score; one episode alone has no interval."""
    with runs.open(newline="") as file, out.open("w", newline="") as target:
        table = csv.writer(target, lineterminator="\n")
        table.writerow(COLUMNS)
        for row in csv.DictReader(file):
            if row["status"] == "done" and row["return"] and row["command"] != "pretrain":
                row["seconds"] = f"{float(row['seconds']) / 60:.1f}" if row["seconds"] else ""
                for name in ("return", "return_low", "return_high"):
                    row[name] = f"{float(row[name]):.1f}" if row[name] else ""
                row["commit"] = row["commit"][:10]
                table.writerow([row[name] for name in COLUMNS.values()])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
