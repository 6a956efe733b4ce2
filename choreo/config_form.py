"""The form of every option, taken from the config classes: for config.json and the command line."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from choreo.config import FinetuneConfig, OfflineConfig, PretrainConfig, RunConfig
from choreo.errors import UsageError
from choreo.record import RunFolder
from choreo.schema import Listed, Maybe, Real, Whole, problem

COMMANDS: dict[str, type[RunConfig]] = {
    "pretrain": PretrainConfig,
    "offline": OfflineConfig,
    "finetune": FinetuneConfig,
}
NEEDED = ("preset", "seed", "device", "training", "optimizer", "logging")
"""Options that every run has written down and that others build upon."""
MOST = {
    "seed": 2**128,
    "threads": 2**16,
    "training.batch": 2**16,
    "training.length": 2**16,
    "training.environments": 2**12,
    "training.action_repeat": 2**16,
    "training.evaluate_episodes": 2**16,
    "imagination.horizon": 2**12,
    "skills.neighbours": 2**24,
    "exploration.neighbours": 2**24,
    "exploration.ensemble": 2**10,
    "image_size": 2**10,
    "replay.max_gb": 2**30,
}
"""Largest values that any machine of these years could hold; above, nothing can be allocated."""
SIZES, MOST_SIZE = ("model", "skills", "imagination", "exploration"), 2**20


def options_problem(config: Any, needed: tuple[str, ...] = ()) -> str | None:
    """What is wrong with the options of a run as JSON, in a few words; None where nothing is.

    Those that are not `needed` may be missing, as they are in older runs.
    """
    wrong = problem(config, {"command": tuple(COMMANDS)})
    if wrong is not None:
        return wrong
    return problem(config, _form(COMMANDS[config["command"]], config, needed))


def sound_options(config: Any) -> tuple[dict[str, Any], list[str]]:
    """The options, or groups of them, that a run can have, and what is wrong with the others."""
    if wrong := problem(config, {"command": tuple(COMMANDS)}):
        return {}, [wrong]
    forms = _form(COMMANDS[config["command"]], config)
    each = {name: problem(one, forms.get(name, type(one)), name) for name, one in config.items()}
    sound = {name: one for name, one in config.items() if each[name] is None}
    return sound, [one for one in each.values() if one is not None]


def options_of(run: RunFolder, needed: tuple[str, ...] = NEEDED) -> dict[str, Any]:
    """The options a run was started with, each of the kind and size that an option can have.

    Raises:
        UsageError: the file is missing, damaged, of another format, or was edited.
    """
    config = run.config()
    wrong = options_problem(config, needed)
    if wrong is not None:
        raise UsageError(
            f"{run.config_path} holds options that no run has: {wrong}. Copy it back, or correct it"
        )
    return config


def _form(kind: type, found: Any, needed: tuple[str, ...] = (), group: str = "") -> dict[str, Any]:
    """A schema of those fields of a config class that are there or needed."""
    hints, there = get_type_hints(kind), found if isinstance(found, Mapping) else {}
    return {
        field.name: _schema(hints[field.name], there.get(field.name), f"{group}{field.name}")
        for field in fields(kind)
        if field.name in there or field.name in needed
    }


def _schema(kind: Any, found: Any, name: str) -> Any:
    """The schema of one option by its type."""
    if is_dataclass(kind):
        return _form(kind, found, group=f"{name}.")  # pyright: ignore[reportArgumentType]
    if get_origin(kind) is Literal:
        return get_args(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return Maybe(_schema(get_args(kind)[0], found, name))
    if get_origin(kind) is tuple:
        return Listed(_schema(get_args(kind)[0], None, name))
    most = MOST.get(name, MOST_SIZE if name.split(".")[0] in SIZES else None)
    if kind in (int, float):
        bound = Whole if kind is int else Real
        return bound() if most is None else bound(most=most)
    return str if kind is Path else kind


def check_options(config: RunConfig, least: Mapping[str, int]) -> None:
    """Refuse options below the `least` ones, by dotted name, and those that can be of no use."""
    for name, wanted in least.items():
        found: Any = config
        for part in name.split("."):  # offline runs have no environments, and no options for them
            found = getattr(found, part, None)
        if found is not None and found < wanted:
            raise UsageError(f"--{name} is {found}; wanted is at least {wanted}")
    options = config.to_json()
    wrong = problem(options, _form(type(config), options))
    if wrong is not None:
        raise UsageError(f"--{wrong}")
