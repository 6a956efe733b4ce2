"""Real beside dream: errors in units of the data's variance, and where the dream leaves."""

import json

import numpy as np
import pytest
from toy_episodes import make_agent, make_counting, make_pictured

from choreo.evaluation.axes import make_axes
from choreo.evaluation.dream import (
    VISIBLE,
    WINDOW,
    errors,
    leaves,
    real_and_dream,
    recorded_spread,
    spread_of,
)
from choreo.evaluation.imagining import imagine, one_skill, random_actions, start_of_reset
from choreo.evaluation.model_error import Spread
from choreo.evaluation.performance import perform
from choreo.evaluation.rollouts import run_episodes
from choreo.replay import Replay


def test_errors_are_shares_of_the_variance() -> None:
    agent = make_agent()
    spread = Spread(np.array([4.0, 0.0, 1.0]))  # the second entry never changes
    truth = {"observation": np.zeros((2, 3), np.float32)}
    guess = {"observation": np.array([[2, 9, 0], [0, 9, 3]], np.float32)}
    assert errors(agent, guess, truth, spread).tolist() == [0.5, 4.5]


def test_pictures_and_vectors_count_alike() -> None:
    agent = make_agent(make_pictured(1, vectors=True).spec)
    spread = Spread(np.ones(3), images=0.04)
    black = np.zeros((1, 3, 64, 64), np.uint8)
    truth = {"observation": np.zeros((1, 3)), "image": black}
    guess = {"observation": np.ones((1, 3)), "image": black + 51}  # a fifth of all levels
    assert errors(agent, guess, truth, spread) == pytest.approx([1.0])
    assert errors(agent, {**guess, "observation": np.zeros((1, 3))}, truth, spread) == (
        pytest.approx([0.5])
    )


def test_a_dream_leaves_where_a_lazy_guess_is_better_for_a_while() -> None:
    lazy = np.full(41, 0.5)
    error = np.where(np.arange(41) < 20, 0.2, 0.8)
    # From step 15 on five of ten steps are at 0.8: their mean is 0.5, and from 16 on above.
    assert leaves(error, lazy) == 16
    assert leaves(np.where(np.arange(41) == 7, 2.0, 0.2), lazy) is None, "one step is no departure"
    assert leaves(np.full(41, VISIBLE), np.zeros(41)) is None, "too small to see"
    assert leaves(np.full(4, 1.0), np.zeros(4)) == 1
    assert leaves(np.array([9.0]), np.zeros(1)) is None
    assert WINDOW == 10


def test_both_begin_alike_and_are_as_long() -> None:
    agent, vector = make_agent(), make_counting(1)
    played = run_episodes(agent, make_counting(1), "random", 4, 0)
    axes = make_axes(vector.spec.coordinates, played)
    found = real_and_dream(agent, vector, 2, 3, 6, axes, picture_size=8, every=3)
    assert found.real.shape == found.dream.shape == (7, 2)
    assert found.error.shape == found.lazy.shape == (7,) and found.lazy[0] == 0
    np.testing.assert_array_equal(found.real, [[n, n / 2] for n in range(7)])
    np.testing.assert_array_equal(found.reward, np.arange(1, 7))
    assert len(found.frames) == 3 and found.dreamt_frames == [] and not found.ended
    start = start_of_reset(agent, make_counting(1), 3)
    alone = imagine(agent, one_skill(2, 6, 3), start)
    np.testing.assert_array_equal(found.dreamt_reward, alone.reward)
    seen = {"observation": np.array([[n, 0, 0] for n in range(7)], np.float32)}
    own = spread_of(agent, seen).vectors[0]
    assert own == 4.0  # of 0 to 6
    data = json.loads(json.dumps(found.to_json()))
    assert data["axes"] == ["count", "half"] and len(data["dream"]["path"]) == 7
    assert data["round"] == [False, False]
    cut = real_and_dream(agent, vector, 2, 3, 20, axes)  # the environment has 8 steps
    assert cut.ended and len(cut.real) == len(cut.dream) == 9


def test_a_dream_of_random_actions_takes_those_that_were_played() -> None:
    agent, score = make_agent(), one_skill(2, 6, 3)
    axes = make_axes((), run_episodes(agent, make_counting(1), "random", 2, 0))
    found = real_and_dream(agent, make_counting(1), 2, 3, 6, axes, policy="random")
    items = list(perform(agent, make_counting(1), score, policy="random"))
    taken = np.stack([item.action for item in items[1:] if item.action is not None])
    start = start_of_reset(agent, make_counting(1), 3)
    dreamt = imagine(agent, score, start, actions=taken)
    np.testing.assert_array_equal(dreamt.actions, taken)
    np.testing.assert_array_equal(found.dreamt_reward, dreamt.reward)
    assert not np.array_equal(dreamt.reward, imagine(agent, score, start).reward)
    drawn = random_actions(agent, score)
    assert drawn.shape == taken.shape and np.abs(drawn).max() <= 1
    np.testing.assert_array_equal(drawn, random_actions(agent, score))


def test_a_dream_of_pictures_is_drawn_by_the_model() -> None:
    vector = make_pictured(1)
    agent = make_agent(vector.spec)
    axes = make_axes((), run_episodes(agent, make_pictured(1), "random", 2, 0, steps=4))
    found = real_and_dream(agent, vector, 1, 0, 4, axes, picture_size=128, every=2)
    assert [frame.shape for frame in found.dreamt_frames] == [(128, 128, 3)] * 3
    assert found.axes.kind == "embedding"


def test_the_variance_of_recorded_experience(tmp_path) -> None:  # noqa: ANN001
    agent = make_agent()
    keys = {"observation": ((3,), "float32"), "is_first": ((), "bool")}
    replay = Replay(tmp_path, keys, streams=2)
    rows = np.random.default_rng(0).normal(size=(30, 2, 3)).astype(np.float32)
    for row in rows:
        replay.append({"observation": row, "is_first": np.zeros(2, bool)})
    found = recorded_spread(agent, replay)
    np.testing.assert_allclose(found.vectors, rows.reshape(-1, 3).var(0), rtol=1e-5)
