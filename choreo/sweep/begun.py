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
from choreo.evaluation.runs.origins import OWN
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
PLACE = {*OWN, "preset", "device", "threads"}
"""Options, or groups of them, that follow from the place of a cell, or change no number."""
TAKEN_OVER = ("model", "imagination", "skills", "optimizer", "training", "replay")
"""Groups of options that a fine-tuning has from its source, where that has them."""


def preset_settings(cells: Sequence[Cell]) -> dict[str, dict[str, dict[str, Any]]]:
    """What the presets of these cells say today to each of their commands that train."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for cell, preset, _ in _training(cells):
        commands = found.setdefault(preset, {})
        if cell.command not in commands:
            options = apply_preset(PLAIN[cell.command], cast(PresetName, preset)).to_json()
            commands[cell.command] = {
                name: value
                for name, value in flatten(as_json(options)).items()
                if name.partition(".")[0] not in PLACE
            }
    return found


def with_settings(cells: Sequence[Cell], begun: Settings) -> tuple[list[Cell], list[str]]:
    """The cells with options for what their presets said otherwise then, and that in words.

    Left alone are options that a cell has of its own or, without a preset of its own, takes over
    from the run it starts from, and presets and commands that are new in the sweep.
    """
    today, chosen = preset_settings(cells), {cell.name: cell for cell in cells}
    sources = {command: flatten(config.to_json()) for command, config in PLAIN.items()}
    told: dict[str, None] = {}
    for cell, preset, source in _training(cells):
        now, then = today[preset][cell.command], begun.get(preset, {}).get(cell.command)
        if then is None:
            continue
        later = {name: value for name, value in LATER_OPTIONS.items() if name in now}
        for name, value in {**later, **then}.items():
            given, group = name.replace("_", "-"), name.partition(".")[0]
            inherited = group in TAKEN_OVER and name in sources.get(source, ())
            inherited = inherited and "preset" not in cell.options  # which comes after the source
            if now.get(name, value) == value or given in cell.options or inherited:
                continue
            options = {**chosen[cell.name].options, given: value}
            chosen[cell.name] = replace(cell, options=options)
            told[
                f"{name} is {now[name]} in the preset {preset} now; "
                f"this sweep began with {value} and goes on so"
            ] = None
    return list(chosen.values()), list(told)


def _training(cells: Sequence[Cell]) -> Iterator[tuple[Cell, str, str]]:
    """The cells that train, with their preset or that of their source, and its command or ""."""
    found: dict[str, tuple[str, str]] = {}
    for cell in cells:  # each stands after its source
        if cell.command not in PLAIN:
            continue
        usual, command = PLAIN[cell.command].preset, ""
        if cell.source is not None:
            usual, command = found[cell.source]
        preset = str(cell.options.get("preset", usual))
        found[cell.name] = preset, cell.command
        yield cell, preset, command
