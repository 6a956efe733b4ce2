"""`choreo doctor RUN`: every changed byte of a run is named."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_data import episode, write_npz
from toy_runs import last_checkpoint, pretrain

from choreo.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two checkpoints, a snapshot, and beside its replay an imported set."""
    folder = pretrain(tmp_path_factory.mktemp("runs") / "run", "--snapshots", "60", frames=160)
    write_npz(folder.parent / "npz", [episode(30, seed) for seed in range(3)])
    source, data = str(folder.parent / "npz"), str(folder / "data")
    assert main(["data", "import", source, data, "--no-progress"]) == 0
    return folder


def flip(path: Path) -> Path:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)
    return path


def remove(path: Path) -> Path:
    path.unlink()
    return path


DAMAGE: dict[str, Callable[[Path], Path]] = {
    "weights": lambda run: flip(last_checkpoint(run) / "tensors.safetensors").parent,
    "state": lambda run: flip(last_checkpoint(run) / "state.json").parent,
    "no state": lambda run: remove(last_checkpoint(run) / "state.json").parent,
    "snapshot": lambda run: flip(run / "snapshots/frames_60/tensors.safetensors").parent,
    "replay": lambda run: flip_first(next((run / "replay").rglob("*.steps"))),
    "no replay": lambda run: remove(next((run / "replay").rglob("*.steps"))),
    "replay header": lambda run: remove(run / "replay" / "replay.json"),
    "data": lambda run: flip_first(next((run / "data").rglob("*.steps"))),
    "config": lambda run: edit(run / "config.json"),
}


def flip_first(path: Path) -> Path:
    """A segment is larger than what was written into it: its beginning counts."""
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)
    return path


def edit(path: Path) -> Path:
    path.write_text(path.read_text().replace('"seed": 0', '"seed": -7'))
    return path


def findings(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict]]:
    capsys.readouterr()
    code = main(["doctor", str(folder), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_whole_run_is_in_order(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    code, found = findings(run, capsys)
    names = [one["name"] for one in found]
    assert code == 0 and all(one["ok"] for one in found)
    assert {"config.json", "snapshots/frames_60", "replay", "data"} <= set(names)
    assert sum(name.startswith("checkpoints/") for name in names) == 2
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    for part in (last_checkpoint(run), run / "data"):
        assert findings(part, capsys)[0] == 0
    assert main(["doctor", str(run)]) == 0
    assert "segments are what was" in capsys.readouterr().out


@pytest.mark.parametrize("what", DAMAGE)
def test_what_has_changed_is_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    shutil.copytree(run, tmp_path / "run")
    path = DAMAGE[what](tmp_path / "run")
    code, found = findings(tmp_path / "run", capsys)
    bad = [one for one in found if not one["ok"]]
    assert code == 1 and bad
    assert any(str(path) in one["value"] for one in bad), found
    assert main(["doctor", str(tmp_path / "run")]) == 1


@pytest.mark.parametrize("name", [None, "contract.json", "policy.onnx", "SHA256SUMS"])
def test_an_export_is_compared_file_by_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str | None
) -> None:
    files = {"policy.onnx": b"policy", "skills.json": b"{}"}
    sums = {one: hashlib.sha256(content).hexdigest() for one, content in files.items()}
    files["contract.json"] = json.dumps({"files": sums}).encode()
    files["SHA256SUMS"] = hashlib.sha256(files["contract.json"]).hexdigest().encode()
    for one, content in files.items():
        (tmp_path / one).write_bytes(content)
    if name is not None:
        flip(tmp_path / name)
    code, found = findings(tmp_path, capsys)
    bad = [one["name"] for one in found if not one["ok"]]
    assert code == (0 if name is None else 1)
    assert ("contract.json" if name == "SHA256SUMS" else name) in (bad or [None])
    for gone in ("skills.json", "SHA256SUMS"):
        remove(tmp_path / gone)
        _, found = findings(tmp_path, capsys)
        assert name == "contract.json" or gone in [o["name"] for o in found if not o["ok"]]


def test_a_folder_that_is_no_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(tmp_path)]) == 2
    assert "is no run, checkpoint, pack, export or imported set" in capsys.readouterr().err
    assert main(["doctor", str(tmp_path / "absent")]) == 2
    assert "no such folder: " in capsys.readouterr().err
