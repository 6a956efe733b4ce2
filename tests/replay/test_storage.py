import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from choreo.errors import CheckpointError, StorageError, UsageError
from choreo.replay import Replay, SequenceSampler

KEYS = {"observation": ((3,), "float32"), "reward": ((), "float32"), "is_first": ((), "bool")}


def step(index: int, streams: int = 2) -> dict[str, np.ndarray]:
    """A step whose content tells its index and stream."""
    value = 1000 * np.arange(streams) + index
    return {
        "observation": np.repeat(value[:, None], 3, axis=1).astype(np.float32),
        "reward": value.astype(np.float32),
        "is_first": np.full(streams, index % 5 == 0),
    }


def fill(replay: Replay, start: int, stop: int) -> None:
    for index in range(start, stop):
        replay.append(step(index, replay.streams))


def content(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    kinds = st.sampled_from(["float32", "float64", "uint8", "int64", "bool", "int16"])
    shapes = st.lists(st.integers(1, 4), max_size=3).map(tuple)
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True))
    return {name: (draw(shapes), draw(kinds)) for name in names}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    keys=layouts(),
    streams=st.integers(1, 3),
    segment_steps=st.integers(1, 7),
    steps=st.integers(1, 25),
    seed=st.integers(0, 2**32 - 1),
)
def test_whatever_is_appended_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    keys: dict[str, Any],
    streams: int,
    segment_steps: int,
    steps: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    data = {
        name: rng.integers(0, 2 if kind == "bool" else 100, (steps, streams, *shape)).astype(kind)
        for name, (shape, kind) in keys.items()
    }
    replay = Replay(tmp_path_factory.mktemp("replay"), keys, streams, segment_steps=segment_steps)
    for index in range(steps):
        replay.append({name: values[index] for name, values in data.items()})
    assert replay.steps_held == replay.total_steps == steps * streams
    start = int(rng.integers(steps))
    stop = int(rng.integers(start, steps)) + 1
    for stream in range(streams):
        read = replay.read(stream, start, stop)
        assert read.keys() == keys.keys()
        for name, (_, kind) in keys.items():
            assert read[name].dtype == np.dtype(kind)
            np.testing.assert_array_equal(read[name], data[name][start:stop, stream])
    replay.close()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    keys=layouts(),
    segment_steps=st.integers(1, 7),
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=4),
)
def test_whole_blocks_leave_the_same_files_as_single_steps(
    tmp_path_factory: pytest.TempPathFactory,
    keys: dict[str, Any],
    segment_steps: int,
    lengths: list[int],
) -> None:
    rng = np.random.default_rng(0)
    folders = [tmp_path_factory.mktemp("replay") for _ in range(2)]
    one, whole = (Replay(f, keys, 1, segment_steps=segment_steps) for f in folders)
    for length in lengths:
        data = {
            name: rng.integers(0, 2, (length, *shape)).astype(kind)
            for name, (shape, kind) in keys.items()
        }
        whole.extend(0, data)
        for index in range(length):
            one.append({name: values[index : index + 1] for name, values in data.items()})
    assert one.state() == whole.state()
    assert content(folders[0]) == content(folders[1])


def test_blocks_go_to_one_stream_and_respect_the_byte_cap(tmp_path: Path) -> None:
    replay = Replay(tmp_path, KEYS, 2, max_bytes=2 * 3 * 4 * 20, segment_steps=4)
    rows = {name: np.repeat(values[:1], 30, axis=0) for name, values in step(7).items()}
    replay.extend(1, rows)
    start, stop = replay.bounds()
    assert start.tolist() == [0, 8] and stop.tolist() == [0, 30]
    assert replay.read(1, 20, 30)["reward"].tolist() == [1007.0 - 1000] * 10


def test_blocks_of_unlike_lengths_are_refused(tmp_path: Path) -> None:
    replay = Replay(tmp_path, KEYS, 1)
    rows = {**step(0, 5), "reward": np.zeros(4, np.float32)}
    with pytest.raises(UsageError, match="reward"):
        replay.extend(0, rows)
    assert replay.total_steps == 0


