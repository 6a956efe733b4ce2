import json
import logging
from pathlib import Path

import numpy as np
import pytest

from choreo.envs.vector import StepBatch, make_vector
from choreo.replay import Replay
from choreo.training.collector import Collector, replay_keys


def collector(folder: Path, env: str = "toy_envs:echo", num: int = 3, **options: int) -> Collector:
    vector = make_vector(env, num, parallel=False, **options)
    return Collector(vector, Replay(folder, replay_keys(vector), num), seed=7)


def acting(step: StepBatch) -> np.ndarray:
    """Actions that follow from the observations, different at every step."""
    seen = step.observation["observation"]
    return np.sin(seen[:, :1] * 3 + seen[:, -1:] + [[1.0, 2.0]]).astype(np.float32)


def rows(one: Collector, stream: int) -> dict[str, np.ndarray]:
    return one.replay.read(stream, 0, int(one.replay.bounds()[1][stream]))


def test_observation_t_is_what_action_t_led_to(tmp_path: Path) -> None:
    one = collector(tmp_path)
    for _ in range(60):
        one.step(acting)
    for stream in range(3):
        found = rows(one, stream)
        first, action = found["is_first"], found["action"]
        assert first[0] and first.sum() > 5
        np.testing.assert_allclose(found["observation"][:, :2], action, atol=1e-6)
        assert not action[first].any() and not found["reward"][first].any()
        steps = found["observation"][:, 2]
        np.testing.assert_allclose(found["reward"][~first], (action[:, 0] + steps)[~first], 1e-6)
        seen = StepBatch({"observation": found["observation"]}, *[found["reward"]] * 4)
        np.testing.assert_allclose(action[1:][~first[1:]], acting(seen)[:-1][~first[1:]], 1e-5)
        assert np.array_equal(first[1:], found["is_last"][:-1])
        lengths = steps[found["is_last"]]
        assert np.array_equal(found["is_terminal"][found["is_last"]], lengths % 2 == 1)


