"""Scores against numbers worked by hand, and the hand's independent formulas."""

import numpy as np
import pytest

from choreo.errors import UsageError
from choreo.evaluation.scores import URLB_EXPERT, mean_interval, wilson_interval


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


def test_normalisers_are_those_of_urlb() -> None:
    assert len(URLB_EXPERT) == 12
    assert URLB_EXPERT["walker_run"] == 796 and URLB_EXPERT["jaco_reach_bottom_right"] == 203
