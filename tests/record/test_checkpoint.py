import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from choreo.errors import CheckpointError, StorageError, UsageError
from choreo.record import latest, list_checkpoints, load, load_state, save

TENSORS = {
    "weight": torch.randn(4, 3),
    "count": torch.tensor(7),
    "half": torch.ones(2, dtype=torch.bfloat16),
    "bytes": torch.arange(5, dtype=torch.uint8),
}
STATE = {"frames": 12, "nested": {"list": [1, 2.5, None, True], "big": 2**100}, "tiny": 1e-300}


def names(folder: Path) -> list[str]:
    return [path.name for path in list_checkpoints(folder)]


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = save(tmp_path / "checkpoints", "frames_12", TENSORS, STATE, keep=2)
    assert path == tmp_path / "checkpoints" / "frames_12" == latest(tmp_path / "checkpoints")
    assert sorted(file.name for file in path.iterdir()) == ["state.json", "tensors.safetensors"]
    tensors, state = load(path)
    assert state == STATE == load_state(path)
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_tensors_that_share_memory_or_lie_askew_are_saved(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4).requires_grad_()
    tensors = {"a": base, "b": base, "row": base[1], "turned": base.T, "empty": torch.empty(0)}
    loaded, _ = load(save(tmp_path, "1", tensors, {}, keep=1))
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor)


def test_the_last_ones_are_kept_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for frames in (900, 1000, 1100):
        save(tmp_path, f"frames_{frames}", {}, {"frames": frames}, keep=2)
    assert names(tmp_path) == ["frames_1000", "frames_1100"]
    save(tmp_path, "frames_1200", {}, {}, keep=None)
    assert names(tmp_path) == ["frames_1000", "frames_1100", "frames_1200"]
    assert latest(tmp_path) == tmp_path / "frames_1200"


def test_checkpoints_of_a_course_the_run_has_left_are_removed(tmp_path: Path) -> None:
    for frames in (10, 20, 30):
        save(tmp_path, f"frames_{frames}", {}, {}, keep=5)
    save(tmp_path, "frames_15", {}, {}, keep=5)
    assert names(tmp_path) == ["frames_10", "frames_15"]


def test_one_of_the_same_name_is_replaced(tmp_path: Path) -> None:
    save(tmp_path, "a1", {}, {"try": 1}, keep=1)
    path = save(tmp_path, "a1", {}, {"try": 2}, keep=1)
    assert load_state(path) == {"try": 2}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a1", "latest"]


@pytest.mark.parametrize("name", ["", "latest", "../a", "a b", ".hidden"])
def test_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a checkpoint"):
        save(tmp_path, name, {}, {}, keep=1)


def test_a_folder_without_checkpoints_has_no_latest(tmp_path: Path) -> None:
    assert latest(tmp_path) is None
    assert latest(tmp_path / "missing") is None
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        load(tmp_path)


def test_damaged_files_are_found_out(tmp_path: Path) -> None:
    def damaged(file: str, content: bytes) -> Path:
        path = save(tmp_path, "a1", TENSORS, STATE, keep=1)
        (path / file).write_bytes(content)
        return path

    path = save(tmp_path, "a1", TENSORS, STATE, keep=1)
    tensors = (path / "tensors.safetensors").read_bytes()
    text = (path / "state.json").read_bytes()
    flipped = tensors[:-1] + bytes([tensors[-1] ^ 1])
    for content in (tensors[:-1], flipped, b""):
        with pytest.raises(CheckpointError, match=r"damaged: tensors\.safetensors"):
            load(damaged("tensors.safetensors", content))
    for content in (text[:-1], b"", b"\xff", text.replace(b'"frames": 12', b'"frames": 13')):
        with pytest.raises(CheckpointError, match=r"damaged: state\.json"):
            load(damaged("state.json", content))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"format": 99}, "format 99"),
        ({"format": 1}, "lacks its parts"),
        ({"epoch": 3}, "not a checkpoint of Choreo"),
        ([1, 2], "not a checkpoint of Choreo"),
    ],
)
def test_a_foreign_checkpoint_is_named(tmp_path: Path, content: object, words: str) -> None:
    (tmp_path / "state.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=words):
        load(tmp_path)


def test_a_full_disk_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, "a1", TENSORS, STATE, keep=1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for broken in ("fsync", "mkdir"):
        with monkeypatch.context() as patch:
            patch.setattr(os, broken, full)
            with pytest.raises(StorageError, match="No space left on device"):
                save(tmp_path, "a2", TENSORS, STATE, keep=1)
        assert sorted(file.name for file in tmp_path.iterdir()) == ["a1", "latest"]
        assert load(tmp_path / "a1")[1] == STATE


FILE_LIMIT = """
import resource, sys
from pathlib import Path
import torch
from choreo.errors import StorageError
from choreo.record import latest, load, save

folder = Path(sys.argv[1])
save(folder, "a1", {"x": torch.zeros(10)}, {}, keep=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save(folder, "a2", {"x": torch.zeros(100_000)}, {}, keep=1)
except StorageError as error:
    load(latest(folder))
    sys.exit(f"refused: {error} {sorted(path.name for path in folder.iterdir())}")
"""


def test_a_system_that_refuses_the_tensors_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FILE_LIMIT, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "refused: Could not write" in result.stderr
    assert "['a1', 'latest']" in result.stderr


# Ends the process at the n-th call of anything that saving does to the disk, for n = 0, 1, ...,
# and looks at what is left each time.
KILLED = """
import itertools, os, shutil, sys
from pathlib import Path
import safetensors.torch, torch
from choreo.record import latest, load, save

folder, keep, second = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
calls = {"left": -1}

def deadly(function):
    def wrapped(*arguments, **options):
        if calls["left"] == 0:
            os._exit(9)
        calls["left"] -= 1
        return function(*arguments, **options)
    return wrapped

for owner, names in ((os, ["fsync", "mkdir", "rename", "replace", "rmdir", "unlink"]),
                     (safetensors.torch, ["save_file"])):
    for name in names:
        setattr(owner, name, deadly(getattr(owner, name)))

for count in itertools.count():
    shutil.rmtree(folder, ignore_errors=True)
    save(folder, "a1", {"x": torch.ones(3)}, {"n": 1}, keep=keep)
    child = os.fork()
    if child == 0:
        calls["left"] = count
        save(folder, second, {"x": torch.ones(3) * 2}, {"n": 2}, keep=keep)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    tensors, state = load(latest(folder))
    assert tensors["x"].tolist() == [state["n"]] * 3, (count, state)
    save(folder, "a3", {}, {"n": 3}, keep=keep)
    assert load(latest(folder))[1] == {"n": 3}, count
    assert len(list(folder.iterdir())) <= keep + 1, (count, list(folder.iterdir()))
    if status == 0:
        print(count)
        break
"""


@pytest.mark.parametrize(("keep", "second"), [(1, "a2"), (2, "a2"), (1, "a1")])
def test_killed_at_any_moment_there_is_a_whole_checkpoint(
    tmp_path: Path, keep: int, second: str
) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "c"), str(keep), second]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 8


def test_tensors_are_as_readable_as_other_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = save(tmp_path, "frames_1", {"a": torch.zeros(2)}, {}, keep=None)
    finally:
        os.umask(before)
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.iterdir()}
    assert modes == {"tensors.safetensors": 0o640, "state.json": 0o640}
