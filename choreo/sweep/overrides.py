"""What the command line changes in a spec: seeds, tasks, preset, device, single options."""

import copy
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from choreo.errors import UsageError
from choreo.sweep.names import check_name
from choreo.sweep.options import flat
from choreo.sweep.spec import KNOWN_TASKS, check_task


@dataclass(frozen=True)
class Overrides:
    """Changes to a spec; None and () change nothing."""

    seeds: tuple[int, ...] = ()
    tasks: tuple[str, ...] = ()
    preset: str | None = None
    device: str | None = None
    settings: tuple[str, ...] = ()
    """Each STAGE.OPTION=VALUE; a value is written as in TOML, text needs no quotes."""

    def apply(self, name: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """The table of a spec with the changes.

        Raises UsageError for a stage or task that does not exist, with the nearest name.
        """
        changed = copy.deepcopy(dict(data))
        if self.seeds:
            changed["seeds"] = list(self.seeds)
        if self.tasks:
            changed["tasks"] = _chosen(name, changed.get("tasks", {}), self.tasks)
        for key in ("preset", "device"):
            if getattr(self, key) is not None:
                changed[key] = getattr(self, key)
                for table in changed.get("stage", {}).values():
                    table.get("options", {}).pop(key, None)
        for setting in self.settings:
            _set(name, changed.get("stage", {}), setting)
        return changed


def _chosen(
    name: str, tasks: Mapping[str, Sequence[str]], chosen: Sequence[str]
) -> dict[str, list[str]]:
    """Tasks by domain: of the spec's own, or others of a domain that it has."""
    found: dict[str, list[str]] = {}
    for task in chosen:
        own = [domain for domain, entries in tasks.items() if task in entries]
        near = [domain for domain in tasks if task.startswith(f"{domain}_")]
        known = [entry for entries in tasks.values() for entry in entries]
        if not own and not near:
            check_name("task", task, known, name)
        if not own:
            check_task(task, (*known, *KNOWN_TASKS), name)
        found.setdefault((own or near)[0], []).append(task)
    return found


def _set(name: str, stages: Mapping[str, Any], setting: str) -> None:
    place, equals, value = setting.partition("=")
    stage, dot, option = place.partition(".")
    if not equals or not dot or not option:
        raise UsageError(f"--set {setting}: wanted STAGE.OPTION=VALUE, as pretrain.frames=50000")
    check_name("stage", stage, stages, f"--set {setting}")
    table = stages[stage]
    if option == "snapshots" and table.get("from") is not None:  # those that it starts from
        table["snapshots"] = _value(value)
        return
    table["options"] = flat(table.get("options", {})) | {option.replace("_", "-"): _value(value)}


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
