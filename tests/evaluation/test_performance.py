"""Scores played step by step, switched live, and filmed the same way every time."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_episodes import CountingEnvironment, CountingVector, make_agent, make_counting

from choreo.agent import Agent
from choreo.envs import TimeStep
from choreo.errors import UsageError
from choreo.evaluation.choreography import Move, Score
from choreo.evaluation.performance import (
    film,
    film_pace,
    open_stage,
    perform,
    perform_task,
)
from choreo.evaluation.rollouts import run_episodes

SCORE = Score((Move(2, 3), Move(0, 2)), seed=3)


@pytest.fixture(scope="module")
def agent() -> Agent:
    return make_agent()


class Falls(CountingEnvironment):
    """Ends its episode after 4 steps."""

    def _step(self, action: np.ndarray, reward: float, first: bool) -> TimeStep:
        return replace(super()._step(action, reward, first), is_last=self.count == 4)


def test_there_is_an_item_for_the_start_and_one_for_each_step(agent: Agent) -> None:
    items = list(perform(agent, make_counting(1), SCORE, picture_size=8, every=2))
    assert [item.step for item in items] == [0, 1, 2, 3, 4, 5]
    assert [item.skill for item in items] == [2, 2, 2, 2, 0, 0]
    assert [item.move for item in items] == [0, 0, 0, 0, 1, 1]
    assert [item.reward for item in items] == [0, 1, 2, 3, 4, 5]  # the environment pays the step
    assert items[0].action is None and not any(item.ended for item in items)
    for item in items[1:]:
        assert item.action is not None
        np.testing.assert_allclose(item.observation["observation"], [item.step, *item.action])
    np.testing.assert_array_equal([i.coordinates for i in items], [[n, n / 2] for n in range(6)])
    assert [i.frame is not None for i in items] == [True, False, True, False, True, False]
    assert items[2].frame is not None and items[2].frame.shape == (8, 8, 3)
    assert (items[2].frame == 2).all()


def test_a_score_of_one_skill_is_an_episode_of_the_same_seed(agent: Agent) -> None:
    (episode,) = run_episodes(agent, make_counting(1), "skill", 1, 3, skills=[2], steps=5)
    played = list(perform(agent, make_counting(1), Score((Move(2, 5),), seed=3)))
    np.testing.assert_array_equal([item.action for item in played[1:]], episode.actions)


def test_skills_are_switched_between_steps(agent: Agent) -> None:
    performance = perform(agent, make_counting(1), SCORE)
    skills = []
    for item in performance:
        skills.append(item.skill)
        if item.step == 1:
            performance.switch(3)
        if item.step == 3:
            performance.switch(None)
    assert skills == [2, 2, 3, 3, 0, 0]
    with pytest.raises(UsageError, match="skill 4, which does not exist"):
        performance.switch(4)


def test_it_ends_with_the_environments_episode(agent: Agent) -> None:
    items = list(perform(agent, CountingVector([Falls()]), SCORE))
    assert [item.ended for item in items] == [False] * 4 + [True]


def test_what_cannot_be_played_is_refused(agent: Agent) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        perform(agent, make_counting(1), Score((Move(9, 1),)))
    with pytest.raises(UsageError, match="in 1 environment, got 2"):
        perform(agent, make_counting(2), SCORE)


def test_the_task_is_played_by_who_was_tuned_for_it(agent: Agent) -> None:
    with pytest.raises(UsageError, match="was not fine-tuned"):
        perform_task(agent, make_counting(1), 0, 5)
    tuned = Agent(agent.spec, agent.config, "adaptation", 0)
    items = list(perform_task(tuned, make_counting(1), 0, 5))
    assert items[0].skill is None
    assert all(item.skill is not None and 0 <= item.skill < 4 for item in items[1:])
    single = Agent(agent.spec, agent.config, "task", 0)
    assert [i.skill for i in perform_task(single, make_counting(1), 0, 2)] == [None] * 3


def test_a_stage_lasts_as_long_as_the_score() -> None:
    made: list[int | None] = []

    def make(limit: int | None) -> CountingVector:
        made.append(limit)
        return make_counting(1)  # 8 steps, whatever is asked for

    open_stage(make, 8)
    open_stage(make, 9)
    assert made == [None, None, 9]

    def fixed(limit: int | None) -> CountingVector:
        if limit is not None:
            raise UsageError("set them in the factory")
        return make_counting(1)

    assert open_stage(fixed, 9).spec.episode_steps == 8


PROGRAM = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from toy_episodes import make_agent, make_counting
from choreo.evaluation.choreography import Move, Score
from choreo.evaluation.performance import film
score = Score((Move(2, 3), Move(0, 2)), seed=3)
print(hashlib.sha256(film(make_agent(), make_counting(1), score, "mp4", 32)).hexdigest())
"""


@pytest.mark.parametrize("form", ["mp4", "gif", "webp"])
def test_the_same_score_gives_the_same_film(agent: Agent, form: Any) -> None:
    told: list[tuple[int, int]] = []
    first = film(agent, make_counting(1), SCORE, form, 32)
    again = film(
        agent, make_counting(1), SCORE, form, 32, lambda _, done, total: told.append((done, total))
    )
    assert first == again and told[-1] == (5, 5)
    if form == "mp4":
        tests = str(Path(__file__).parents[1])
        command = [sys.executable, "-c", PROGRAM, tests]
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        assert run.stdout.strip() == hashlib.sha256(first).hexdigest(), "in another process"


def test_films_go_at_the_pace_of_the_simulated_time() -> None:
    spec = CountingEnvironment().spec  # 0.1 s a step
    assert film_pace(spec, 100) == (1, 10.0)
    assert film_pace(replace(spec, step_seconds=0.025), 100) == (2, 20.0)
    assert film_pace(replace(spec, step_seconds=0.02), 100) == (2, 25.0)
    assert film_pace(replace(spec, step_seconds=None), 100) == (1, 20.0)
    assert film_pace(spec, 100, most=20) == (5, 2.0), "the same time, fewer pictures"
