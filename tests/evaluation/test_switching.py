"""Skill after skill: every pair is played once, and counted after the switch alone."""

from itertools import pairwise

import numpy as np
import pytest
from toy_episodes import episode_of, make_agent, make_counting

from choreo.evaluation.switching import (
    Switching,
    _all_pairs,
    _count,
    _cut,
    measure_switching,
    skills_to_switch,
)


@pytest.mark.parametrize("skills", [[0], [3, 1], list(range(7))])
def test_every_skill_follows_every_other_once(skills: list[int]) -> None:
    chains = _cut(_all_pairs(skills, seed=0), 3)
    pairs = [pair for chain in chains for pair in pairwise(chain)]
    assert sorted(pairs) == [(i, j) for i in sorted(skills) for j in sorted(skills)]
    assert max(map(len, chains)) <= 4


def test_only_the_later_steps_of_the_second_skill_count() -> None:
    # Skill 2 for 4 steps, then skill 1 for 4: its last two steps are at codes 1 and 3.
    table = np.full((4, 4), np.nan)
    codes = [0, 2, 2, 2, 2, 0, 0, 1, 3]
    _count(table, episode_of(2, codes=codes), [2, 1], each=4, skipped=2)
    assert table[2, 1] == 0.5
    assert np.isnan(table).sum() == 15
    _count(table, episode_of(2, codes=codes[:-1]), [3, 1], each=4, skipped=2)
    assert np.isnan(table[3, 1]), "the episode ended too early"


def test_the_mean_leaves_out_a_skill_after_itself() -> None:
    table = np.array([[1.0, 0.2], [np.nan, 1.0]])
    switching = Switching([0, 1], table, 75, 50)
    assert switching.mean == 0.2
    assert switching.to_json()["after"] == [[1.0, 0.2], [None, 1.0]]
    assert Switching([0], np.ones((1, 1)), 75, 50).mean is None


def test_a_played_matrix_says_how_long_skills_acted() -> None:
    told: list[tuple[int, int]] = []
    agent, vector = make_agent(), make_counting(2)  # episodes of 8 steps
    found = measure_switching(
        agent, vector, [0, 2, 3], 0, tell=lambda stage, done, total: told.append((done, total))
    )
    assert found.skills == [0, 2, 3] and found.hit_rate.shape == (3, 3)
    assert (found.skill_steps, found.skipped) == (4, 2)
    assert np.isfinite(found.hit_rate).all()
    assert told[-1][0] == told[-1][1]


def test_the_skills_that_hold_best_are_looked_at() -> None:
    assert skills_to_switch(np.diag([0.1, 0.9, 0.5, 0.9]), 2) == [1, 3]
