import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from choreo.errors import ChoreoError, UsageError
from choreo.replay import Replay, SequenceSampler

KEYS = {"index": ((), "int64"), "stream": ((), "int64"), "is_first": ((), "bool")}


def filled(
    folder: Path,
    steps: int,
    streams: int = 2,
    segment_steps: int = 4,
    episode: int = 5,
    max_bytes: int | None = None,
) -> Replay:
    replay = Replay(folder, KEYS, streams, max_bytes=max_bytes, segment_steps=segment_steps)
    for index in range(steps):
        replay.append(
            {
                "index": np.full(streams, index),
                "stream": np.arange(streams),
                "is_first": np.full(streams, index % episode == 0),
            }
        )
    return replay


def test_a_sequence_across_segments_and_episodes_by_hand(tmp_path: Path) -> None:
    replay = filled(tmp_path, 8)
    batch = replay.gather(np.array([1, 0]), np.array([2, 1]), 6)
    assert batch["index"].tolist() == [[2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6]]
    assert batch["stream"].tolist() == [[1] * 6, [0] * 6]
    f, t = False, True
    assert batch["is_first"].tolist() == [[f, f, f, t, f, f], [f, f, f, f, t, f]]


def test_a_sampled_sequence_begins_with_is_first_and_leaves_the_replay_alone(
    tmp_path: Path,
) -> None:
    replay = filled(tmp_path, 20)
    before = replay.read(0, 0, 20)["is_first"]
    batch = SequenceSampler(replay, 32, 7, np.random.default_rng(0)).sample()
    assert batch["index"].shape == (32, 7)
    assert (np.diff(batch["index"], axis=1) == 1).all()
    assert (batch["stream"] == batch["stream"][:, :1]).all()
    assert batch["is_first"][:, 0].all()
    np.testing.assert_array_equal(batch["is_first"][:, 1:], batch["index"][:, 1:] % 5 == 0)
    np.testing.assert_array_equal(replay.read(0, 0, 20)["is_first"], before)


def test_every_start_is_equally_likely(tmp_path: Path) -> None:
    replay = filled(tmp_path, 23, streams=3)
    sampler = SequenceSampler(replay, 100, 6, np.random.default_rng(1))
    counts = np.zeros((3, 18))
    for _ in range(200):
        batch = sampler.sample()
        np.add.at(counts, (batch["stream"][:, 0], batch["index"][:, 0]), 1)
    assert counts.sum() == 20_000
    assert stats.chisquare(counts.ravel()).pvalue > 0.001


def test_streams_count_by_their_starts(tmp_path: Path) -> None:
    replay = filled(tmp_path, 23)
    replay.restore({"format": 1, "start": [0, 8], "stop": [23, 13]})  # 21 and 3 starts
    sampler = SequenceSampler(replay, 100, 3, np.random.default_rng(2))
    counts = np.zeros((2, 21))
    for _ in range(100):
        batch = sampler.sample()
        np.add.at(counts, (batch["stream"][:, 0], batch["index"][:, 0]), 1)
    seen = np.concatenate([counts[0], counts[1, 8:11]])
    assert seen.sum() == 10_000
    assert stats.chisquare(seen).pvalue > 0.001


def test_dropped_steps_are_never_drawn(tmp_path: Path) -> None:
    replay = filled(tmp_path, 50, max_bytes=2 * 3 * 4 * 24)
    low = replay.bounds()[0].min()
    assert low > 30
    sampler = SequenceSampler(replay, 200, 3, np.random.default_rng(0))
    drawn = sampler.sample()["index"]
    assert (drawn.min(), drawn.max()) == (low, 49)


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    replay = filled(tmp_path, 40)
    first = SequenceSampler(replay, 16, 5, np.random.default_rng(7))
    second = SequenceSampler(replay, 16, 5, np.random.default_rng(7))
    other = SequenceSampler(replay, 16, 5, np.random.default_rng(8))
    for _ in range(3):
        a, b, c = first.sample(), second.sample(), other.sample()
        np.testing.assert_array_equal(a["index"], b["index"])
        assert (a["index"] != c["index"]).any()


