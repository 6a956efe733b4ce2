"""Scores over episodes and seeds: means, their uncertainty, and the benchmark's expert."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from choreo.errors import UsageError

Interval = tuple[float, float]
"""Lower and upper end."""

# Return of an expert after 2M frames from states, by which scores are divided. [URLB]
URLB_EXPERT = {
    "walker_stand": 984.0,
    "walker_walk": 971.0,
    "walker_run": 796.0,
    "walker_flip": 799.0,
    "quadruped_stand": 920.0,
    "quadruped_walk": 866.0,
    "quadruped_run": 888.0,
    "quadruped_jump": 888.0,
    "jaco_reach_top_left": 191.0,
    "jaco_reach_top_right": 223.0,
    "jaco_reach_bottom_left": 193.0,
    "jaco_reach_bottom_right": 203.0,
}


def mean_interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Interval | None:
    """Student's t interval of the mean of (n,) values; None for fewer than two."""
    data = np.asarray(values, np.float64)
    if data.size < 2:
        return None
    half = stats.t.ppf((1 + level) / 2, data.size - 1) * data.std(ddof=1) / np.sqrt(data.size)
    return float(data.mean() - half), float(data.mean() + half)


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a fraction.

    Raises UsageError when there was no trial or more successes than trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise UsageError(f"{successes} of {trials} is no fraction; give 0 <= successes <= trials")
    interval = stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)
