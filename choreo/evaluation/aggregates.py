"""Measures over seeds and tasks, with stratified bootstrap intervals (Agarwal et al. 2021).

Scores of a method are a list with one array per task, of one score per run. Arrays may differ in
length, as some runs may be missing. All measures take a leading axis of resamples, so that an
estimate and its bootstrap are one computation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from choreo.evaluation.scores import Interval

RESAMPLES = 5000
"""Draws of a bootstrap. [ours]"""

Scores = Sequence[np.ndarray]
"""One array (..., n) of scores per task."""
Measure = Callable[[Scores], np.ndarray]


@dataclass(frozen=True)
class Estimate:
    """A value and the percentile interval of its bootstrap; None where no task has two runs."""

    value: float
    interval: Interval | None


def interquartile_mean(tasks: Scores) -> np.ndarray:
    """Mean of the middle half of the scores of all runs and tasks together, (...)."""
    return np.asarray(stats.trim_mean(np.concatenate(tasks, axis=-1), 0.25, axis=-1))


def mean(tasks: Scores) -> np.ndarray:
    """Mean over tasks of the mean over runs, (...)."""
    return task_means(tasks).mean(-1)


def median(tasks: Scores) -> np.ndarray:
    """Median over tasks of the mean over runs, (...)."""
    return np.median(task_means(tasks), axis=-1)


def optimality_gap(tasks: Scores, goal: float = 1.0) -> np.ndarray:
    """By how much scores miss `goal` on average, (...); more than the goal counts as the goal."""
    return mean([np.maximum(goal - scores, 0) for scores in tasks])


def task_means(tasks: Scores) -> np.ndarray:
    """Mean over runs of every task, (..., tasks)."""
    return np.stack([scores.mean(-1) for scores in tasks], axis=-1)


MEASURES: dict[str, Measure] = {
    "IQM": interquartile_mean,
    "mean": mean,
    "median": median,
    "optimality gap": optimality_gap,
}


def improvement(ours: Scores, theirs: Scores) -> np.ndarray:
    """Probability that a run of ours scores more than one of theirs, averaged over tasks, (...).

    Equal scores count half. Source: Agarwal et al. 2021, section 4.3.
    """
    wins = [
        (np.sign(x[..., :, None] - y[..., None, :]).mean((-2, -1)) + 1) / 2
        for x, y in zip(ours, theirs, strict=True)
    ]
    return np.mean(wins, axis=0)


def profile(tasks: Scores, thresholds: np.ndarray) -> np.ndarray:
    """Share of the runs of all tasks that score more than each threshold, (..., thresholds)."""
    pooled = np.concatenate(tasks, axis=-1)
    return np.stack([(pooled > threshold).mean(-1) for threshold in thresholds], axis=-1)


def resample(tasks: Scores, seed: int, resamples: int = RESAMPLES) -> list[np.ndarray]:
    """Runs drawn anew within every task, (resamples, n) each: tasks are fixed, runs are not."""
    generator = np.random.default_rng(seed)
    return [
        scores[generator.integers(len(scores), size=(resamples, len(scores)))] for scores in tasks
    ]


def percentile_interval(values: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Lower and upper end of the middle `level` of resampled values (resamples, ...), (2, ...)."""
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)


def estimate(tasks: Scores, seed: int) -> dict[str, Estimate]:
    """Every measure of a method with its interval."""
    drawn = resample(tasks, seed)
    return {
        name: _estimate(measure(tasks), measure(drawn), tasks) for name, measure in MEASURES.items()
    }


def estimate_improvement(ours: Scores, theirs: Scores, seed: int) -> Estimate:
    """The probability of improvement with its interval; both sides are drawn independently."""
    drawn = improvement(resample(ours, seed), resample(theirs, seed + 1))
    return _estimate(improvement(ours, theirs), drawn, [*ours, *theirs])


def _estimate(value: np.ndarray, drawn: np.ndarray, tasks: Scores) -> Estimate:
    if all(len(scores) < 2 for scores in tasks):
        return Estimate(float(value), None)
    low, high = percentile_interval(drawn)
    return Estimate(float(value), (float(low), float(high)))
