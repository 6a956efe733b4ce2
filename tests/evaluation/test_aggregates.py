"""Measures over seeds and tasks: numbers of rliable, and numbers worked by hand.

`rliable.json` was made once by rliable 1.2.0, which does not import beside current pandas;
tests/golden/README.md says how.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from choreo.evaluation.aggregates import (
    MEASURES,
    estimate,
    estimate_improvement,
    improvement,
    interquartile_mean,
    mean,
    median,
    optimality_gap,
    percentile_interval,
    profile,
    resample,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "rliable.json").read_text())
NAMES = {"IQM": "iqm", "mean": "mean", "median": "median", "optimality gap": "optimality_gap"}
BOOTSTRAP = 0.01  # how far apart intervals of two bootstraps of thousands of draws may be


def tasks(name: str) -> list[np.ndarray]:
    """A matrix (runs, tasks) of the stored ones, as one array per task."""
    return list(np.array(GOLDEN["matrices"][name]).T)


@pytest.mark.parametrize("name", GOLDEN["matrices"])
def test_measures_are_rliables(name: str) -> None:
    found = {NAMES[key]: float(measure(tasks(name))) for key, measure in MEASURES.items()}
    assert found == pytest.approx(GOLDEN["aggregates"][name], abs=1e-10)


@pytest.mark.parametrize("pair", GOLDEN["improvement"], ids=lambda pair: f"{pair['x']}-{pair['y']}")
def test_the_probability_of_improvement_is_rliables(pair: dict) -> None:
    ours, theirs = tasks(pair["x"]), tasks(pair["y"])
    assert float(improvement(ours, theirs)) == pytest.approx(pair["p"], abs=1e-10)
    found = estimate_improvement(ours, theirs, seed=0)
    assert found.interval == pytest.approx(pair["interval"], abs=BOOTSTRAP)


@pytest.mark.parametrize("name", GOLDEN["profiles"])
def test_performance_profiles_are_rliables(name: str) -> None:
    wanted, thresholds = GOLDEN["profiles"][name], np.array(GOLDEN["taus"])
    np.testing.assert_allclose(profile(tasks(name), thresholds), wanted["profile"], atol=1e-10)
    low, high = percentile_interval(profile(resample(tasks(name), seed=0), thresholds))
    step = 1 / sum(map(len, tasks(name)))  # shares are multiples of it
    np.testing.assert_allclose(low, wanted["low"], atol=1.01 * step)
    np.testing.assert_allclose(high, wanted["high"], atol=1.01 * step)


def test_with_the_same_draws_intervals_are_equal() -> None:
    same = GOLDEN["indices"]
    runs = np.array(same["runs"])  # (resamples, runs, tasks)
    drawn = [scores[runs[:, :, k]] for k, scores in enumerate(tasks(same["matrix"]))]
    for name, measure in MEASURES.items():
        interval = percentile_interval(measure(drawn))
        assert interval == pytest.approx(same["intervals"][NAMES[name]], abs=1e-10)


@pytest.mark.parametrize("name", GOLDEN["intervals"])
def test_bootstrap_intervals_are_near_rliables(name: str) -> None:
    found = {NAMES[key]: value.interval for key, value in estimate(tasks(name), seed=0).items()}
    for key, interval in GOLDEN["intervals"][name].items():
        assert found[key] == pytest.approx(interval, abs=BOOTSTRAP)


def test_the_interquartile_mean_drops_a_quarter_at_each_end() -> None:
    scores = [np.array([100.0, 2.0, 4.0, 6.0]), np.array([1.0, 3.0, 5.0, -50.0])]
    assert float(interquartile_mean(scores)) == np.mean([2.0, 3.0, 4.0, 5.0])


def test_the_gap_counts_more_than_the_goal_as_the_goal() -> None:
    assert float(optimality_gap([np.array([0.5, 1.5, 1.0, 0.0])])) == pytest.approx(1.5 / 4)


def test_tasks_of_different_numbers_of_runs_weigh_alike_in_the_mean() -> None:
    scores = [np.array([1.0, 1.0, 1.0]), np.array([0.0]), np.array([0.2])]
    assert float(mean(scores)) == pytest.approx(0.4)
    assert float(median(scores)) == pytest.approx(0.2)


def test_the_bootstrap_keeps_tasks_apart() -> None:
    # Runs agree within each task: however runs are drawn per task, the mean is the same.
    found = estimate([np.full(3, 1.0), np.full(3, 10.0)], seed=0)
    assert found["mean"].value == 5.5
    assert found["mean"].interval == (5.5, 5.5)


def test_the_bootstrap_of_a_mean_is_near_the_normal_interval_and_repeats_itself() -> None:
    scores = [np.random.default_rng(0).normal(size=100)]
    half = 1.96 * scores[0].std() / 10
    wanted = (scores[0].mean() - half, scores[0].mean() + half)
    assert estimate(scores, seed=1)["mean"].interval == pytest.approx(wanted, abs=0.03)
    assert estimate(scores, seed=1) == estimate(scores, seed=1)


def test_one_run_of_every_task_has_no_interval() -> None:
    assert estimate([np.array([0.5]), np.array([0.7])], seed=0)["mean"].interval is None


def test_equal_scores_are_half_an_improvement() -> None:
    same = [np.array([0.5, 0.5])]
    assert float(improvement(same, same)) == 0.5
    assert float(improvement([np.array([1.0, 0.5])], same)) == 0.75
