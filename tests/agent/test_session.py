"""Sessions in a robot's control loop: units, rows, held skills, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from toy_agents import CONFIG, SPEC, toy_agent

from choreo.agent import Agent, Posterior
from choreo.envs import ArraySpec
from choreo.errors import ChoreoError, EnvironmentMismatch, NotFinite, UsageError

LOW, HIGH = (-2.0, 10.0), (0.5, 30.0)


def seen(step: int, num: int | None = None) -> np.ndarray:
    shape = (4,) if num is None else (num, 4)
    return np.random.default_rng(step).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("num", [None, 3])
def test_units_are_those_that_the_environment_declares(num: int | None) -> None:
    robot = Agent(replace(SPEC, action_low=LOW, action_high=HIGH), CONFIG, "pretraining")
    scaled, own = robot.session(num), robot.session(num)
    for step in range(5):
        given = scaled.act(seen(step, num), policy="random")
        found = own.act_in_units(seen(step, num), policy="random")
        wanted = np.array(LOW) + (given + 1) / 2 * (np.array(HIGH) - np.array(LOW))
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
        assert found.dtype == np.float32 and found.shape == given.shape
        assert (found >= LOW).all() and (found <= HIGH).all()


def test_single_rows_begin_anew() -> None:
    agent = toy_agent()
    session, flagged = agent.session(3, seed=2), agent.session(3, seed=2)
    for step in range(3):
        assert np.array_equal(
            session.act(seen(step, 3), skill=1), flagged.act(seen(step, 3), skill=1)
        )
    session.reset(rows=[0, 2])
    one = session.act(seen(3, 3), skill=1)
    other = flagged.act(seen(3, 3), skill=1, is_first=np.array([True, False, True]))
    assert np.array_equal(one, other) and torch.equal(session.deter, flagged.deter)
    session.reset(rows=np.array([False, True, False]))
    assert session._is_first.tolist() == [False, True, False]
    with pytest.raises(UsageError, match="no row 3; this session has 3"):
        session.reset(rows=3)


@pytest.mark.parametrize("posterior", ["sample", "mode"])
def test_only_a_sampled_posterior_depends_on_chance(posterior: Posterior) -> None:
    agent = toy_agent("adaptation")
    agent.posterior = posterior
    one, other = agent.session(seed=1), agent.session(seed=2)
    same = [np.array_equal(one.act(seen(k)), other.act(seen(k))) for k in range(8)]
    assert all(same) is (posterior == "mode")
    state = one.memory.state
    likeliest = torch.equal(state.stoch.argmax(-1), state.logit.argmax(-1))
    assert likeliest or posterior == "sample"
    assert state.stoch.sum() == 3  # one class of each variable


def test_a_skill_is_held_and_then_the_policy_goes_on() -> None:
    agent = toy_agent("adaptation")
    session, named = agent.session(seed=3), agent.session(seed=3)
    session.hold(4, steps=3)
    for step, skill in enumerate([4, 4, 4, None, None]):
        assert np.array_equal(session.act(seen(step)), named.act(seen(step), skill=skill))
    session.hold(4, steps=2)
    session.act(seen(5), skill=1)
    assert session.held_steps == 2
    session.reset()
    assert session.held_steps == 0
    for skill, steps in ((5, 1), (0, 0)):
        with pytest.raises(UsageError):
            session.hold(skill, steps)


REFUSED: dict[str, tuple[Any, dict[str, Any], type[ChoreoError], str]] = {
    "nan": (np.array([0, np.nan, 0, 0]), {"skill": 0}, NotFinite, "nan at index 1 of row 0"),
    "inf": (np.array([0, 0, 0, -np.inf]), {"skill": 0}, NotFinite, "-inf at index 3"),
    "too large": (np.full(4, 1e300), {"skill": 0}, NotFinite, "inf at index 0"),
    "poison": (np.full(4, 3e38), {"skill": 0}, NotFinite, "Huge observations need scaling"),
    "text": (np.array(["a"] * 4), {"skill": 0}, EnvironmentMismatch, "<U1; wanted float32"),
    "shape": (np.zeros(3), {"skill": 0}, EnvironmentMismatch, "shape"),
    "skill": (np.zeros(4), {"skill": 5}, UsageError, "does not exist"),
    "policy": (np.zeros(4), {"policy": "fly"}, UsageError, "not one of"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_leaves_the_session_as_it_was(name: str) -> None:
    observation, options, kind, words = REFUSED[name]
    agent = toy_agent()
    session, other = agent.session(seed=1), agent.session(seed=1)
    for one in (session, other):
        one.act(seen(0), skill=0)
    before = session.state_dict()
    with pytest.raises(kind, match=words):
        session.act(observation, **options)
    after = session.state_dict()
    memory = set(before) - {"generator"}
    assert all(torch.equal(before[key], after[key]) for key in memory)
    if name != "poison":  # found after the step's chance was drawn
        assert np.array_equal(session.act(seen(1), skill=0), other.act(seen(1), skill=0))


def test_a_refused_first_observation_leaves_the_episode_to_begin() -> None:
    agent = toy_agent()
    session, fresh = agent.session(seed=1), agent.session(seed=1)
    with pytest.raises(NotFinite):
        session.act(np.full(4, np.nan), skill=0)
    assert np.array_equal(session.act(seen(1), skill=0), fresh.act(seen(1), skill=0))


def test_pictures_are_not_cast_without_a_look() -> None:
    spec = replace(SPEC, observations={"image": ArraySpec((3, 32, 32), "uint8")})
    session = Agent(spec, CONFIG, "pretraining").session()
    picture = np.random.default_rng(0).integers(256, size=(3, 32, 32))
    session.act(picture, skill=0)  # whole numbers of another dtype are the same picture
    with pytest.raises(EnvironmentMismatch, match=r"float64 from 0 to 1.*uint8 from 0 to 255"):
        session.act(picture / 255, skill=0)


def test_a_skill_is_switched_without_a_jump_in_the_state() -> None:
    """The state follows from what was seen and done; which skill acts next changes the action."""
    agent = toy_agent()
    kept, switched = agent.session(num=2), agent.session(num=2)
    seen = np.random.default_rng(0).normal(size=(6, 2, 4)).astype(np.float32)
    for observation in seen[:5]:
        for session in (kept, switched):
            session.act(observation, skill=0)
    one, other = kept.act(seen[5], skill=0), switched.act(seen[5], skill=np.array([0, 3]))
    assert torch.equal(kept.deter, switched.deter)
    assert torch.equal(kept.memory.state.stoch, switched.memory.state.stoch)
    assert np.array_equal(one[0], other[0]) and not np.array_equal(one[1], other[1])
