from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from toy_agents import toy_agent

from choreo.adaptation import AdaptationConfig
from choreo.agent import Session
from choreo.envs.vector import StepBatch
from choreo.training.phases import Adapting, Exploring


class Recorder(Session):
    """A session that notes who is asked to act."""

    def __init__(self, num: int) -> None:
        super().__init__(toy_agent("adaptation"), num)
        self.asked: list[tuple[str | None, list[int] | None, bool]] = []

    def act(self, observation, skill=None, policy=None, sample=False, is_first=None):  # noqa: ANN001, ANN201
        codes = None if skill is None else np.asarray(skill).tolist()
        self.asked.append((policy, codes, sample))
        return np.zeros((self.num, 2), np.float32)


def step(num: int = 2) -> StepBatch:
    no = np.zeros(num, bool)
    return StepBatch({"observation": np.zeros((num, 4))}, np.zeros(num, np.float32), no, no, no)


def adapting(random_frames: int = 10) -> Adapting:
    config = AdaptationConfig(skill_steps=3, reward_threshold=0.5)
    return Adapting(random_frames, config, 1000, np.random.default_rng(0))


def rewards(value: float) -> dict[str, np.ndarray]:
    return {"reward": np.array([[0.0, value]], np.float32)}


def test_exploring_acts_by_chance_for_the_first_frames_and_then_samples_the_explorer() -> None:
    session, phase = Recorder(2), Exploring(10)
    for frames in (0, 9, 10, 11):
        phase.act(session, step(), frames)
    assert [asked[0] for asked in session.asked] == ["random", "random", "explore", "explore"]
    assert all(sample for _, _, sample in session.asked)
    assert phase.resting(rewards(0), 0) == ()


@pytest.mark.parametrize(
    ("reward", "frames", "rests"),
    [(0.4, 100, True), (0.6, 9, True), (0.6, 10, False), (0.5, 100, True)],
)
def test_adaptation_rests_until_the_reward_is_found_and_the_first_frames_are_over(
    reward: float, frames: int, rests: bool
) -> None:
    assert adapting().resting(rewards(reward), frames) == (("adaptation",) if rests else ())


def test_a_reward_once_found_stays_found() -> None:
    phase = adapting()
    phase.resting(rewards(1.0), 0)
    assert phase.resting(rewards(0.0), 10) == ()


def test_until_then_random_skills_act_each_for_a_few_steps() -> None:
    session, phase = Recorder(2), adapting()
    for frames in range(20):
        phase.act(session, step(), frames)
    codes = [tuple(asked[1] or ()) for asked in session.asked]
    assert all(codes[i] == codes[i - i % 3] for i in range(20))
    assert len({codes[i] for i in range(0, 20, 3)}) == 7
    assert all(one != other for one, other in codes), "each environment has a skill of its own"
    phase.resting(rewards(1.0), 20)
    phase.act(session, step(), 20)
    assert session.asked[-1] == ("task", None, True)
    assert all(sample for _, _, sample in session.asked)


@pytest.mark.parametrize(("who", "policy"), [("explorer", "explore"), ("random", "random")])
def test_others_than_skills_search_where_they_are_told_to(who: Any, policy: str) -> None:
    session, config = Recorder(2), AdaptationConfig(reward_threshold=0.5, search_with=who)
    phase = Adapting(10, config, 1000, np.random.default_rng(0))
    for frames in (0, 10):
        phase.act(session, step(), frames)
    phase.resting(rewards(1.0), 10)
    phase.act(session, step(), 10)
    assert session.asked == [(policy, None, True)] * 2 + [("task", None, True)]


def test_explorer_and_skills_take_turns_by_the_episodes_of_the_first_environment() -> None:
    session, config = Recorder(2), AdaptationConfig(reward_threshold=0.5, search_with="turns")
    phase = Adapting(100, config, 1000, np.random.default_rng(0))
    for frames in range(12):
        first = np.array([frames % 4 == 0, frames % 3 == 0])
        phase.act(session, replace(step(), is_first=first), frames)
        if frames in (1, 6):  # in the middle of an episode
            state = phase.state()
            phase = Adapting(100, config, 1000, phase.rng)
            phase.restore(state)
    expected = ["explore"] * 4 + ["skill"] * 4 + ["explore"] * 4
    assert [policy for policy, _, _ in session.asked] == expected
    codes = [codes for _, codes, _ in session.asked]
    assert codes[:4] == codes[8:] == [None] * 4 and None not in codes[4:8]


def test_without_skills_the_policy_of_the_task_acts_from_the_first_frame() -> None:
    session = Recorder(2)
    rng = np.random.default_rng(0)
    phase = Adapting(10, AdaptationConfig(reward_threshold=0.5), 1000, rng, False)
    for frames in (0, 20):
        phase.act(session, step(), frames)
    assert session.asked == [("task", None, True)] * 2
    assert phase.resting(rewards(0.0), 20) == ("adaptation",)
    assert phase.resting(rewards(1.0), 20) == ()


@pytest.mark.parametrize(
    ("before", "found", "frames", "expected"),
    [
        ("random-skill", False, 100, "skill"),
        ("random-skill", True, 9, "skill"),
        ("random-skill", True, 10, "task"),
        ("selector", False, 0, "task"),
    ],
)
def test_who_is_evaluated_before_the_reward_is_found(
    before: Any, found: bool, frames: int, expected: str
) -> None:
    config = AdaptationConfig(before_reward=before, reward_threshold=0.5)
    phase = Adapting(10, config, 1000, np.random.default_rng(0))
    phase.resting(rewards(float(found)), 0)
    assert phase.evaluated(frames) == expected
    alone = Adapting(10, config, 1000, np.random.default_rng(0), explores_by_skills=False)
    assert alone.evaluated(frames) == "task"


def test_a_restored_phase_goes_on_with_its_skill() -> None:
    phase = adapting()
    first, second = Recorder(2), Recorder(2)
    for frames in range(4):
        phase.act(first, step(), frames)
    other = adapting()
    other.restore(phase.state())
    other.rng.bit_generator.state = phase.rng.bit_generator.state
    for frames in range(4, 12):
        phase.act(first, step(), frames)
        other.act(second, step(), frames)
    assert first.asked[4:] == second.asked
    phase.resting(rewards(1.0), 0)
    other.restore(phase.state())
    assert other.resting(rewards(0.0), 50) == ()
