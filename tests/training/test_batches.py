"""A mirror of the replay gives the host's batches; the CPU stands in for the card."""

from pathlib import Path

import numpy as np
import pytest
import torch

from choreo.replay import Replay, SequenceSampler
from choreo.training import batches
from choreo.training.batches import HostBatches, MirroredBatches, choose_batches, unpack

KEYS = {
    "image": ((2, 3), "uint8"),
    "observation": ((3,), "float32"),
    "precise": ((), "float64"),
    "number": ((), "int64"),
    "reward": ((), "float32"),
    "is_first": ((), "bool"),
}
CPU = torch.device("cpu")
STREAMS, LENGTH = 2, 5


def steps(count: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    values = {name: random.normal(size=(count, *shape)) for name, (shape, _) in KEYS.items()}
    found = {name: (100 * values[name]).astype(kind) for name, (_, kind) in KEYS.items()}
    return found | {"is_first": random.random(count) < 0.1}


def replay_in(folder: Path, max_bytes: int | None = None) -> Replay:
    return Replay(folder, KEYS, STREAMS, max_bytes=max_bytes, segment_steps=4)


def sampler(replay: Replay, within: bool = False) -> SequenceSampler:
    return SequenceSampler(replay, 6, LENGTH, np.random.default_rng(3), within)


def assert_same(found: dict[str, torch.Tensor], wanted: dict[str, np.ndarray]) -> None:
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        tensor = found[name]
        assert tensor.numpy().dtype == array.dtype and tensor.shape == array.shape
        assert tensor.numpy().tobytes() == np.ascontiguousarray(array).tobytes(), name


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "ROWS_AT_ONCE", 3)


@pytest.mark.parametrize("most", [0, 40, 10_000])
@pytest.mark.parametrize("cap", [None, 1200])
@pytest.mark.parametrize("within", [False, True])
def test_a_mirror_gives_the_hosts_batches(
    tmp_path: Path, most: int, cap: int | None, within: bool, small_pieces: None
) -> None:
    """While steps are appended, one stream grows faster, and old ones are dropped."""
    replay = replay_in(tmp_path, cap)
    host, mirror = sampler(replay, within), MirroredBatches(sampler(replay, within), CPU, most)
    dropped, drawn = False, 0
    for turn in range(60):
        replay.append(steps(STREAMS, turn))
        if turn % 7 == 0:
            replay.extend(1, steps(3, 1000 + turn))
        if host.ready() and turn > LENGTH and turn % 3:
            drawn += 1
            wanted, found = host.sample(), mirror.sample()
            assert_same(found.tensors, wanted)
            assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
        dropped = dropped or bool(replay.bounds()[0].any())
    assert dropped == (cap is not None) and drawn > 20
    held = int((replay.bounds()[1] - replay.bounds()[0]).max())
    assert held <= mirror.capacity <= 4 * 90


def test_only_what_is_new_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replay = replay_in(tmp_path)
    for turn in range(20):
        replay.append(steps(STREAMS, turn))
    mirror = MirroredBatches(sampler(replay), CPU, 1000)
    mirror.sample()
    copied: list[int] = []
    plain = batches.to_device

    def count(array: np.ndarray, device: torch.device) -> torch.Tensor:
        if array.dtype == np.uint8:
            copied.append(len(array))
        return plain(array, device)

    monkeypatch.setattr(batches, "to_device", count)
    mirror.sample()
    assert copied == []
    for turn in range(3):
        replay.append(steps(STREAMS, turn))
    mirror.sample()
    assert copied == [3, 3]


def test_a_replay_that_was_cut_back_is_mirrored_anew(tmp_path: Path) -> None:
    replay = replay_in(tmp_path)
    for turn in range(10):
        replay.append(steps(STREAMS, turn))
    state = replay.state()
    for turn in range(10):
        replay.append(steps(STREAMS, turn))
    host, mirror = sampler(replay), MirroredBatches(sampler(replay), CPU, 100)
    assert_same(mirror.sample().tensors, host.sample())
    replay.restore(state)
    for turn in range(5):
        replay.append(steps(STREAMS, 500 + turn))
    assert_same(mirror.sample().tensors, host.sample())


def test_host_batches_are_the_samplers(tmp_path: Path) -> None:
    replay = replay_in(tmp_path)
    for turn in range(10):
        replay.append(steps(STREAMS, turn))
    found = HostBatches(sampler(replay), CPU).sample()
    wanted = sampler(replay).sample()
    assert_same(found.tensors, wanted)
    rows = torch.from_numpy(replay.rows(*sampler(replay).draw(), LENGTH))
    assert_same(unpack(rows, replay.layout), wanted)


@pytest.mark.parametrize(
    ("most", "cap", "free", "mirrored"),
    [
        (10_000, None, 10_000_000, True),
        (100_000, None, 10_000_000, False),
        (100_000, 2_000_000, 10_000_000, True),
        (100_000, 3_000_000, 10_000_000, False),
        (0, None, 40, False),  # what is there already counts
    ],
)
def test_the_rule_looks_at_the_whole_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    most: int,
    cap: int | None,
    free: int,
    mirrored: bool,
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2 * free))
    replay = replay_in(tmp_path, cap)
    replay.append(steps(STREAMS, 0))
    with caplog.at_level("INFO", "choreo"):
        found = choose_batches(sampler(replay), torch.device("cuda"), most)
    assert isinstance(found, MirroredBatches) == mirrored
    assert f"sampled on the {'card' if mirrored else 'host'}" in caplog.text
    assert isinstance(choose_batches(sampler(replay), CPU, most), HostBatches)
