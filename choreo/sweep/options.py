"""Options of commands by the names of the command line: which there are, and how they are given."""

import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from choreo.errors import UsageError
from choreo.sweep.names import check_name

Schema = Mapping[str, type]
"""The dataclass of options of every command that can be a stage."""

TRAINING = ("pretrain", "offline", "finetune")
RESERVED = {
    "run-dir": "is the folder of the cell",
    "from": "follows from the stage's `from`",
    "source": "follows from the stage's `from`",
    "run": "follows from the stage's `from`",
    "json": "is always given",
    "out": "is the folder of the cell",
}
"""Options that a sweep sets by itself, and to what."""


def option_types(options: type, prefix: str = "") -> dict[str, Any]:
    """Every option of a command by its name on the command line, with its type."""
    found: dict[str, Any] = {}
    for name, kind in typing.get_type_hints(options).items():
        given = f"{prefix}{name.replace('_', '-')}"
        if is_dataclass(kind):
            found |= option_types(typing.cast(type, kind), f"{given}.")
        else:
            found[given] = kind
    return found


def default_of(options: type, name: str) -> Any:
    """Default of an option of the command itself (not of a group); None where there is none."""
    for field in fields(options):
        if field.name == name.replace("-", "_") and field.default is not MISSING:
            return field.default
    return None


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Options of a TOML table by dotted names with dashes; groups may be tables of their own."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        given = f"{prefix}{name.replace('_', '-')}"
        found |= flat(value, f"{given}.") if isinstance(value, Mapping) else {given: value}
    return found


def check_options(schema: Schema, command: str, options: Mapping[str, Any], where: str) -> None:
    """Refuse options that the command has not, and those that a sweep sets by itself."""
    known = option_types(schema[command])
    for name, value in options.items():
        if name in RESERVED:
            raise UsageError(f"{where}: leave out the option {name!r}, which {RESERVED[name]}")
        check_name("option", name, [n for n in known if n not in RESERVED], where)
        if not isinstance(value, str | int | float | list):
            raise UsageError(f"{where}: {name} = {value!r}; wanted text, a number or a list")


def with_whole_paths(schema: Schema, command: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options with files and folders from the root, so that they hold in any working directory."""
    types = option_types(schema[command])
    return {
        name: str(Path(value).absolute()) if "Path" in str(types[name]) else value
        for name, value in options.items()
    }


def words(options: Mapping[str, Any]) -> list[str]:
    """Options as words of a command line."""
    found: list[str] = []
    for name, value in options.items():
        if isinstance(value, bool):
            group, _, last = name.rpartition(".")
            no = f"{group}.no-{last}" if group else f"no-{last}"
            found.append(f"--{name}" if value else f"--{no}")
        elif isinstance(value, list | tuple):
            found += [f"--{name}", *map(str, value)]
        else:
            text = str(value)
            found += [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]
    return found
