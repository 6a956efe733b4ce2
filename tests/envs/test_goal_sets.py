"""The authors' goals: their numbers, how sets are named, the reward for imagining."""

import numpy as np
import pytest

from choreo.envs import goal_sets
from choreo.envs.goal_sets import fingers_to_goal, parse_sets, reach_episodes, reach_goals
from choreo.errors import UsageError


def test_ten_sets_of_fifty_goals_in_front_of_the_robot() -> None:
    goals = np.stack([reach_goals(number) for number in range(goal_sets.SETS)])
    assert goals.shape == (10, 50, 3)
    assert len(np.unique(goals.reshape(-1, 3), axis=0)) == 500
    assert (goals >= [-0.45, 0.3, 0.1]).all() and (goals <= [0.45, 0.9, 0.5]).all()
    assert reach_goals(0)[0].tolist() == [-0.3715836204, 0.3121310497, 0.4330479385]


def test_objects_start_where_meta_world_lets_them() -> None:
    starts = np.concatenate([reach_episodes(number)[:, :3] for number in range(10)])
    goals = np.concatenate([reach_goals(number) for number in range(10)])
    assert (np.abs(starts[:, 0]) <= 0.1).all() and (np.abs(starts[:, 1] - 0.65) <= 0.05).all()
    assert (np.linalg.norm(starts[:, :2] - goals[:, :2], axis=1) >= 0.15).all()


def test_a_set_is_a_copy() -> None:
    reach_episodes(0)[:] = 0
    assert reach_episodes(0).any()


@pytest.mark.parametrize("number", [-1, 10])
def test_a_set_out_of_range(number: int) -> None:
    with pytest.raises(UsageError, match="0 to 9"):
        reach_goals(number)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("3", [3]), ("0,3", [0, 3]), ("0..9", list(range(10))), ("7, 0..2", [7, 0, 1, 2])],
)
def test_how_sets_are_named(text: str, numbers: list[int]) -> None:
    assert parse_sets(text) == numbers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10", "goal set 10"),
        ("0..999999999999", "does not exist"),
        ("9..0", "backwards"),
        ("1,1", "twice"),
        ("0-9", "cannot be read"),
        ("0..", "cannot be read"),
        ("a", "cannot be read"),
        ("", "cannot be read"),
        ("²", "cannot be read"),
    ],
)
def test_sets_that_cannot_be(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_sets(text)


def test_the_ready_reward_is_minus_the_distance_of_the_fingers() -> None:
    seen = np.zeros((2, 39), np.float32)
    seen[:, :3] = [0.1, 0.6, 0.3]
    seen[1, 0] = 0.4
    goal = np.array([9.0, 9.0, 9.0, 0.1, 0.605, 0.2555])  # an object's start may stand before it
    rewards = fingers_to_goal({"observation": seen}, goal)
    assert rewards == pytest.approx([0.0, -0.3], abs=1e-6)
    with pytest.raises(UsageError, match="needs a goal"):
        fingers_to_goal({"observation": seen}, None)
    with pytest.raises(UsageError, match="39 values"):
        fingers_to_goal({"image": np.zeros((2, 3, 64, 64))}, goal)
