"""Warnings on figures that were made up, most of them after runs that went wrong."""

import math

import pytest

from choreo.record.health import (
    certain_selector,
    falling_return,
    few_codes,
    hopeful_critic,
    missing_reward,
)


@pytest.mark.parametrize(
    ("perplexity", "codes", "warns"),
    [(5.7, 16, True), (12.0, 16, False), (8.0, 16, False), (7.9, 16, True), (1.0, 1, False)],
)
def test_few_codes(perplexity: float, codes: int, warns: bool) -> None:
    sentence = few_codes(perplexity, codes)
    assert (sentence is not None) == warns
    assert sentence is None or f"{perplexity:.1f} of {codes}" in sentence


@pytest.mark.parametrize(("entropy", "warns"), [(0.02, True), (2.7, False), (0.28, False)])
def test_a_selector_that_has_come_down_to_one_skill(entropy: float, warns: bool) -> None:
    sentence = certain_selector(entropy, 16)
    assert (sentence is not None) == warns
    assert sentence is None or f"0.02 of {math.log(16):.2f}" in sentence
    assert certain_selector(0.0, 1) is None


@pytest.mark.parametrize(
    ("returns", "warns"),
    [
        ([335, 119, 32, 228, 149], True),
        ([335, 119, 32], True),
        ([335, 119], False),  # too few to tell
        ([28, 62, 162, 216, 72, 20], True),
        ([28, 62, 162, 216], False),
        ([100, 104, 97, 98], False),  # noise
        ([262, 295, 247, 293, 178], False),  # one bad evaluation
        ([-50, -400, -390], True),
        ([0, 0, 0, 0], False),
        ([2.2e-15, 1.4e-15, 1.4e-15], False),  # a reward that was never found
    ],
)
def test_a_falling_return(returns: list[float], warns: bool) -> None:
    sentence = falling_return(returns)
    assert (sentence is not None) == warns
    assert sentence is None or f"{returns[-1]:.4g} at last" in sentence


@pytest.mark.parametrize(
    ("expected", "found", "warns"),
    [
        (40.3, 13.2, True),
        (57.7, 56.7, False),
        (15.0, 10.1, False),
        (15.2, 10.0, True),
        (2.0, 50.0, False),  # too little hope is none
        (-10.0, -40.0, True),
        (-30.0, -40.0, False),
        (40.0, 0.0, True),
        (0.05, 0.0, False),  # no more than noise
        (math.nan, 1.0, False),
        (math.inf, 1.0, False),
    ],
)
def test_a_critic_that_expects_more_than_follows(
    expected: float, found: float, warns: bool
) -> None:
    sentence = hopeful_critic(expected, found)
    assert (sentence is not None) == warns
    assert sentence is None or f"{expected:.4g} where {found:.4g} follows" in sentence


@pytest.mark.parametrize(
    ("found", "frames", "warns"), [(False, 8000, True), (False, 7999, False), (True, 9000, False)]
)
def test_a_reward_that_is_not_found(found: bool, frames: int, warns: bool) -> None:
    sentence = missing_reward(found, frames, random_frames=4000)
    assert (sentence is not None) == warns
    assert sentence is None or "8,000 frames" in sentence
