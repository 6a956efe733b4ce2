"""Runs and sets of others: no odd file of theirs is waited for, followed, or a traceback."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_data import episode, write_npz
from toy_runs import last_checkpoint, pretrain

from choreo import load
from choreo.data import inspect_data, open_source
from choreo.data.importer import import_data
from choreo.errors import ChoreoError
from choreo.evaluation.runs.files import read_json, read_lines
from choreo.record import RunFolder

SEGMENT = Path("replay/stream_000/00000000.steps")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `run` and an imported `set`."""
    root = tmp_path_factory.mktemp("good")
    pretrain(root / "run", frames=20)
    import_data(write_npz(root / "npz", [episode(5)]), root / "set")
    return root


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "mine"))


def config(run: Path) -> None:
    RunFolder(run).config()


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "set/card.json": ("card.json", inspect_data),
    "set/replay/replay.json": ("replay.json", inspect_data),
    "run/replay/replay.json": ("replay.json", open_source),
    "run/config.json": ("config.json", config),
    "state": ("state.json", load),
}
ODD: dict[str, Callable[[Path], object]] = {
    "deep": lambda path: path.write_text("[" * 100_000),
    "no utf-8": lambda path: path.write_bytes(b'{"\xff": 1}'),
    "pipe": lambda path: os.mkfifo(path),
    "device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("file", FILES)
def test_an_odd_file_is_refused_by_name(folder: Path, file: str, odd: str) -> None:
    name, read = FILES[file]
    state = last_checkpoint(folder / "run") / name
    path = state if file == "state" else folder / file
    path.unlink()
    ODD[odd](path)
    with pytest.raises(ChoreoError, match=name):
        read(folder / ("set" if file.startswith("set") else "run"))


@pytest.mark.parametrize("odd", ODD)
def test_a_report_leaves_odd_files_out(tmp_path: Path, odd: str) -> None:
    ODD[odd](tmp_path / "config.json")
    notes: list[str] = []
    assert read_json(tmp_path / "config.json", notes) is None and "config.json" in notes[0]
    assert read_lines(tmp_path / "config.json", notes) == []


@pytest.mark.parametrize("which", ["run", "set"])
@pytest.mark.parametrize("part", [SEGMENT, SEGMENT.parent])
def test_steps_outside_the_folder_are_not_read(folder: Path, which: str, part: Path) -> None:
    inside, outside = folder / which / part, folder / "outside"
    inside.rename(outside)
    inside.symlink_to(outside)
    with pytest.raises(ChoreoError, match="outside of"):
        open_source(folder / which)


def test_steps_that_are_a_link_are_no_steps_of_a_run(folder: Path) -> None:
    """Also where a run is read as a run."""
    from choreo.evaluation.subject import replay_of

    inside, outside = folder / "run" / SEGMENT, folder / "outside"
    inside.rename(outside)
    inside.symlink_to(outside)
    with pytest.raises(ChoreoError, match="is missing"):
        replay_of(folder / "run")