@pytest.mark.parametrize("repeat", [1, 2])
def test_frames_are_steps_times_the_repeat_and_a_reset_costs_none(
    tmp_path: Path, repeat: int
) -> None:
    one = collector(tmp_path, "toy_envs:point", num=2, action_repeat=repeat)
    ended = [end for _ in range(50) for end in one.step(lambda s: np.zeros((2, 2), np.float32))]
    taken = [(~rows(one, stream)["is_first"]).sum() for stream in range(2)]
    assert one.frames == sum(taken) * repeat
    assert {end["length"] for end in ended} == {20 // repeat}


def test_an_episodes_end_tells_its_return(tmp_path: Path) -> None:
    one = collector(tmp_path, num=1)
    ended = [end for _ in range(40) for end in one.step(acting)]
    found, start = rows(one, 0), 0
    for end, last in zip(ended, np.flatnonzero(found["is_last"]), strict=True):
        assert end["return"] == pytest.approx(found["reward"][start : last + 1].sum(), abs=1e-4)
        assert end["length"] == last - start
        start = last + 1


def test_an_episodes_end_tells_where_it_ended(tmp_path: Path) -> None:
    one = collector(tmp_path, "point_mass", num=2, time_limit=5)
    still = np.zeros((2, 2), np.float32)
    ended = [end for _ in range(18) for end in one.step(lambda step: still)]
    for stream in range(2):
        found = rows(one, stream)
        last = found["observation"][found["is_last"]]
        assert len(last) == 3
        for end, place in zip(ended[stream::2], last[:, :2], strict=True):
            assert [end["end/x"], end["end/y"]] == pytest.approx(place, abs=1e-5)


@pytest.mark.parametrize("cut", [1, 4, 11, 23])
def test_open_episodes_are_taken_up_where_they_were(tmp_path: Path, cut: int) -> None:
    whole = collector(tmp_path / "whole")
    for _ in range(40):
        whole.step(acting)
    first = collector(tmp_path / "cut")
    for _ in range(cut):
        first.step(acting)
    state, held = first.state(), first.replay.state()
    for _ in range(5):
        first.step(acting)  # lost by the kill
    first.replay.flush()
    second = collector(tmp_path / "cut")
    second.replay.restore(held)
    second.restore(state)
    for _ in range(cut, 40):
        second.step(acting)
    assert second.state() == whole.state()
    for stream in range(3):
        one, other = rows(whole, stream), rows(second, stream)
        assert all(np.array_equal(one[key], other[key]) for key in one)


def test_an_environment_that_does_not_repeat_itself_begins_anew_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = collector(tmp_path, "toy_envs:forgetful", num=1)
    for _ in range(5):
        one.step(lambda s: np.zeros((1, 2), np.float32))
    other = collector(tmp_path, "toy_envs:forgetful", num=1)
    other.replay.restore(one.replay.state())
    with caplog.at_level(logging.WARNING, "choreo"):
        other.restore(one.state())
    assert "environment 0 has not repeated" in caplog.text
    other.step(lambda s: np.zeros((1, 2), np.float32))
    assert rows(other, 0)["is_first"].tolist() == [True] + [False] * 4 + [True]


def test_an_open_episode_whose_start_was_dropped_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vector = make_vector("toy_envs:long_point", 1, parallel=False)

    def capped() -> Collector:
        row = sum(
            int(np.prod(shape)) * np.dtype(kind).itemsize
            for shape, kind in replay_keys(vector).values()
        )
        replay = Replay(tmp_path, replay_keys(vector), 1, max_bytes=row * 30, segment_steps=10)
        return Collector(vector, replay, seed=7)

    one = capped()
    for _ in range(55):
        one.step(lambda s: np.ones((1, 2), np.float32))
    assert one.replay.bounds()[0][0] > 0
    other = capped()
    other.replay.restore(one.replay.state())
    with caplog.at_level(logging.WARNING, "choreo"):
        other.restore(one.state())
    assert "before what the replay still holds" in caplog.text
    other.step(lambda s: np.ones((1, 2), np.float32))
    assert other.replay.read(0, 55, 56)["is_first"].tolist() == [True]
    assert other.frames == one.frames


def test_a_step_that_was_begun_is_begun_again_as_it_was(tmp_path: Path) -> None:
    """The actions drawn before a checkpoint are taken after it, not drawn anew."""
    whole = collector(tmp_path / "whole")
    for _ in range(12):
        whole.step(acting)
    cut = collector(tmp_path / "cut")
    for _ in range(6):
        cut.step(acting)
    cut.begin(acting)
    state, held = cut.state(), cut.replay.state()
    again = collector(tmp_path / "cut")
    again.replay.restore(held)
    again.restore(json.loads(json.dumps(state)))
    again.finish()
    for _ in range(5):
        again.step(acting)
    assert again.state() == whole.state()
    for stream in range(3):
        one, other = rows(whole, stream), rows(again, stream)
        assert all(np.array_equal(one[key], other[key]) for key in one)


def test_what_was_begun_in_an_episode_that_is_given_up_becomes_a_reset(tmp_path: Path) -> None:
    one = collector(tmp_path, "toy_envs:forgetful", num=1)
    for _ in range(5):
        one.step(lambda s: np.ones((1, 2), np.float32))
    one.begin(lambda s: np.ones((1, 2), np.float32))
    other = collector(tmp_path, "toy_envs:forgetful", num=1)
    other.replay.restore(one.replay.state())
    other.restore(one.state())
    other.finish()
    assert rows(other, 0)["is_first"].tolist() == [True] + [False] * 4 + [True]
    assert not rows(other, 0)["action"][-1].any()


def test_simulators_are_given_seeds_of_31_bits(tmp_path: Path) -> None:
    one = collector(tmp_path, "odd_envs:OldGenerator")
    for _ in range(40):
        one.step(lambda s: np.zeros((3, 2), np.float32))
    assert max(one._seeds(one.episodes + more).max() for more in range(100)) < 2**31


def test_a_run_of_an_earlier_version_goes_on_with_its_seeds_of_63_bits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, first = collector(tmp_path / "whole"), collector(tmp_path / "cut")
    whole.long_seeds = first.long_seeds = True
    for _ in range(40):
        whole.step(acting)
    for _ in range(11):
        first.step(acting)
    state = {key: value for key, value in first.state().items() if key != "long_seeds"}
    second = collector(tmp_path / "cut")
    second.replay.restore(first.replay.state())
    second.restore(state)
    for _ in range(11, 40):
        second.step(acting)
    assert second.state() == whole.state() and not caplog.text
    assert second._seeds(second.episodes).max() > 2**32
