"""The cells of a sweep: every stage times what it is repeated over, each with its command."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from choreo.errors import UsageError
from choreo.sweep.options import TRAINING, Schema, with_whole_paths, words
from choreo.sweep.spec import AXES, Spec, Stage

PLACE = {"evaluate": "evaluation.json", "zeroshot": "zeroshot.json"}
"""Where what a measuring command prints is kept, in the folder of its cell."""


@dataclass(frozen=True)
class Cell:
    """One command of a sweep. `name` is "stage/labels", the place of its folder."""

    name: str
    sweep: str
    stage: str
    command: str
    options: Mapping[str, Any]
    source: str | None
    snapshot: str | None
    labels: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """What cell.json holds; the place of the run it starts from stands under "from"."""
        return {
            "sweep": self.sweep,
            "stage": self.stage,
            "cell": self.name,
            "command": self.command,
            "options": dict(self.options),
            "from": self.source,
            "snapshot": self.snapshot,
            "labels": dict(self.labels),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Cell":
        """What `to_json` gave."""
        return Cell(
            data["cell"],
            data["sweep"],
            data["stage"],
            data["command"],
            data["options"],
            data["from"],
            data["snapshot"],
            data["labels"],
        )

    @property
    def total(self) -> int | None:
        """Frames or updates at the end of a run that says so in its options."""
        return self.options.get("frames", self.options.get("updates"))

    def arguments(self, root: Path) -> list[str]:
        """The words after `choreo` that do this cell in the sweep of folder `root`."""
        folder, given = root / self.name, words(self.options)
        before: list[str] = []
        if self.source is not None:
            run = root / self.source / "run"
            start = str(run if self.snapshot is None else run / "snapshots" / self.snapshot)
            before = ["--from", start] if self.command in TRAINING else [start]
        if self.command in TRAINING:
            return [self.command, *before, *given, "--run-dir", str(folder / "run")]
        if self.command == "skills":
            return [self.command, *before, *given, "--out", str(folder / "skills")]
        return [self.command, *before, *given, "--json"]


def expand(spec: Spec, schema: Schema) -> list[Cell]:
    """All cells of a sweep, each after the one that it starts from."""
    by_stage: dict[str, list[Cell]] = {}
    for stage in spec.stages:
        sources = [None] if stage.source is None else by_stage[stage.source]
        by_stage[stage.name] = [
            _cell(spec, stage, source, labels, schema)
            for source in sources
            for labels in _combinations(spec, stage, {} if source is None else source.labels)
        ]
    cells = [cell for stage in spec.stages for cell in by_stage[stage.name]]
    _check_names(cells)
    return cells


def _combinations(spec: Spec, stage: Stage, known: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Labels of a stage's cells that agree with the `known` ones of the cell it starts from."""
    for domain, task in _places(spec, stage, known):
        if stage.domains and domain not in stage.domains:
            continue
        axes = {
            "method": _methods(stage, known),
            "frames": stage.snapshots or (known.get("frames"),),
            "seed": (known["seed"],) if "seed" in known else spec.seeds,
        }
        free = {axis: values for axis, values in axes.items() if axis in stage.over}
        for values in product(*free.values()):
            labels = {"domain": domain, "task": task, **dict(zip(free, values))}
            yield {axis: labels[axis] for axis in AXES if labels.get(axis) is not None}


def _places(spec: Spec, stage: Stage, known: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Domains, or tasks with their domains, of a stage's cells."""
    domains = [known["domain"]] if "domain" in known else list(spec.tasks)
    if "task" not in stage.over:
        return [(domain, None) for domain in domains]
    if "task" in known:
        return [(known["domain"], known["task"])]
    return [(domain, task) for domain in domains for task in spec.tasks[domain]]


def _methods(stage: Stage, known: Mapping[str, Any]) -> list[str]:
    if not stage.methods:
        return [known["method"]] if "method" in known else []
    if "method" not in known:
        return list(stage.methods)
    return [name for name, method in stage.methods.items() if method.source == known["method"]]


def _cell(
    spec: Spec, stage: Stage, source: Cell | None, labels: Mapping[str, Any], schema: Schema
) -> Cell:
    method = stage.methods.get(labels.get("method", ""))
    options = _usual(spec, stage, source, labels) | {**stage.options}
    options |= {} if method is None else method.options
    options = {name: _filled(value, labels) for name, value in options.items()}
    snapshot = None
    if stage.snapshots and source is not None:
        counted = "frames" if source.command == "pretrain" else "updates"
        snapshot = f"{counted}_{labels['frames']}"
    return Cell(
        f"{stage.name}/{_folder(stage, labels)}",
        spec.name,
        stage.name,
        stage.command,
        with_whole_paths(schema, stage.command, options),
        None if source is None else source.name,
        snapshot,
        labels,
    )


def _usual(
    spec: Spec, stage: Stage, source: Cell | None, labels: Mapping[str, Any]
) -> dict[str, Any]:
    """Options that follow from the place of a cell in the sweep."""
    options: dict[str, Any] = {}
    if source is None and "preset" in spec.data:  # else the preset is that of the source
        options["preset"] = spec.data["preset"]
    if "device" in spec.data:
        options["device"] = spec.data["device"]
    if stage.command in ("pretrain", "finetune"):
        options["env"] = labels.get("task", labels["domain"])
    elif stage.command != "offline" and "task" in labels:
        options["env"] = labels["task"]
    if "seed" in labels:
        options["seed"] = labels["seed"]
    return options | {"threads": 1}  # cells share the cores, each has one


def _filled(value: Any, labels: Mapping[str, Any]) -> Any:
    """The value of an option, with {domain}, {task}, {seed} and the like filled in."""
    if not isinstance(value, str):
        return value
    for axis, label in labels.items():
        value = value.replace(f"{{{axis}}}", str(label))
    return value


def _folder(stage: Stage, labels: Mapping[str, Any]) -> str:
    """A readable name: task (or domain), method, frames, seed."""
    parts = [str(labels["task"] if "task" in stage.over else labels["domain"])]
    if "method" in labels:
        parts.append(str(labels["method"]))
    if "frames" in labels:
        parts.append(_short(labels["frames"]))
    if "seed" in labels:
        parts.append(f"s{labels['seed']}")
    return re.sub(r"[^\w.-]", "_", "-".join(parts))


def _short(count: int) -> str:
    """A number of frames as people say it: 100k, 2M."""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if count and count % size == 0:
            return f"{count // size}{letter}"
    return str(count)


def _check_names(cells: list[Cell]) -> None:
    seen: set[str] = set()
    for cell in cells:
        if cell.name in seen:
            raise UsageError(f"two cells have the name {cell.name}: name tasks or methods apart")
        seen.add(cell.name)
