"""The spec of a sweep: stages, what they start from, and over what they are repeated.

seeds = [0, 1, 2]
tasks = { walker = ["walker_stand", "walker_run"] }   # domain = its tasks

[stage.pretrain]
command = "pretrain"
over = ["domain", "seed"]
options = { frames = 2_000_000 }

[stage.finetune]
command = "finetune"
from = "pretrain"
over = ["task", "method", "seed"]
methods = { skills = {}, scratch = { from-scratch = true } }
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from choreo.envs.make import DOMAIN_TASKS, EXORL_TASKS, GOAL_DOMAIN, GOAL_TASKS, URLB_TASKS
from choreo.errors import UsageError
from choreo.schema import in_words
from choreo.sweep.names import check_name
from choreo.sweep.options import TRAINING, Schema, check_options, default_of, flat

AXES = ("domain", "task", "method", "frames", "seed")
TOP = ("title", "preset", "device", "seeds", "tasks", "stage")
STAGE = ("command", "from", "over", "options", "methods", "snapshots", "domains")
KNOWN_TASKS = (*DOMAIN_TASKS, *URLB_TASKS, *EXORL_TASKS, GOAL_DOMAIN, *GOAL_TASKS)


@dataclass(frozen=True)
class Method:
    """A named set of options, and the method of the source stage that it starts from."""

    options: Mapping[str, Any]
    source: str


@dataclass(frozen=True)
class Stage:
    """One command, repeated over axes; `source` is the stage that it starts from."""

    name: str
    command: str
    source: str | None
    over: tuple[str, ...]
    options: Mapping[str, Any]
    methods: Mapping[str, Method]
    snapshots: tuple[int, ...]
    domains: tuple[str, ...]


@dataclass(frozen=True)
class Spec:
    """A whole sweep. `data` is what it was read from, overrides included."""

    name: str
    data: Mapping[str, Any]
    seeds: tuple[int, ...]
    tasks: Mapping[str, tuple[str, ...]]
    stages: tuple[Stage, ...]

    def stage(self, name: str) -> Stage:
        """The stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)


