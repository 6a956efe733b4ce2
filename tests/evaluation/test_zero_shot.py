"""Zero-shot: random or chosen skills, sampled actions, goals, what counts as found, controls."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from toy_episodes import CountingEnvironment, CountingVector, make_agent, make_counting

from choreo.agent import Agent
from choreo.envs import TimeStep
from choreo.errors import UsageError
from choreo.evaluation import Trial, ZeroShot, zero_shot, zero_shot_controls
from choreo.evaluation.controls import untrained_agent
from choreo.evaluation.imagined import Choose
from choreo.world_model import State


class Sided(CountingEnvironment):
    """Rewards the steps whose first action has the sign of the goal; without one, never."""

    def __init__(self) -> None:
        super().__init__()
        self.goal: np.ndarray | None = None

    def set_goal(self, goal: np.ndarray | None) -> None:
        self.goal = goal

    def step(self, action: np.ndarray) -> TimeStep:
        self.count += 1
        right = self.goal is not None and float(self.goal[0]) * action[0] > 0
        return self._step(action, float(right), False)


def sided(num: int) -> CountingVector:
    return CountingVector([Sided() for _ in range(num)])


def one_sided_agent() -> Agent:
    """Skill 0 pushes left, the others right."""
    agent = make_agent()
    actor: Any = agent.skill_policy.actor
    first: Any = next(m for m in actor.trunk.modules() if isinstance(m, torch.nn.Linear))
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.zero_()
        first.weight[:, -agent.num_skills] = 20.0
        actor.mean.weight.fill_(-1.0)
        actor.mean.bias.fill_(5.0)
        actor.std.bias.fill_(-5.0)
    return agent


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


def test_the_protocol_is_the_papers() -> None:
    assert (Trial().episodes, Trial().skill_steps, Trial().found_above) == (100, None, 1e-4)


def test_every_episode_draws_its_skill() -> None:
    agent, trial = make_agent(), Trial(episodes=40)
    result = zero_shot(agent, make_counting(4), 0, trial)
    assert len(result.found) == 40
    assert all(len(skills) == 1 for skills in result.skills)
    assert {skills[0] for skills in result.skills} == set(range(agent.num_skills))
    assert result.steps == 40 * CountingEnvironment.LIMIT
    assert result.frames == 2 * result.steps
    again = zero_shot(agent, make_counting(4), 0, trial)
    other = zero_shot(agent, make_counting(4), 1, trial)
    assert again.skills == result.skills != other.skills


def test_a_new_skill_every_few_steps() -> None:
    result = zero_shot(make_agent(), make_counting(2), 0, Trial(episodes=2, skill_steps=3))
    assert all(len(skills) == 3 for skills in result.skills)  # 8 steps: 3 + 3 + 2


def test_the_skill_decides_whether_a_goal_is_found() -> None:
    agent, vector = one_sided_agent(), sided(3)
    goals = [np.array([side]) for side in (-1.0, 1.0) * 8]
    result = zero_shot(agent, vector, 0, Trial(episodes=16, goals=goals))
    left = [skills[0] == 0 for skills in result.skills]
    assert True in left and False in left
    assert result.found == [(goal[0] < 0) == own for goal, own in zip(goals, left)]
    assert not any(zero_shot(agent, vector, 0, Trial(episodes=3)).found), "no goal stays behind"


def test_chosen_skills_find_what_the_choice_knows() -> None:
    agent, goals = one_sided_agent(), [np.array([side]) for side in (1.0, -1.0, -1.0, 1.0, 1.0)]

    def chooser(actor: Agent) -> Choose:
        def choose(state: State, episode: int) -> int:
            assert state.deter.shape[0] == 1
            return 0 if goals[episode][0] < 0 else 2

        return choose

    trial = Trial(episodes=5, skill_steps=3, goals=goals)
    result = zero_shot(agent, sided(2), 0, trial, chooser=chooser)
    assert result.returns == [8.0] * 5 and result.frames == 5 * 8 * 2
    assert result.skills == [[0 if goal[0] < 0 else 2] * 3 for goal in goals]


def test_the_controls_meet_the_same_goals_and_starts() -> None:
    agent, vector = one_sided_agent(), sided(2)
    trial = Trial(episodes=6, goals=[np.array([-1.0])] * 6)
    controls = zero_shot_controls(agent, vector, 0, trial)
    assert list(controls) == ["untrained", "random"]
    assert all(len(result.found) == 6 for result in controls.values())
    starts = [env.seeds[0] for env in vector.environments]
    assert all(env.seeds.count(start) >= 2 for env, start in zip(vector.environments, starts))
    assert all(controls["random"].found), "of eight random actions one goes left"
    always = zero_shot_controls(agent, vector, 0, trial, lambda actor: lambda state, episode: 0)
    assert list(always) == ["untrained", "random", "random_skills"]
    assert always["untrained"].skills == [[0]] * 6
    assert always["random_skills"].returns == zero_shot(agent, sided(2), 0, trial).returns


def test_the_untrained_agent_shares_the_scale_and_nothing_else() -> None:
    agent = make_agent()
    rows = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 7 + 3
    agent.world_model.standardizer.fit({"observation": rows})
    fresh = untrained_agent(agent, 0)
    own, other = agent.state_dict(), fresh.state_dict()
    assert all(own[k].equal(other[k]) for k in own if "standardizer" in k)
    assert not own["world_model.rssm.input.weight"].equal(other["world_model.rssm.input.weight"])
    assert (
        untrained_agent(agent, 0)
        .state_dict()["skills.codebook.codes"]
        .equal(other["skills.codebook.codes"])
    )


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        (Trial(episodes=2, skill_steps=0), "skill_steps=0"),
        (Trial(episodes=0), "at least 1"),
        (Trial(episodes=2, goals=[np.zeros(3)]), "1 goals were given for 2"),
        (Trial(episodes=1, goals=[np.zeros(3)]), "takes no goals"),
    ],
)
def test_trials_that_cannot_be(trial: Trial, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        zero_shot(make_agent(), make_counting(2), 0, trial)


def test_episodes_that_would_never_end() -> None:
    with pytest.raises(UsageError, match="no time limit"):
        zero_shot(make_agent(), make_counting(1, limited=False), 0, Trial(episodes=1))
    cut = zero_shot(make_agent(), make_counting(1, limited=False), 0, Trial(episodes=1, steps=4))
    assert cut.steps == 4
