"""Evaluations: what is counted, who is compared with whom, and what JSON says."""

import json

import pytest
from toy_episodes import CountingEnvironment, make_agent, make_counting

from choreo.errors import UsageError
from choreo.evaluation import evaluate

LENGTH = CountingEnvironment.LIMIT
RETURN = LENGTH * (LENGTH + 1) / 2  # the environment pays 1, 2, ...


def test_returns_lengths_and_what_was_counted() -> None:
    result = evaluate(make_agent(), make_counting(2), "explore", episodes=3, seed=0)
    assert result.returns == [RETURN] * 3
    assert result.lengths == [LENGTH] * 3
    assert result.mean == RETURN
    assert result.interval95 == (RETURN, RETURN)
    assert result.steps == 3 * LENGTH
    assert result.frames == 2 * 3 * LENGTH  # action repeat 2
    data = json.loads(json.dumps(result.to_json()))
    assert data["counted"] == "steps"
    assert data["interval95"] == [RETURN, RETURN]
    assert "per_skill" not in data


def test_one_episode_has_no_interval() -> None:
    result = evaluate(make_agent(), make_counting(1), "random", episodes=1, seed=0)
    assert result.to_json()["interval95"] is None


def test_all_skills_one_by_one_from_the_same_starts() -> None:
    agent = make_agent()
    skills = range(agent.num_skills)
    result = evaluate(agent, make_counting(3), "skill", 2, seed=0, skills=skills, steps=4)
    assert [episode.skill for episode in result.episodes] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [episode.start for episode in result.episodes] == [0, 1] * 4
    data = result.to_json()
    assert [part["skill"] for part in data["per_skill"]] == list(skills)
    assert all(part["returns"] == [10, 10] for part in data["per_skill"])
    assert all(part["steps"] == 8 for part in data["per_skill"])


def test_one_skill_is_named() -> None:
    result = evaluate(make_agent(), make_counting(1), "skill", 1, seed=0, skills=[3], steps=2)
    assert result.to_json()["skill"] == 3


def test_a_skill_needs_its_number() -> None:
    with pytest.raises(UsageError, match="needs their numbers"):
        evaluate(make_agent(), make_counting(1), "skill", 1, seed=0)
