"""Faults of the machine: full disks, streams that nobody reads, kills at a rename."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from choreo.cli import main
from choreo.data.card import is_begun
from choreo.errors import CheckpointError, NotFinite, StorageError
from choreo.record import checkpoint
from choreo.record.progress import Progress
from choreo.training import first_look
from choreo.training.finite import FiniteCheck


def no_space(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


def test_the_batch_of_a_bad_update_may_find_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "savez", no_space)
    check = FiniteCheck(tmp_path)
    check.watch(3, "40 frames", {"loss": torch.tensor(float("nan"))}, {"x": torch.zeros(1)})
    with pytest.raises(NotFinite, match=r"could not be kept in .*No space"):
        check.settle()
    assert list(tmp_path.iterdir()) == []


def test_the_first_picture_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its presence says that it was looked at and accepted."""
    monkeypatch.setattr(Path, "replace", no_space)
    with pytest.raises(OSError, match="No space"):
        first_look.save_side_by_side([np.zeros((3, 3, 3), np.uint8)], tmp_path / "first_frame.png")
    assert list(tmp_path.iterdir()) == []
    where = ["--run-dir", str(tmp_path / "run"), "--preset", "debug", "--env", "toy_pictures:black"]
    monkeypatch.setattr(first_look, "save_side_by_side", no_space)
    assert main(["pretrain", *where]) == StorageError.exit_code


@pytest.mark.parametrize(
    ("arguments", "stream", "code"),
    [(["--version"], "stdout", 1), (["nonsense"], "stderr", 2)],
)
def test_a_full_disk_behind_a_stream_is_no_traceback(
    arguments: list[str], stream: str, code: int
) -> None:
    with Path("/dev/full").open("w") as full:
        out, errors = (full if stream == one else subprocess.PIPE for one in ("stdout", "stderr"))
        command = [sys.executable, "-m", "choreo", *arguments]
        run = subprocess.run(command, stdout=out, stderr=errors, text=True, check=False)
    assert run.returncode == code and "Traceback" not in (run.stderr or "")
    assert stream == "stderr" or "could not be written: No space" in run.stderr


class Full(io.StringIO):
    """A stream to a full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_that_cannot_be_shown_stops_nothing(terminal: bool) -> None:
    console = Console(file=Full(), force_terminal=terminal)
    with Progress(10, console=console, every=0.0) as progress:
        for done in range(10):
            progress.update(done)
    assert progress.rate() > 0


def test_a_checkpoint_that_is_replaced_meanwhile_is_read_again(tmp_path: Path) -> None:
    def find() -> Path:
        found = checkpoint.latest(tmp_path)
        assert found is not None
        return found

    def save(number: int) -> None:
        checkpoint.save(tmp_path, f"n_{number}", {"x": torch.zeros(1)}, {"n": number}, keep=1)

    def read(path: Path) -> dict[str, Any]:
        if path.name == "n_1":
            save(2)  # and the one that is being read is gone
        return checkpoint.load(path)[1]

    save(1)
    assert checkpoint.steady(find, read) == {"n": 2}
    (tmp_path / "n_2" / checkpoint.TENSORS).write_bytes(b"spoiled")
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.steady(find, checkpoint.load)


def test_what_a_kill_at_the_first_rename_leaves_is_no_beginning(tmp_path: Path) -> None:
    (tmp_path / ".card.json.tmp").write_text("{")
    where = ["--env", "toy_envs:point", "--frames", "30", "--time-limit", "20", "--no-progress"]
    assert not is_begun(tmp_path)
    assert main(["data", "collect", str(tmp_path), *where, "--processes", "1"]) == 0
    assert is_begun(tmp_path) and main(["data", "inspect", str(tmp_path), "--no-progress"]) == 0
