"""Scores against numbers worked by hand, and the hand's independent formulas."""

import numpy as np
import pytest

from choreo.errors import UsageError
from choreo.evaluation.scores import (
    URLB_EXPERT,
    bootstrap_interval,
    interquartile_mean,
    mean_interval,
    normalised_score,
    optimality_gap,
    wilson_interval,
)


def test_t_interval_of_one_to_five() -> None:
    # Mean 3, sample deviation sqrt(2.5), t(0.975, 4) = 2.776445.
    half = 2.776445 * np.sqrt(2.5) / np.sqrt(5)
    assert mean_interval([1, 2, 3, 4, 5]) == pytest.approx((3 - half, 3 + half), abs=1e-5)


def test_one_value_has_no_interval() -> None:
    assert mean_interval([3.0]) is None


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (57, 100)])
def test_wilson_interval_is_the_formula(successes: int, trials: int) -> None:
    z = 1.959963984540054
    p = successes / trials
    middle = (p + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    assert wilson_interval(successes, trials) == pytest.approx((middle - half, middle + half))


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (3, 2), (-1, 5)])
def test_no_fraction_is_refused(successes: int, trials: int) -> None:
    with pytest.raises(UsageError, match="no fraction"):
        wilson_interval(successes, trials)


def test_interquartile_mean_drops_a_quarter_at_each_end() -> None:
    scores = np.array([[100.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, -50.0]])
    assert interquartile_mean(scores) == np.mean([2.0, 3.0, 4.0, 5.0])


def test_optimality_gap_counts_more_than_the_goal_as_the_goal() -> None:
    assert optimality_gap(np.array([0.5, 1.5, 1.0, 0.0])) == pytest.approx(1.5 / 4)


def test_bootstrap_keeps_tasks_apart() -> None:
    # Runs agree within each task: however runs are drawn per task, the mean is the same.
    scores = np.array([[1.0, 10.0], [1.0, 10.0], [1.0, 10.0]])
    assert bootstrap_interval(scores, lambda x: float(x.mean()), seed=0) == (5.5, 5.5)


def test_bootstrap_of_a_mean_is_near_the_normal_interval() -> None:
    scores = np.random.default_rng(0).normal(size=100)
    low, high = bootstrap_interval(scores, lambda x: float(x.mean()), seed=1)
    half = 1.96 * scores.std() / 10
    assert low == pytest.approx(scores.mean() - half, abs=0.03)
    assert high == pytest.approx(scores.mean() + half, abs=0.03)
    assert (low, high) == bootstrap_interval(scores, lambda x: float(x.mean()), seed=1)


def test_normalisers_are_those_of_urlb() -> None:
    assert len(URLB_EXPERT) == 12
    assert normalised_score("walker_run", 398) == 0.5
    assert normalised_score("jaco_reach_bottom_right", 203) == 1
    with pytest.raises(UsageError, match="dmc:point_mass-easy has no expert"):
        normalised_score("dmc:point_mass-easy", 1.0)