def shipped() -> dict[str, Path]:
    """The specs of the package, by name."""
    folder = Path(str(resources.files("choreo.sweep") / "specs"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read_toml(name: str) -> tuple[str, dict[str, Any]]:
    """Name and content of a spec of the package or of a TOML file.

    Raises UsageError when there is none, or when it is not TOML.
    """
    path = shipped().get(name, Path(name))
    if not path.is_file():
        check_name("spec", name, shipped(), "neither a file nor a spec of the package")
    try:
        return path.stem, tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}") from error


def parse(name: str, data: Mapping[str, Any], schema: Schema) -> Spec:
    """The spec that a table of TOML describes.

    Raises UsageError for what is unknown, missing or contradictory, with the nearest name.
    """
    _check_keys(name, data, TOP, {"seeds": list, "tasks": dict, "stage": dict})
    tables = data.get("stage", {})
    if not tables or not data.get("tasks"):
        raise UsageError(f"{name}: a spec has at least one [stage.NAME] and a task under [tasks]")
    seeds = _numbers(f"{name}: seeds", data.get("seeds", [0]))
    tasks = {domain: _tasks(name, domain, value) for domain, value in data["tasks"].items()}
    _check_chains(name, tables)
    stages: dict[str, Stage] = {}
    while len(stages) < len(tables):  # a stage after the one that it starts from
        for key, table in tables.items():
            if key not in stages and table.get("from") in (None, *stages):
                stages[key] = _stage(name, key, table, tasks, schema, stages)
    return Spec(name, data, seeds, tasks, tuple(stages[key] for key in _in_order(tables)))


def _in_order(tables: Mapping[str, Any]) -> list[str]:
    """Names of stages as written, but none before the one that it starts from."""
    order: list[str] = []

    def add(key: str) -> None:
        if key not in order:
            if (source := tables[key].get("from")) is not None:
                add(source)
            order.append(key)

    for key in tables:
        add(key)
    return order


def _check_keys(
    where: str, table: Any, known: tuple[str, ...], kinds: Mapping[str, type | tuple[type, ...]]
) -> None:
    if not isinstance(table, Mapping):
        raise UsageError(f"{where}: found {table!r}, wanted a table")
    for key, value in table.items():
        check_name("entry", key, known, where)
        if key in kinds and not isinstance(value, kinds[key]):
            raise UsageError(f"{where}: {key} = {value!r} is of the wrong kind")


def _numbers(where: str, values: Any) -> tuple[int, ...]:
    ok = isinstance(values, list | tuple) and all(type(v) is int and v >= 0 for v in values)
    if not ok or len(set(values)) < len(values):
        raise UsageError(f"{where}: found {values!r}, wanted a list of whole numbers, each once")
    return tuple(values)


def _tasks(where: str, domain: str, tasks: Any) -> tuple[str, ...]:
    if not isinstance(tasks, list | tuple) or not all(isinstance(task, str) for task in tasks):
        raise UsageError(f"{where}: tasks.{domain} = {tasks!r}; wanted a list of names")
    for task in (domain, *tasks):
        check_task(task, KNOWN_TASKS, where)
    return tuple(tasks)


def check_task(task: str, known: tuple[str, ...], where: str) -> None:
    """Refuse a task that no environment of the package has; those of others are not known here."""
    if ":" not in task and not task.startswith("mw"):
        check_name("task", task, known, where)


def _check_chains(name: str, tables: Mapping[str, Any]) -> None:
    """Every stage must lead, by `from`, to one that starts from nothing."""
    for key, table in tables.items():
        _check_keys(f"{name}: stage {key}", table, STAGE, {"from": str, "command": str})
        if not re.fullmatch(r"\w[\w.-]*", key):
            raise UsageError(f"{name}: stage {key!r} would be a folder; use letters, digits, -, _")
        passed = [key]
        while (source := tables[passed[-1]].get("from")) is not None:
            where = f"{name}: stage {passed[-1]} starts `from` a stage that nothing makes"
            check_name("stage", source, tables, where)
            if source in passed:
                circle = " from ".join([*passed[passed.index(source) :], source])
                raise UsageError(f"{name}: stages go in a circle: {circle}")
            passed.append(source)


def _stage(
    name: str,
    key: str,
    table: Mapping[str, Any],
    tasks: Mapping[str, tuple[str, ...]],
    schema: Schema,
    before: Mapping[str, Stage],
) -> Stage:
    where = f"{name}: stage {key}"
    kinds = {"over": list, "options": dict, "methods": dict, "domains": list, "snapshots": list}
    _check_keys(where, table, STAGE, kinds)
    command = table.get("command", "")
    check_name("command", command, schema, where)
    source = None if table.get("from") is None else before[table["from"]]
    _check_source(where, command, source)
    methods = _methods(where, table, source)
    for domain in table.get("domains", ()):
        check_name("domain", domain, tasks, where)
    options = flat(table.get("options", {}))
    for given in (options, *(method.options for method in methods.values())):
        check_options(schema, command, given, where)
    stage = Stage(
        key,
        command,
        table.get("from"),
        _over(where, table, source, methods),
        options,
        methods,
        _numbers(f"{where}: snapshots", table.get("snapshots", [])),
        tuple(table.get("domains", ())),
    )
    _check_axes(where, stage, source)
    _check_snapshots(where, stage, source, schema)
    return stage


def _check_source(where: str, command: str, source: Stage | None) -> None:
    if source is None and command not in TRAINING:
        raise UsageError(f'{where}: `choreo {command}` needs a run; say which with from = "STAGE"')
    if source is not None and command in ("pretrain", "offline"):
        raise UsageError(f"{where}: `choreo {command}` starts from nothing; leave out `from`")
    if source is not None and source.command not in TRAINING:
        raise UsageError(
            f"{where}: starts from {source.name}, but `choreo {source.command}` makes no run; name "
            "a stage that trains"
        )


def _methods(where: str, table: Mapping[str, Any], source: Stage | None) -> dict[str, Method]:
    found = {}
    for method, entries in table.get("methods", {}).items():
        if not isinstance(entries, Mapping):
            raise UsageError(f"{where}: method {method} = {entries!r}; wanted a table of options")
        options = flat(entries)
        begins = options.pop("source", method)
        if source is not None and source.methods:
            check_name("method", begins, source.methods, f"{where}: method {method}, source")
        found[method] = Method(options, begins)
    if not found and source is not None and "method" in table.get("over", ()):
        return {method: Method({}, method) for method in source.methods}
    return found


def _over(
    where: str, table: Mapping[str, Any], source: Stage | None, methods: Mapping[str, Method]
) -> tuple[str, ...]:
    """The axes of a stage; by default those of its source, else domain and seed."""
    default = ("domain", "seed") if source is None else source.over
    over = {*table.get("over", default)}
    for axis in table.get("over", ()):
        check_name("axis", axis, AXES, where)
    if methods:
        over.add("method")
    if table.get("snapshots"):
        over.add("frames")
    if "task" in over:
        over.discard("domain")
    return tuple(axis for axis in AXES if axis in over)


def _check_axes(where: str, stage: Stage, source: Stage | None) -> None:
    own = {*stage.over, *(("domain",) if "task" in stage.over else ())}
    if not own & {"domain", "task"}:
        raise UsageError(
            f"{where}: over = {in_words(stage.over)} has no domain and no task; add one"
        )
    if "frames" in own and not stage.snapshots and (source is None or "frames" not in source.over):
        raise UsageError(f"{where}: is repeated over frames; say which with snapshots = [...]")
    if "method" in own and not stage.methods and (source is None or "method" not in source.over):
        raise UsageError(f"{where}: is repeated over methods and has none; add methods = {{...}}")
    missing = [axis for axis in (() if source is None else source.over) if axis not in own]
    if missing:
        assert source is not None
        raise UsageError(
            f"{where}: starts from {source.name}, which has a run for every {missing[0]}: add "
            f"{missing[0]!r} to `over`"
        )


def _check_snapshots(where: str, stage: Stage, source: Stage | None, schema: Schema) -> None:
    """Every snapshot that a stage starts from must be one that its source makes."""
    if not stage.snapshots:
        return
    if source is None or source.command not in ("pretrain", "offline"):
        raise UsageError(f"{where}: has snapshots, which only pretrain and offline make")
    options = schema[source.command]
    kept = source.options.get("snapshots", default_of(options, "snapshots"))
    counted = "frames" if source.command == "pretrain" else "updates"
    total = source.options.get(counted, default_of(options, counted))
    for count in stage.snapshots:
        if count not in kept or count > total:
            raise UsageError(
                f"{where}: starts from the snapshot at {count}, which nothing makes: {source.name} "
                f"has {total} {counted} and snapshots at {in_words(kept)}"
            )