def test_a_long_tail_is_cleared_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("choreo.replay.segments.CLEARED", 7)
    replay = Replay(tmp_path / "a", KEYS, 1, segment_steps=16)
    fill(replay, 0, 3)
    state = replay.state()
    fill(replay, 3, 14)
    replay.restore(state)
    fresh = Replay(tmp_path / "b", KEYS, 1, segment_steps=16)
    fill(fresh, 0, 3)
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.mark.parametrize("advice", [True, False])
def test_sequences_across_files_are_the_same_with_and_without_advice_to_the_system(
    tmp_path: Path, advice: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("choreo.replay.segments.ADVICE", advice)
    replay = Replay(tmp_path, KEYS, 1, segment_steps=300)  # 6000 bytes: no multiple of a page
    values = np.arange(1000, dtype=np.float32)
    observation = np.repeat(values[:, None], 3, axis=1)
    replay.extend(0, {"observation": observation, "reward": values, "is_first": values < 0})
    starts = np.array([0, 250, 299, 300, 97, 600])
    found = replay.gather(np.zeros(6, np.int64), starts, 400)["reward"]
    np.testing.assert_array_equal(found, starts[:, None] + np.arange(400))


def test_what_is_read_is_a_copy(tmp_path: Path) -> None:
    replay = Replay(tmp_path, KEYS, 2, segment_steps=4)
    fill(replay, 0, 6)
    replay.read(0, 0, 6)["reward"][:] = -1
    np.testing.assert_array_equal(replay.read(0, 0, 6)["reward"], np.arange(6))


@pytest.mark.parametrize(
    ("stream", "start", "stop"), [(0, -1, 3), (0, 4, 7), (2, 0, 1), (-1, 0, 1), (0, 3, 2)]
)
def test_nothing_outside_of_what_is_held_is_read(
    tmp_path: Path, stream: int, start: int, stop: int
) -> None:
    replay = Replay(tmp_path, KEYS, 2, segment_steps=4)
    fill(replay, 0, 6)
    with pytest.raises(IndexError):
        replay.read(stream, start, stop)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra": np.zeros(2)}, "extra"),
        ({"reward": np.zeros((2, 1))}, "reward"),
        ({"reward": np.zeros(3)}, "reward"),
        ({"is_first": np.zeros(2, np.float32)}, "is_first"),
    ],
)
def test_steps_of_another_form_are_refused(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    replay = Replay(tmp_path, KEYS, 2)
    with pytest.raises(UsageError, match=words):
        replay.append(step(0) | change)
    assert replay.total_steps == 0


def test_the_byte_cap_drops_the_oldest_segments(tmp_path: Path) -> None:
    row = 20  # 3 floats, 1 float, 1 bool, aligned to 4
    cap = 2 * 3 * 4 * row  # three segments of four steps for each of two streams
    replay = Replay(tmp_path, KEYS, 2, max_bytes=cap, segment_steps=4)
    fill(replay, 0, 12)
    assert replay.steps_held == 24
    fill(replay, 12, 13)
    assert replay.bounds()[0].tolist() == [4, 4]
    fill(replay, 13, 31)
    start, stop = replay.bounds()
    assert start.tolist() == [20, 20]
    assert stop.tolist() == [31, 31]
    assert replay.bytes_held <= cap
    assert replay.total_steps == 62
    np.testing.assert_array_equal(replay.read(1, 20, 31)["reward"], 1000 + np.arange(20, 31))
    with pytest.raises(IndexError, match="held are 20 to 31"):
        replay.read(0, 19, 31)


def test_a_cap_too_small_for_the_streams_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="byte cap is 100"):
        Replay(tmp_path, KEYS, 2, max_bytes=100, segment_steps=4)


def test_segments_fit_the_cap_when_their_size_is_left_open(tmp_path: Path) -> None:
    replay = Replay(tmp_path, KEYS, 2, max_bytes=2 * 20 * 800)
    assert replay.segment_steps == 100


