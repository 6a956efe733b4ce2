"""Where cells run on this machine, and what a person sees of them."""

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console
from toy_specs import cells

from choreo.cli.sweep_view import View
from choreo.errors import UsageError
from choreo.sweep import Board, Outcome, slots
from choreo.sweep.folder import fail, state_of, write_json
from choreo.sweep.lock import acquire
from choreo.sweep.pace import Paces


@pytest.mark.parametrize(
    ("workers", "per_device", "devices", "found"),
    [
        (None, None, 0, [None] * 3),
        (5, None, 0, [None] * 5),
        (None, None, 2, ["4", "7"]),
        (None, 2, 2, ["4", "7", "4", "7"]),
        (3, None, 2, ["4", "7", "4"]),
        (3, 1, 2, ["4", "7"]),
    ],
)
def test_workers_take_cores_or_share_devices(
    workers: int | None,
    per_device: int | None,
    devices: int,
    found: list[str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7" if devices else "")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    places = slots(workers, per_device, 3, devices)
    assert [place.get("CUDA_VISIBLE_DEVICES") for place in places] == found
    assert all(place["OMP_NUM_THREADS"] == "1" for place in places)


def test_devices_that_are_not_there() -> None:
    with pytest.raises(UsageError, match="no CUDA device"):
        slots(None, 2, 4, 0)


def board(root: Path, retry: int = 0) -> Board:
    found = cells()
    return Board(root, found, {cell.name for cell in found}, retry)


def test_cells_are_handed_out_once_and_after_their_source(tmp_path: Path) -> None:
    mine = board(tmp_path)
    first = mine.take()
    assert first is not None and first.stage == "pretrain" and mine.take() is None
    assert not mine.finished()
    (tmp_path / first.name).mkdir(parents=True)
    write_json(tmp_path / first.name / "done.json", {})
    mine.put_back(first, Outcome("done"))
    tuned = [mine.take(), mine.take()]
    assert [cell and cell.stage for cell in tuned] == ["finetune"] * 2
    assert mine.take() is None


def test_a_seed_is_done_to_the_end_before_the_next_begins(tmp_path: Path) -> None:
    found = cells(seeds=[0, 1])
    mine = Board(tmp_path, found, {cell.name for cell in found})
    done = []
    while (cell := mine.take()) is not None:
        done.append((cell.labels["seed"], cell.stage))
        (tmp_path / cell.name).mkdir(parents=True)
        write_json(tmp_path / cell.name / "done.json", {})
        mine.put_back(cell, Outcome("done"))
    one_task = ["finetune", "evaluate"]
    assert done == [(seed, stage) for seed in (0, 1) for stage in ["pretrain", *one_task * 2]]


def test_what_failed_blocks_what_starts_from_it(tmp_path: Path) -> None:
    first = cells()[0]
    fail(tmp_path, first, "it broke", 1)
    mine = board(tmp_path)
    assert mine.finished() and mine.take() is None
    kinds = [standing.kind for standing in mine.standings().values()]
    assert kinds == ["failed"] + ["blocked"] * 4
    again = board(tmp_path, retry=1)
    assert not again.finished() and again.take() == first
    again.put_back(first, Outcome("failed"))
    assert again.finished()


def test_the_state_is_what_the_folder_holds(tmp_path: Path) -> None:
    cell = cells()[0]
    folder = tmp_path / cell.name
    assert state_of(tmp_path, cell).kind == "missing"
    folder.mkdir(parents=True)
    mine = acquire(folder)
    assert mine is not None and state_of(tmp_path, cell).kind == "running"
    mine.release()
    fail(tmp_path, cell, "it broke", 1)
    assert state_of(tmp_path, cell).detail["reason"] == "it broke"
    write_json(folder / "done.json", {})
    assert state_of(tmp_path, cell).kind == "done"


def lines(path: Path, frames: int, at: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps({"kind": "train", "frames": frames}) + "\n")
    os.utime(path, (at, at))


def test_how_far_and_how_fast_a_cell_is(tmp_path: Path) -> None:
    cell, paces = cells()[0], Paces(tmp_path)
    assert paces.of(cell) is None
    path = tmp_path / cell.name / "run" / "metrics.jsonl"
    lines(path, 10, 1000.0)
    lines(path, 20, 1002.0)
    first = paces.of(cell)
    assert first is not None and (first.count, first.rate) == (20, None)
    lines(path, 40, 1012.0)
    with path.open("a") as file:
        file.write('{"kind": "tr')  # a line that is being written
    os.utime(path, (1012.0, 1012.0))
    now = paces.of(cell)
    assert now is not None and (now.count, now.total, now.rate, now.left) == (40, 60, 2.0, 10.0)


def test_a_live_table_in_a_terminal(tmp_path: Path) -> None:
    cell = cells()[0]
    lines(tmp_path / cell.name / "run" / "metrics.jsonl", 20, 1000.0)
    mine = acquire(tmp_path / cell.name)
    assert mine is not None
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=120, color_system=None)
    with View(board(tmp_path), console) as view:
        view.update()
    text = shown.getvalue()
    assert "0 of 5 cells done, 1 running, 4 waiting, 0 failed" in text
    assert cell.name in text and "20 of 60" in text
    mine.release()
    assert view.tell_end() == 1
