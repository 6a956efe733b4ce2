"""Curves of a logged metric: the mean over seeds of a method, with its interval."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from scipy import stats

from choreo.errors import UsageError
from choreo.evaluation.runs.files import number
from choreo.evaluation.runs.labels import method_key, task_key
from choreo.evaluation.runs.run import Run

KINDS = ("evaluation", "episode", "train")
COUNTERS = ("kind", "frames", "steps", "updates")
POINTS = 200  # places at which curves are compared, at most [ours]
DEFAULT = "evaluation/return"


@dataclass(frozen=True)
class Band:
    """Mean over runs and its 95% interval against frames or updates, (n,) each."""

    counts: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    runs: np.ndarray
    """How many runs have come that far; the interval of one is NaN."""
    each: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    """Counts and values of every run."""


def known_metrics(runs: Iterable[Run]) -> list[str]:
    """Every logged metric as kind/name."""
    names = {
        f"{line.get('kind')}/{name}"
        for run in runs
        for line in run.metrics
        for name, value in line.items()
        if name not in COUNTERS and isinstance(value, int | float)
    }
    return sorted(names)


def find_metric(name: str, known: Sequence[str]) -> str:
    """The metric that `name` means, as kind/name; the kind may be left out.

    Raises UsageError for one that no run has, with the nearest names.
    """
    for full in (name, *(f"{kind}/{name}" for kind in KINDS)):
        if full in known:
            return full
    short = {full.split("/", 1)[1]: full for full in known}
    near = [short.get(text, text) for text in get_close_matches(name, [*known, *short], n=3)]
    hint = ", ".join(dict.fromkeys(near)) or ", ".join(known) or "none: no run has begun"
    raise UsageError(f"--curve {name}: no run has logged this metric; did you mean: {hint}?")


def curves(runs: Sequence[Run], metric: str) -> dict[str, dict[str, Band]]:
    """The bands of a metric by task and method; runs that have not logged it are left out."""
    kind, name = metric.split("/", 1)
    found: dict[str, dict[str, list[tuple[np.ndarray, np.ndarray]]]] = {}
    for run in sorted(runs, key=lambda run: (task_key(run.task), method_key(run.method))):
        series = points_of(run, kind, name)
        if series is not None:
            of_task = found.setdefault(run.task, defaultdict(list))
            of_task[run.method].append(series)
    return {
        task: {method: band(each) for method, each in methods.items()}
        for task, methods in found.items()
    }


def points_of(run: Run, kind: str, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Counts and values of a metric in a run, in order."""
    points = {
        int(count): value
        for line in run.metrics
        if line.get("kind") == kind
        and (count := number(line.get(run.counted))) is not None
        and (value := number(line.get(name))) is not None
    }
    if not points:
        return None
    counts = sorted(points)
    return np.array(counts, float), np.array([points[count] for count in counts])


def band(each: Sequence[tuple[np.ndarray, np.ndarray]]) -> Band:
    """Mean and Student's t interval over runs at common counts, linear between those of a run."""
    grid = np.unique(np.concatenate([counts for counts, _ in each]))
    if len(grid) > POINTS:
        grid = np.linspace(grid[0], grid[-1], POINTS)
    table = np.array([np.interp(grid, x, y, left=np.nan, right=np.nan) for x, y in each])
    runs = np.isfinite(table).sum(0)
    grid, table, runs = grid[runs > 0], table[:, runs > 0], runs[runs > 0]
    middle = np.nanmean(table, axis=0)
    with np.errstate(over="ignore"):
        off = np.nansum((table - middle) ** 2, axis=0)
    freedom = np.maximum(runs - 1, 1)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(off / freedom / runs)
    half = np.where(runs > 1, half, np.nan)
    return Band(grid, middle, middle - half, middle + half, runs, tuple(each))
