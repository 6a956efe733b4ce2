"""One holder of a cell at any time, also when holders die and others follow them."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from choreo.errors import StorageError
from choreo.sweep import lock
from choreo.sweep.lock import HEAD, STALE, acquire, held


def elsewhere(folder: Path, token: str = "t", age: float = 0.0, name: str = HEAD) -> Path:
    """The lock of a process on another machine, that many seconds without a heartbeat."""
    path = folder / name
    holder = {"host": "other", "boot": "b", "processes": 1, "pid": 1, "started": 1}
    path.write_text(json.dumps({"token": token, **holder}))
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def test_only_one_has_it_until_it_lets_go(tmp_path: Path) -> None:
    assert held(tmp_path) is None
    mine = acquire(tmp_path)
    assert mine is not None and acquire(tmp_path) is None
    holder = held(tmp_path)
    assert holder is not None and holder["pid"] == os.getpid()
    mine.release()
    assert held(tmp_path) is None and not list(tmp_path.iterdir())
    assert acquire(tmp_path) is not None


def test_a_process_of_this_machine_that_died_has_nothing(tmp_path: Path) -> None:
    code = "import sys, pathlib, choreo.sweep.lock as l; l.acquire(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert (tmp_path / HEAD).exists() and held(tmp_path) is None
    mine = acquire(tmp_path)
    assert mine is not None and acquire(tmp_path) is None
    mine.release()
    assert not list(tmp_path.iterdir()), "the lock of the dead is gone with ours"


@pytest.mark.parametrize(("age", "alive"), [(0.0, True), (STALE - 20, True), (STALE + 20, False)])
def test_a_machine_elsewhere_lives_by_its_heartbeat(
    age: float, alive: bool, tmp_path: Path
) -> None:
    elsewhere(tmp_path, age=age)
    assert (held(tmp_path) is not None) is alive
    assert (acquire(tmp_path) is None) is alive


def test_the_clock_is_that_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose clock is an hour ahead takes nobody's cell."""
    elsewhere(tmp_path)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    assert acquire(tmp_path) is None


def test_many_who_want_the_cell_of_a_dead_one(tmp_path: Path) -> None:
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        elsewhere(folder, age=STALE + 20)
        with ThreadPoolExecutor(8) as pool:
            found = [taken for taken in pool.map(acquire, [folder] * 8) if taken is not None]
        assert len(found) == 1


def test_one_who_followed_a_chain_that_is_gone_has_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our look and our file, another took over, finished and let go."""
    elsewhere(tmp_path, age=STALE + 20)
    make = lock._make

    def late(path: Path, content: dict[str, Any]) -> bool:
        (tmp_path / HEAD).unlink()
        return make(path, content)

    monkeypatch.setattr(lock, "_make", late)
    assert acquire(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_a_holder_that_slept_too_long_learns_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT", 0.0)
    mine = acquire(tmp_path)
    assert mine is not None and mine.beat()
    token = json.loads((tmp_path / HEAD).read_text())["token"]
    elsewhere(tmp_path, name=f"{HEAD}.{token}")
    assert not mine.beat()


def test_a_heartbeat_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT", 0.0)
    mine = acquire(tmp_path)
    assert mine is not None
    os.utime(tmp_path / HEAD, (1, 1))
    assert mine.beat() and time.time() - (tmp_path / HEAD).stat().st_mtime < 10


def test_a_lock_that_was_not_written_to_its_end_ages(tmp_path: Path) -> None:
    (tmp_path / HEAD).touch()
    assert held(tmp_path) is not None and acquire(tmp_path) is None
    os.utime(tmp_path / HEAD, (1, 1))
    assert acquire(tmp_path) is not None


def test_a_full_disk_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("json.dump", full)
    with pytest.raises(StorageError, match="No space left"):
        acquire(tmp_path)
    assert not list(tmp_path.iterdir())
