"""What a task's critic expected beside what followed, counted by hand and in real episodes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_episodes import episode_of, make_agent, make_counting

from choreo.agent import Agent, adapt, load
from choreo.agent.adapting import Start
from choreo.agent.agent import restore_agent
from choreo.evaluation.critic import CriticCheck, check_critic
from choreo.evaluation.evaluate import evaluate
from choreo.report.verdicts import critic_verdict


def test_states_whose_episode_goes_on_long_enough_are_compared() -> None:
    episode = replace(
        episode_of(0, coordinates=np.zeros((5, 1))),
        rewards=np.array([1.0, 0.0, 2.0, 5.0], np.float32),
        values=np.array([9.0, 2.0, 4.0, 7.0, 8.0]),
    )
    found = check_critic([episode, episode_of(0)], 0.4)
    assert found is not None and (found.expected, found.steps) == (3.0, 2)
    # 0.4^4 and 0.4^3 are less than a tenth: 1 + 0.16 x 2 + 0.064 x 5, and 0.4 x 2 + 0.16 x 5
    assert found.found == pytest.approx((1.64 + 1.6) / 2)
    assert check_critic([episode], 0.9) is None, "four steps on, what follows still weighs 0.66"
    assert check_critic([episode.cut(1)], 0.05) == CriticCheck(2.0, 1.0, 1)
    assert check_critic([episode_of(0)], 0.0) is None, "no values"
    real = check_critic([replace(episode, terminal=True)], 0.9)
    assert real is not None and (real.expected, real.steps) == (5.25, 4), "after it nothing follows"
    assert real.found == pytest.approx((1 + 0.81 * 2 + 0.729 * 5 + 1.8 + 0.81 * 5 + 6.5 + 5) / 4)


def adapted(start: Start) -> Agent:
    """Gamma of a half: what follows four steps later weighs little."""
    config = make_agent().config
    short = replace(config, imagination=replace(config.imagination, gamma=0.5))
    return adapt(make_agent(), short, 1, start)


@pytest.mark.parametrize("start", ["skills", "model"])
def test_values_are_those_of_the_critic_where_it_was_trained(tmp_path: Path, start: Start) -> None:
    agent = adapted(start)
    result = evaluate(agent, make_counting(2), "task", 2, seed=0)
    assert [e.values.shape for e in result.episodes] == [(e.length + 1,) for e in result.episodes]
    session = agent.session(2)
    session.act({"observation": np.zeros((2, 3), np.float32)})
    policy = agent.task_policy or agent.controller.selector  # pyright: ignore
    with torch.no_grad():
        assert session.value is not None
        torch.testing.assert_close(
            session.value, policy.critic(session.memory.state.feat)[:, 0], rtol=0, atol=0
        )
    random = evaluate(agent, make_counting(2), "random", 2, seed=0)
    assert all(e.values.size == 0 for e in random.episodes) and random.critic is None
    packed = restore_agent(*agent.inference())
    assert packed.task_critic is None, "packs have no critic, and a fresh one knows nothing"
    assert evaluate(packed, make_counting(2), "task", 2, seed=0).critic is None
    again = load(packed.save(tmp_path / "anew"))
    assert again.task_critic is None, "nor one that was saved anew"
    assert make_agent().session().value is None


def test_an_evaluation_tells_it() -> None:
    result = evaluate(adapted("skills"), make_counting(2), "task", 2, seed=0)
    assert result.critic is not None
    assert result.to_json()["critic"] == result.critic.to_json()


@pytest.mark.parametrize(("expected", "tone"), [(14.0, "good"), (30.0, "bad")])
def test_a_critic_that_hopes_is_called_so(expected: float, tone: str) -> None:
    verdict = critic_verdict(CriticCheck(expected, 13.2, 1200))
    assert verdict.tone == tone and f"return of {expected:.4g}; 13.2 followed" in verdict.sentence
    assert ("learns from a hope" in verdict.sentence) == (tone == "bad")