def test_it_is_ready_with_the_first_whole_sequence(tmp_path: Path) -> None:
    short = SequenceSampler(filled(tmp_path / "a", 5), 4, 6, np.random.default_rng(0))
    assert not short.ready()
    with pytest.raises(ChoreoError, match="one with 6 is wanted"):
        short.sample()
    exact = SequenceSampler(filled(tmp_path / "b", 6), 4, 6, np.random.default_rng(0))
    assert exact.ready()
    assert exact.sample()["index"].tolist() == [list(range(6))] * 4


def test_within_episodes_every_start_is_equally_likely_by_hand(tmp_path: Path) -> None:
    """13 steps in episodes of 5: starts 0 1 2 | 5 6 7 | 10 of every stream hold 3 steps."""
    replay = filled(tmp_path, 13, streams=3)
    sampler = SequenceSampler(replay, 100, 3, np.random.default_rng(1), within_episodes=True)
    counts = np.zeros((3, 13))
    for _ in range(200):
        batch = sampler.sample()
        assert not batch["is_first"][:, 1:].any()
        np.add.at(counts, (batch["stream"][:, 0], batch["index"][:, 0]), 1)
    starts = [0, 1, 2, 5, 6, 7, 10]
    assert counts[:, starts].sum() == counts.sum() == 20_000
    assert stats.chisquare(counts[:, starts].ravel()).pvalue > 0.001


def test_within_episodes_new_steps_count_at_once_and_dropped_ones_no_more(tmp_path: Path) -> None:
    """Whatever was appended, dropped or cut back: as a sampler that sees the replay anew."""
    replay = Replay(tmp_path, KEYS, 2, max_bytes=2 * 3 * 4 * 24, segment_steps=4)
    rng, kept = np.random.default_rng(0), []
    old = SequenceSampler(replay, 40, 3, np.random.default_rng(5), within_episodes=True)
    for index in range(60):
        first = rng.random(2) < 0.2
        rows = {"index": np.full(2, index), "stream": np.arange(2), "is_first": first}
        replay.append(rows)
        kept += [replay.state()] if index == 50 else []
        new = SequenceSampler(replay, 40, 3, np.random.default_rng(index), within_episodes=True)
        old.rng = np.random.default_rng(index)
        assert old.ready() == new.ready()
        if new.ready():
            one, two = old.sample(), new.sample()
            np.testing.assert_array_equal(one["index"], two["index"])
            np.testing.assert_array_equal(one["stream"], two["stream"])
            assert not two["is_first"][:, 1:].any()
    replay.restore(kept[0])
    old.rng = np.random.default_rng(0)
    new = SequenceSampler(replay, 40, 3, np.random.default_rng(0), within_episodes=True)
    np.testing.assert_array_equal(old.sample()["index"], new.sample()["index"])


def test_episodes_shorter_than_a_sequence_are_left_out_within_episodes(tmp_path: Path) -> None:
    replay = filled(tmp_path, 12)
    sampler = SequenceSampler(replay, 4, 6, np.random.default_rng(0), within_episodes=True)
    assert not sampler.ready()
    with pytest.raises(UsageError, match="no episode of 6"):
        sampler.sample()


def test_a_column_is_read_over_segments_without_the_rest(tmp_path: Path) -> None:
    replay = filled(tmp_path, 11)
    assert replay.column("is_first", 1, 3, 11).tolist() == [i % 5 == 0 for i in range(3, 11)]
    assert replay.column("index", 0, 2, 10).tolist() == list(range(2, 10))
    with pytest.raises(IndexError):
        replay.column("index", 0, 2, 12)


@pytest.mark.parametrize("within", [False, True])
def test_the_cost_of_a_sample_does_not_grow_with_the_buffer(tmp_path: Path, within: bool) -> None:
    def cost(steps: int) -> float:
        replay = filled(tmp_path / str(steps), steps, 1, segment_steps=1000, episode=100)
        sampler = SequenceSampler(replay, 50, 50, np.random.default_rng(0), within)
        times = []
        for _ in range(40):
            began = time.perf_counter()
            sampler.sample()
            times.append(time.perf_counter() - began)
        return min(times)

    small, large = cost(500), cost(50_000)
    assert large < 10 * small  # a cost per held step would make it 100 times
    assert large < 0.05
