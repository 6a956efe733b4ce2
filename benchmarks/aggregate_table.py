"""Skills against from scratch, all tasks: `python benchmarks/aggregate_table.py TABLE [METHOD]`.

TABLE is what `export_table.py` wrote: final returns, or the curves, of which each run counts with
the mean of its evaluations. METHOD (skills) is put beside scratch, on the tasks that both have.
Prints the interquartile mean of the shares of the expert's return: over runs, with a bootstrap of
the runs of each task (Agarwal et al. 2021; a task with one run is not drawn anew, so it is narrow),
and over the means of the tasks, with a bootstrap of the tasks, which both methods share.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from choreo.evaluation.aggregates import (
    RESAMPLES,
    estimate,
    interquartile_mean,
    percentile_interval,
    task_means,
)
from choreo.evaluation.scores import URLB_EXPERT


def main(table: Path, method: str = "skills") -> None:
    """Print both kinds of interquartile means and the difference over tasks."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["method"] in (method, "scratch"):
                seeds = found.setdefault(row["task"], {}).setdefault(row["method"], {})
                score = float(row["return"]) / URLB_EXPERT[row["task"]]
                seeds.setdefault(row["seed"], []).append(score)
    both = [task for task in found.values() if len(task) == 2]
    if not both:
        sys.exit(f"{table} has no task with both {method} and scratch")
    runs = {
        name: [np.array([np.mean(run) for run in task[name].values()]) for task in both]
        for name in (method, "scratch")
    }
    means = {name: task_means(scores) for name, scores in runs.items()}
    drawn = np.random.default_rng(0).integers(len(both), size=(RESAMPLES, len(both)))
    resampled = {name: interquartile_mean([of[drawn]]) for name, of in means.items()}
    for name, scores in runs.items():
        over = estimate(scores, seed=0)["IQM"]
        total = sum(map(len, scores))
        print(f"{name}: {over.value:.2f} {shown(over.interval)} over {total} runs,", end=" ")
        value = interquartile_mean([means[name]])
        print(f"{value:.2f} {shown(percentile_interval(resampled[name]))} over {len(both)} tasks")
    difference = interquartile_mean([means[method]]) - interquartile_mean([means["scratch"]])
    interval = percentile_interval(resampled[method] - resampled["scratch"])
    print(f"difference over tasks: {difference:.2f} {shown(interval)}")


def shown(interval: tuple[float, float] | np.ndarray | None) -> str:
    """Both ends in brackets."""
    return (
        "(no interval: one run a task)"
        if interval is None
        else f"({interval[0]:.2f} to {interval[1]:.2f})"
    )


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *sys.argv[2:])