def test_restore_cuts_back_and_later_data_are_written_over(tmp_path: Path) -> None:
    replay = Replay(tmp_path, KEYS, 2, segment_steps=4)
    fill(replay, 0, 6)
    replay.flush()
    state = json.loads(json.dumps(replay.state()))
    fill(replay, 100, 120)
    replay.restore(state)
    assert replay.bounds()[1].tolist() == [6, 6]
    fill(replay, 6, 15)
    np.testing.assert_array_equal(replay.read(0, 0, 15)["reward"], np.arange(15))


@pytest.mark.parametrize("cut", [6, 8])
def test_a_killed_run_leaves_the_same_files_as_an_uninterrupted_one(
    tmp_path: Path, cut: int
) -> None:
    whole = Replay(tmp_path / "whole", KEYS, 2, segment_steps=4)
    fill(whole, 0, 15)
    killed = Replay(tmp_path / "killed", KEYS, 2, segment_steps=4)
    fill(killed, 0, cut)
    state = killed.state()
    fill(killed, 500, 521)  # what no checkpoint knows of
    del killed
    resumed = Replay(tmp_path / "killed", KEYS, 2, segment_steps=4)
    assert resumed.steps_held == 0
    resumed.restore(state)
    fill(resumed, cut, 15)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


def test_a_start_without_checkpoint_writes_over_what_is_there(tmp_path: Path) -> None:
    fill(Replay(tmp_path, KEYS, 2, segment_steps=4), 50, 53)
    again = Replay(tmp_path, KEYS, 2, segment_steps=4)
    fill(again, 0, 2)
    assert again.bounds()[1].tolist() == [2, 2]
    np.testing.assert_array_equal(again.read(0, 0, 2)["reward"], [0, 1])


def test_after_restore_the_samples_are_those_of_before(tmp_path: Path) -> None:
    replay = Replay(tmp_path, KEYS, 2, segment_steps=4)
    fill(replay, 0, 30)
    state = replay.state()
    expected = SequenceSampler(replay, 8, 5, np.random.default_rng(3)).sample()
    fill(replay, 30, 50)
    replay.restore(state)
    again = SequenceSampler(replay, 8, 5, np.random.default_rng(3)).sample()
    for name in KEYS:
        np.testing.assert_array_equal(again[name], expected[name])


def test_garbage_collection_keeps_what_a_checkpoint_needs(tmp_path: Path) -> None:
    replay = Replay(tmp_path, KEYS, 2, max_bytes=2 * 3 * 4 * 20, segment_steps=4)
    fill(replay, 0, 14)
    state = replay.state()
    held = replay.read(0, 4, 14)["reward"]
    fill(replay, 14, 40)
    assert replay.collect_garbage([state]) == 2  # the first segment of both streams
    assert replay.collect_garbage([state]) == 0
    replay.restore(state)
    np.testing.assert_array_equal(replay.read(0, 4, 14)["reward"], held)


def test_garbage_collection_without_checkpoints_leaves_what_is_held(tmp_path: Path) -> None:
    replay = Replay(tmp_path, KEYS, 2, max_bytes=2 * 3 * 4 * 20, segment_steps=4)
    fill(replay, 0, 40)
    old = Replay(tmp_path / "other", KEYS, 2, segment_steps=4).state()
    assert replay.collect_garbage([old]) == 0
    replay.collect_garbage([])
    assert len(list(tmp_path.glob("stream_*/*"))) == 6
    np.testing.assert_array_equal(replay.read(1, 28, 40)["reward"], 1000 + np.arange(28, 40))


def test_missing_or_truncated_data_are_named(tmp_path: Path) -> None:
    replay = Replay(tmp_path, KEYS, 2, segment_steps=4)
    fill(replay, 0, 10)
    state = replay.state()
    path = tmp_path / "stream_001" / "00000001.steps"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"stream_001/00000001\.steps"):
        Replay(tmp_path, KEYS, 2).restore(state)
    path.unlink()
    with pytest.raises(CheckpointError, match="missing or cut short"):
        Replay(tmp_path, KEYS, 2).restore(state)


