"""Zero-shot: random skills, sampled actions, what counts as found."""

import json

import pytest
from toy_episodes import CountingEnvironment, make_agent, make_counting

from choreo.errors import UsageError
from choreo.evaluation import ZeroShot, zero_shot


def test_found_is_a_return_above_the_threshold() -> None:
    result = ZeroShot([0.0, 1e-4, 2e-4, 5.0], [[0]] * 4, 1e-4, steps=10, frames=20)
    assert result.found == [False, False, True, True]
    assert result.fraction == 0.5
    low, high = result.interval95
    assert low == pytest.approx(0.150, abs=1e-3)  # Wilson, 2 of 4
    assert high == pytest.approx(0.850, abs=1e-3)
    data = json.loads(json.dumps(result.to_json()))
    assert data["found"] == [False, False, True, True]
    assert data["counted"] == "steps"


def test_every_episode_draws_its_skill() -> None:
    agent = make_agent()
    result = zero_shot(agent, make_counting(4), seed=0, episodes=40)
    assert len(result.found) == 40
    assert all(len(skills) == 1 for skills in result.skills)
    assert {skills[0] for skills in result.skills} == set(range(agent.num_skills))
    assert result.steps == 40 * CountingEnvironment.LIMIT
    assert result.frames == 2 * result.steps
    again = zero_shot(agent, make_counting(4), seed=0, episodes=40)
    other = zero_shot(agent, make_counting(4), seed=1, episodes=40)
    assert again.skills == result.skills != other.skills


def test_a_new_skill_every_few_steps() -> None:
    result = zero_shot(make_agent(), make_counting(2), seed=0, episodes=2, skill_steps=3)
    assert all(len(skills) == 3 for skills in result.skills)  # 8 steps: 3 + 3 + 2
    with pytest.raises(UsageError, match="skill_steps=0"):
        zero_shot(make_agent(), make_counting(2), seed=0, episodes=2, skill_steps=0)
