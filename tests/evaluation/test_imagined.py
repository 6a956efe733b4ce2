"""Skills scored in imagination, goals looked at, and episodes with skills chosen on the way."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from toy_episodes import SKILLS, CountingEnvironment, make_agent, make_counting

from choreo.agent import Agent, Memory
from choreo.envs import ArraySpec, EnvSpec
from choreo.errors import UsageError
from choreo.evaluation import score_skills, skill_of_goal
from choreo.evaluation.imagined import best_skill, decode, play_chosen
from choreo.evaluation.rollouts import run_episodes
from choreo.world_model import State

SPEC = replace(CountingEnvironment().spec, observations={"image": ArraySpec((3, 64, 64), "uint8")})


def random_state(agent: Agent, seed: int = 0) -> State:
    generator = torch.Generator().manual_seed(seed)
    shown = {"observation": torch.randn(1, 3, generator=generator)}
    memory = agent.initial_memory(1)
    return agent.observe(memory, shown, torch.ones(1, dtype=torch.bool), generator)


def sharp_agent(spec: EnvSpec | None = None) -> Agent:
    """An agent whose skills act differently and whose model takes heed."""
    agent = make_agent(spec)
    with torch.no_grad():
        for name, parameter in agent.named_parameters():
            if name.startswith(("skill_policy.actor", "world_model")) and parameter.ndim > 1:
                parameter.mul_(3.0)
        trunk: Any = agent.skill_policy.actor.trunk
        first = next(m for m in trunk.modules() if isinstance(m, torch.nn.Linear))
        first.weight[:, -SKILLS:].mul_(20.0)
        agent.world_model.rssm.input.weight[:, -agent.spec.action_size :].mul_(5.0)
    return agent


def imagined_alone(agent: Agent, state: State, skill: int, steps: int, draws: int) -> np.ndarray:
    """The mean decoded observation of one skill, by plain repetition."""
    rows = State(*(p.expand(draws, *p.shape[1:]) for p in (state.deter, state.stoch, state.logit)))
    generator, total = torch.Generator().manual_seed(9), np.zeros(3)
    numbers = torch.full((draws,), skill)
    with torch.no_grad():
        for _ in range(steps):
            action = agent.decide(rows, "skill", numbers, sample=True, generator=generator)
            rows = agent.world_model.rssm.imagine_step(rows, action, generator)
            total += decode(agent, rows)["observation"].mean(0)
    return total / steps


def test_scores_are_the_mean_reward_of_each_skill_imagined_alone() -> None:
    agent, steps = sharp_agent(), 4
    state = random_state(agent)
    generator = torch.Generator().manual_seed(1)
    draws = [
        score_skills(agent, state, lambda seen: seen["observation"][:, 1], steps, generator)
        for _ in range(400)
    ]
    scores, error = np.mean(draws, 0), np.std(draws, 0) / 20
    alone = [imagined_alone(agent, state, k, steps, 4000)[1] for k in range(SKILLS)]
    assert scores.shape == (SKILLS,)
    assert np.abs(scores - alone).max() < 5 * error.max()
    assert np.ptp(alone) > 10 * error.max(), "the skills differ by more than chance"


def test_the_skill_that_the_reward_prefers_is_chosen() -> None:
    agent = sharp_agent()
    state = random_state(agent)
    alone = np.array([imagined_alone(agent, state, k, 6, 4000) for k in range(SKILLS)])

    def reward(seen: dict[str, np.ndarray]) -> np.ndarray:
        return sign * seen["observation"][:, dimension].astype(np.float64)

    dimension = int(np.ptp(alone, axis=0).argmax())
    for sign in (1.0, -1.0):
        scores = [
            score_skills(agent, state, reward, 6, torch.Generator().manual_seed(k))
            for k in range(100)
        ]
        assert np.mean(scores, 0).argmax() == (sign * alone[:, dimension]).argmax()


def test_a_choice_is_the_best_score_and_repeats() -> None:
    agent = sharp_agent()
    state = random_state(agent)
    asked = []

    def rewards(episode: int):  # noqa: ANN202
        asked.append(episode)
        return lambda seen: np.where(np.arange(SKILLS) == episode, 1.0, 0.0)

    choose = best_skill(agent, rewards, seed=0, horizon=2)
    assert [choose(state, episode) for episode in (0, 3, 1, 3)] == [0, 3, 1, 3]
    assert asked == [0, 3, 1, 3]


def test_scoring_changes_neither_state_nor_agent() -> None:
    agent = sharp_agent()
    state = random_state(agent)
    before = state.deter.clone()
    one, two = (
        score_skills(
            agent,
            state,
            lambda seen: seen["observation"][:, 0],
            3,
            torch.Generator().manual_seed(2),
        )
        for _ in range(2)
    )
    assert np.array_equal(one, two) and state.deter.equal(before)


def test_vectors_are_decoded_in_the_environments_units() -> None:
    agent = make_agent()
    rows = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) * 10 + 500
    agent.world_model.standardizer.fit({"observation": rows})
    seen = decode(agent, random_state(agent))
    assert (np.abs(seen["observation"] - 500) < 100).all()


def test_images_are_decoded_to_bytes() -> None:
    agent = make_agent(SPEC)
    state = agent.initial_memory(2).state
    image = decode(agent, state)["image"]
    assert image.shape == (2, 3, 64, 64) and image.dtype == np.uint8
    assert 100 < image.mean() < 156, "an untrained decoder draws the middle grey"


@pytest.mark.parametrize("reward", [lambda s: 1.0, lambda s: np.full(SKILLS, np.nan)])
def test_a_reward_that_is_none(reward) -> None:  # noqa: ANN001
    agent = make_agent()
    with pytest.raises(UsageError, match="one finite number for each of the 4 rows"):
        score_skills(agent, random_state(agent), reward, 2)


def test_no_steps_to_imagine() -> None:
    agent = make_agent()
    with pytest.raises(UsageError, match="at least 1 step"):
        score_skills(agent, random_state(agent), lambda s: np.zeros(SKILLS), 0)


def settled(agent: Agent, observation: dict[str, np.ndarray]) -> torch.Tensor:
    """The model's h after ten looks at the same observation."""
    shown = {k: torch.as_tensor(v)[None] for k, v in observation.items()}
    memory, first = agent.initial_memory(1), torch.ones(1, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        state = agent.observe(memory, shown, first, generator)
        memory, first = Memory(state, torch.zeros(1, 2)), torch.zeros(1, dtype=torch.bool)
    return memory.state.deter


@torch.no_grad()
def test_the_code_of_a_goal_is_the_nearest_one() -> None:
    agent = sharp_agent()
    goals = [{"observation": np.array(o, np.float32)} for o in ([9, 0, 0], [-9, 9, 0], [0, 0, -9])]
    for skill, goal in zip((2, 0, 3), goals):
        codes = agent.skills.codebook.codes
        codes[:] = agent.skills.encoder(settled(agent, goal)) + 5.0
        codes[skill] -= 4.9
        assert skill_of_goal(agent, goal) == skill


@torch.no_grad()
def test_a_goal_image_decides_the_skill() -> None:
    agent = sharp_agent(SPEC)
    dark, bright = (np.full((3, 64, 64), level, np.uint8) for level in (0, 255))
    codes = agent.skills.codebook.codes
    for skill, image in ((1, dark), (3, bright)):
        codes[skill] = agent.skills.encoder(settled(agent, {"image": image}))[0]
    assert not codes[1].equal(codes[3])
    assert (skill_of_goal(agent, {"image": dark}), skill_of_goal(agent, {"image": bright})) == (
        1,
        3,
    )


@pytest.mark.parametrize("goal", [{}, {"observation": np.zeros(4, np.float32)}])
def test_a_goal_that_does_not_fit(goal: dict[str, np.ndarray]) -> None:
    with pytest.raises(UsageError, match=r"'observation' (is missing|has shape) .* the agent"):
        skill_of_goal(make_agent(), goal)


def test_chosen_episodes_are_those_of_run_episodes() -> None:
    """With the same skill throughout and one row, the same random stream gives the same actions."""
    agent, one, other = sharp_agent(), make_counting(1), make_counting(1)
    chosen = play_chosen(agent, one, lambda state, episode: 2, 3, seed=4)
    played = run_episodes(agent, other, "skill", 3, seed=4, skills=[2] * 3, sample=True)
    assert [c.rewards for c in chosen] == [e.rewards.tolist() for e in played]
    assert all(c.skills == [2] for c in chosen)
    assert one.environments[0].seeds == other.environments[0].seeds


def test_skills_are_chosen_again_every_few_steps_but_not_at_the_end() -> None:
    agent, calls = make_agent(), []

    def choose(state: State, episode: int) -> int:
        calls.append(episode)
        return len(calls) % SKILLS

    chosen = play_chosen(agent, make_counting(2), choose, 3, seed=0, skill_steps=4)
    assert sorted(calls) == [0, 0, 1, 1, 2, 2], "at step 0 and 4 of 8"
    assert all(len(c.skills) == 2 and len(c.rewards) == 8 for c in chosen)
    cut = play_chosen(agent, make_counting(2), choose, 2, seed=0, steps=5)
    assert all(len(c.rewards) == 5 and len(c.skills) == 1 for c in cut)