def test_a_state_of_another_number_of_streams_is_refused(tmp_path: Path) -> None:
    state = Replay(tmp_path / "a", KEYS, 3).state()
    with pytest.raises(CheckpointError, match="3 streams"):
        Replay(tmp_path / "b", KEYS, 2).restore(state)


@pytest.mark.parametrize(
    ("keys", "streams", "segment_steps", "words"),
    [
        (KEYS | {"observation": ((4,), "float32")}, 2, 4, "keys"),
        (KEYS, 3, 4, "streams"),
        (KEYS, 2, 5, "segment_steps"),
    ],
)
def test_a_folder_of_another_replay_is_refused(
    tmp_path: Path, keys: dict[str, Any], streams: int, segment_steps: int, words: str
) -> None:
    Replay(tmp_path, KEYS, 2, segment_steps=4)
    with pytest.raises(UsageError, match=words):
        Replay(tmp_path, keys, streams, segment_steps=segment_steps)


def test_the_order_of_the_keys_is_no_matter(tmp_path: Path) -> None:
    replay = Replay(tmp_path, KEYS, 2, segment_steps=4)
    fill(replay, 0, 3)
    again = Replay(tmp_path, dict(reversed(KEYS.items())), 2)
    again.restore(replay.state())
    assert again.read(1, 0, 3)["reward"].tolist() == [1000, 1001, 1002]
    assert again.read(1, 0, 3)["is_first"].tolist() == [True, False, False]


def test_a_damaged_header_is_named(tmp_path: Path) -> None:
    Replay(tmp_path, KEYS, 2)
    (tmp_path / "replay.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"replay\.json"):
        Replay(tmp_path, KEYS, 2)


def test_a_replay_opened_to_be_read_changes_nothing(tmp_path: Path) -> None:
    replay = Replay(tmp_path, KEYS, 2, segment_steps=4)
    fill(replay, 0, 6)
    state = replay.state()
    fill(replay, 6, 11)
    before = content(tmp_path)
    view = Replay.open(tmp_path, state)
    assert view.keys == replay.keys
    np.testing.assert_array_equal(view.read(0, 0, 6)["reward"], np.arange(6))
    for change in (lambda: view.append(step(6)), lambda: view.restore(state)):
        with pytest.raises(UsageError, match="opened to be read"):
            change()
    assert content(tmp_path) == before
    with pytest.raises(CheckpointError, match="header"):
        Replay.open(tmp_path / "nothing", state)


def test_a_full_disk_is_an_error_and_the_replay_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = Replay(tmp_path, KEYS, 2, segment_steps=4)
    fill(replay, 0, 4)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(StorageError, match="No space left on device"):
            replay.append(step(4))
    assert replay.total_steps == 8
    assert not (tmp_path / "stream_000" / "00000001.steps").exists()
    fill(replay, 4, 6)
    np.testing.assert_array_equal(replay.read(0, 0, 6)["reward"], np.arange(6))


FILE_LIMIT = """
import resource, sys
from pathlib import Path
import numpy as np
from choreo.errors import StorageError
from choreo.replay import Replay

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
replay = Replay(Path(sys.argv[1]), {"observation": ((1000,), "float32")}, 1, segment_steps=100)
try:
    replay.append({"observation": np.zeros((1, 1000), np.float32)})
except StorageError as error:
    sys.exit(f"refused: {error}")
"""


def test_a_refusing_system_is_an_error_and_never_a_signal(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FILE_LIMIT, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "refused: Could not write" in result.stderr
    assert "Free some space" in result.stderr


def test_few_files_stay_open_however_large_the_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("choreo.replay.segments.MAX_MAPS", 3)
    replay = Replay(tmp_path, KEYS, 2, segment_steps=2)
    fill(replay, 0, 40)
    before = open_files()
    for _ in range(2):
        np.testing.assert_array_equal(replay.read(1, 0, 40)["reward"], 1000 + np.arange(40))
    assert open_files() <= before + 3
    replay.close()
    assert open_files() <= before - 2
    fill(replay, 40, 41)
    assert replay.read(0, 40, 41)["reward"] == 40
