"""The folder of a sweep, which is its state: what is planned, and how every cell stands."""

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from choreo.errors import UsageError
from choreo.record.files import writing
from choreo.record.run_folder import flatten, versions
from choreo.schema import Maybe, Named, problem, read_json
from choreo.sweep.begun import Settings, preset_settings
from choreo.sweep.cells import Cell
from choreo.sweep.lock import held
from choreo.sweep.spec import Spec

FORMAT = 1
SWEEP, CELL, LOG, DONE, FAILED = "sweep.json", "cell.json", "log.txt", "done.json", "failed.json"
GROWS = ("seeds", "tasks")
"""Entries of a spec that may differ in a later call: cells are added, or left for later."""

Kind = Literal["done", "failed", "running", "missing"]


@dataclass(frozen=True)
class State:
    """How a cell stands; `detail` is what done.json, failed.json or the lock holds."""

    kind: Kind
    detail: Mapping[str, Any]


def open_sweep(root: Path, spec: Spec, cells: list[Cell]) -> None:
    """Make the folder of a sweep, or see that it is one of the same spec.

    Raises:
        UsageError: the folder holds something else, or a sweep with other entries, each named.
        StorageError: it cannot be written.
    """
    before: dict[str, Any] = {}
    if (root / SWEEP).exists():
        before = read_sweep(root)
        _compare(root, before["spec"], spec.data)
    elif root.exists() and (not root.is_dir() or any(_visible(root))):
        raise UsageError(
            f"{root} exists and is not a sweep: there is no {SWEEP} in it. Give a new or empty "
            "folder with --dir"
        )
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
    planned = {entry["cell"]: entry for entry in before.get("cells", [])}
    planned |= {cell.name: cell.to_json() for cell in cells}
    content = {
        "format": FORMAT,
        "name": before.get("name", spec.name),
        "spec": _grown(before.get("spec", {}), spec.data),
        "versions": versions(),
        "cells": list(planned.values()),
    }
    if not before or "settings" in before:  # else it is from before they were recorded
        content["settings"] = _settings(before.get("settings") or {}, preset_settings(cells))
    if content != before:
        write_json(root / SWEEP, content)


def read_sweep(root: Path) -> dict[str, Any]:
    """The content of sweep.json; raises UsageError when it is missing, damaged or foreign."""
    try:
        content = read_json(root / SWEEP)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{root / SWEEP} cannot be read ({error}). Copy it back, or give another folder"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UsageError(
            f"{root / SWEEP} is not a sweep of format {FORMAT}. Give another folder with --dir"
        )
    wrong = problem(content.get("settings"), Maybe(Named(Named(dict))), "settings")
    if wrong is not None:
        raise UsageError(
            f"{root / SWEEP} is damaged: {wrong}. Copy it back, or give another folder"
        )
    return content


def state_of(root: Path, cell: Cell) -> State:
    """How a cell stands now."""
    folder = root / cell.name
    if (found := _read(folder / DONE)) is not None:
        return State("done", found)
    if (holder := held(folder)) is not None:
        return State("running", holder)
    if (found := _read(folder / FAILED)) is not None:
        return State("failed", found)
    return State("missing", {})


def fail(root: Path, cell: Cell, reason: str, attempts: int) -> None:
    """Record that a cell failed, and why."""
    log = str(Path(cell.name) / LOG)
    content = {"reason": reason, "attempts": attempts, "log": log}
    folder = root / cell.name  # not there when it was lost before it began
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FAILED, content)


def write_json(path: Path, content: Any) -> None:
    """Put `content` into a file, whole or not at all, whoever else writes it at the same time.

    Raises StorageError when the disk is full.
    """
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    with writing(path):
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(content, file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _settings(began: Settings, now: Settings) -> dict[str, Any]:
    """What presets said when the sweep was begun, and today's of what is new in it."""
    return {name: {**now.get(name, {}), **began.get(name, {})} for name in {**began, **now}}


def _visible(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if not path.name.startswith(f".{SWEEP}-")]


def _grown(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with the seeds and tasks of earlier calls, too."""
    seeds = [*before.get("seeds", []), *now.get("seeds", [0])]
    tasks = {domain: list(names) for domain, names in before.get("tasks", {}).items()}
    for domain, names in now["tasks"].items():
        tasks[domain] = list(dict.fromkeys([*tasks.get(domain, []), *names]))
    return {**now, "seeds": sorted(set(seeds)), "tasks": tasks}


def _compare(root: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    old, new = (flatten(spec) for spec in (found, wanted))
    lines = [
        f"  {name}: found {old.get(name, '(not there)')}, wanted {new.get(name, '(not there)')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and name.split(".")[0] not in GROWS
    ]
    if lines:
        raise UsageError(
            f"{root} holds a sweep of another spec:\n"
            + "\n".join(lines)
            + "\nGive another folder with --dir, or the same spec and --set to go on with this one"
        )
