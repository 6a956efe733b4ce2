from pathlib import Path

import numpy as np
import pytest

from choreo.errors import UsageError
from choreo.replay import Replay, export_episodes, read_episodes

KEYS = {
    "observation": ((2,), "float32"),
    "action": ((1,), "float32"),
    "reward": ((), "float32"),
    "is_first": ((), "bool"),
    "is_last": ((), "bool"),
    "is_terminal": ((), "bool"),
}


def filled(folder: Path, steps: int, max_bytes: int | None = None) -> Replay:
    """One stream of episodes of 6 rows; every second one terminates, the others are cut."""
    replay = Replay(folder, KEYS, 1, max_bytes=max_bytes, segment_steps=4)
    for index in range(steps):
        last = index % 6 == 5
        replay.append(
            {
                "observation": np.full((1, 2), index, np.float32),
                "action": np.full((1, 1), 0.0 if index % 6 == 0 else 0.5, np.float32),
                "reward": np.array([index / 10], np.float32),
                "is_first": np.array([index % 6 == 0]),
                "is_last": np.array([last]),
                "is_terminal": np.array([last and index % 12 == 5]),
            }
        )
    return replay


def test_episodes_come_back_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("choreo.replay.episodes.CHUNK", 5)
    replay = filled(tmp_path / "replay", 15)
    paths = export_episodes(replay, tmp_path / "out")
    names = ["episode_000000_5.npz", "episode_000001_5.npz", "episode_000002_2.npz"]
    assert [path.name for path in paths] == names
    first, second, third = read_episodes(tmp_path / "out")
    assert first["observation"][:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert first["action"][0] == 0
    assert first["discount"].tolist() == [1, 1, 1, 1, 1, 0]
    assert second["discount"].tolist() == [1] * 6
    assert second["is_last"].tolist() == [False] * 5 + [True]
    assert third["observation"][:, 1].tolist() == [12, 13, 14]
    assert not third["is_last"].any()
    for name, (_, kind) in KEYS.items():
        assert first[name].dtype == np.dtype(kind)


def test_an_episode_without_its_beginning_is_left_out(tmp_path: Path) -> None:
    replay = filled(tmp_path / "replay", 15, max_bytes=2 * 4 * 20)
    assert replay.bounds()[0].tolist() == [8]
    (path,) = export_episodes(replay, tmp_path / "out")
    assert path.name == "episode_000000_2.npz"


def test_files_without_flags_get_them(tmp_path: Path) -> None:
    values = {
        "observation": np.zeros((3, 2)),
        "action": np.zeros((3, 1)),
        "reward": np.ones((3, 1)),
        "discount": np.array([[1.0], [1.0], [0.0]]),
    }
    np.savez(tmp_path / "episode_0.npz", **values)
    (episode,) = read_episodes(tmp_path)
    assert episode["reward"].shape == episode["discount"].shape == (3,)
    assert episode["is_first"].tolist() == [True, False, False]
    assert episode["is_last"].tolist() == [False, False, True]
    assert episode["is_terminal"].tolist() == [False, False, True]


def test_what_is_no_episode_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no \\.npz episodes"):
        list(read_episodes(tmp_path))
    file = tmp_path / "episode_0.npz"
    np.savez(file, observation=np.zeros(3))
    with pytest.raises(UsageError, match="action"):
        list(read_episodes(tmp_path))
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(UsageError, match=r"episode_0\.npz is not a readable episode"):
        list(read_episodes(tmp_path))


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "episode_0.npz", action=np.array([{}], dtype=object), reward=np.zeros(1))
    with pytest.raises(UsageError, match="not a readable episode"):
        list(read_episodes(tmp_path))
