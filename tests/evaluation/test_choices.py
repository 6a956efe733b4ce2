"""Which skill a meta-controller chose, counted by hand, and in real episodes."""

from dataclasses import replace

import numpy as np
import pytest
from toy_episodes import SKILLS, episode_of, make_agent, make_counting

from choreo.agent import adapt
from choreo.evaluation.choices import Choices, measure_choices
from choreo.evaluation.evaluate import evaluate


def test_shares_and_stretches() -> None:
    choices = Choices([np.array([2, 2, 0, 2]), np.array([3, 3])], 4)
    assert choices.share.tolist() == [1 / 6, 0, 3 / 6, 2 / 6]
    assert choices.most_used == [2, 3, 0]
    assert choices.held == 6 / 4
    assert choices.to_json()["over_time"] == [[[2, 2], [0, 1], [2, 1]], [[3, 2]]]
    assert measure_choices([episode_of(0)], 4) is None


@pytest.mark.parametrize("sample", [False, True])
def test_what_is_written_down_is_what_acted(sample: bool) -> None:
    agent = adapt(make_agent(), make_agent().config, seed=1)
    played = evaluate(agent, make_counting(2), "task", 2, 0, sample=sample).episodes
    for episode in played:
        assert episode.choices.shape == (episode.length,)
        assert episode.choices.min() >= 0 and episode.choices.max() < SKILLS
        assert episode.cut(3).choices.shape == (3,)
    session = agent.session(seed=3)
    action = session.act({"observation": np.zeros(3, np.float32)})
    assert session.choice is not None
    same = agent.decide(session.memory.state, "skill", session.memory.choice)
    np.testing.assert_array_equal(same[0].numpy(), action)
    assert replace(played[0], choices=played[0].choices[:0]).choices.size == 0
