"""A sweep goes on with what its presets said when it was begun."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from choreo.config import (
    LATER_OPTIONS,
    FinetuneConfig,
    OfflineConfig,
    PresetName,
    PretrainConfig,
    RunConfig,
)
from choreo.presets import apply_preset
from choreo.record.run_folder import as_json, flatten
from choreo.sweep.cells import Cell

Settings = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Values of options by preset, command and dotted name."""

PLAIN: dict[str, RunConfig] = {
    "pretrain": PretrainConfig(env=""),
    "offline": OfflineConfig(data=Path()),
    "finetune": FinetuneConfig(env=""),
}


def settings_of(cells: Sequence[Cell]) -> dict[str, dict[str, dict[str, Any]]]:
    """What the presets of these cells say today to each of their commands that train."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for cell, preset in _with_presets(cells):
        commands = found.setdefault(preset, {})
        if cell.command not in commands:
            options = apply_preset(PLAIN[cell.command], cast(PresetName, preset)).to_json()
            commands[cell.command] = {
                name: value
                for name, value in flatten(as_json(options)).items()
                if "." in name and not name.startswith("logging.")
            }
    return found


def as_begun(cells: Sequence[Cell], begun: Settings) -> tuple[list[Cell], list[str]]:
    """The cells with options for what their presets said otherwise then, and that in words.

    Options that a cell has of its own are left, and presets and commands that are new in the sweep
    are those of today.
    """
    today, told, chosen = settings_of(cells), {}, {cell.name: cell for cell in cells}
    for cell, preset in _with_presets(cells):
        now, then = today[preset][cell.command], begun.get(preset, {}).get(cell.command)
        if then is None:
            continue
        later = {name: value for name, value in LATER_OPTIONS.items() if name in now}
        pinned = {
            given: value
            for name, value in {**later, **then}.items()
            if now.get(name, value) != value
            and (given := name.replace("_", "-")) not in cell.options
        }
        chosen[cell.name] = replace(cell, options={**cell.options, **pinned})
        told |= {(cell.command, name): value for name, value in pinned.items()}
    return list(chosen.values()), [
        f"this sweep began with {command} --{name} {value} and goes on so"
        for (command, name), value in told.items()
    ]


def _with_presets(cells: Sequence[Cell]) -> Iterator[tuple[Cell, str]]:
    """The cells that train, each with its own preset or that of the run it starts from."""
    found: dict[str | None, str] = {}
    for cell in cells:  # each stands after its source
        usual = found.get(cell.source, PretrainConfig(env="").preset)
        found[cell.name] = str(cell.options.get("preset", usual))
        if cell.command in PLAIN:
            yield cell, found[cell.name]
