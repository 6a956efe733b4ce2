"""What runs were made with: time, machines, versions, and the options in which they differ."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from choreo.evaluation.runs.labels import method_key, title
from choreo.evaluation.runs.run import TRAINS, Run

OWN = ("seed", "env", "run_dir", "source", "data", "spec", "command", "logging")
"""Options, or groups of them, in which runs differ by nature or which change no number."""
UNKNOWN, ABSENT = "not recorded", "(not there)"


@dataclass(frozen=True)
class Time:
    """Wall-clock time of the runs of a command and method."""

    command: str
    method: str
    runs: int
    timed: int
    """Runs whose time is recorded."""
    seconds: float
    """Of all of these together."""


@dataclass(frozen=True)
class Setting:
    """An option in which runs of one command differ: its values, each with whose they are."""

    command: str
    option: str
    values: dict[str, str]


def times(runs: Iterable[Run]) -> list[Time]:
    """Time by command and method."""
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        if run.config:
            groups[run.command, run.method].append(run)
    found = []
    for (command, method), own in sorted(groups.items(), key=_by_command):
        known = [run.seconds for run in own if run.seconds is not None]
        found.append(Time(command, method, len(own), len(known), sum(known)))
    return found


def _by_command(item: tuple[tuple[str, str], list[Run]]) -> tuple:
    (command, method), _ = item
    return [*TRAINS, command].index(command), method_key(method)


def made_with(runs: Iterable[Run]) -> dict[str, dict[str, int]]:
    """Machine, commit and versions: value -> number of runs, by name."""
    begun = [run for run in runs if run.config]
    names = list(dict.fromkeys(name for run in begun for name in run.versions))
    values: dict[str, Callable[[Run], str | None]] = {
        "machine": _machine,
        "commit": lambda run: run.commit,
    }
    for name in names:
        values[name] = lambda run, name=name: run.versions.get(name)
    return {
        name: dict(Counter(value_of(run) or UNKNOWN for run in begun).most_common())
        for name, value_of in values.items()
    }


def _machine(run: Run) -> str | None:
    machine = run.machine
    if not machine.get("processor"):
        return None
    card = f", {machine['cuda_device']}" if machine.get("cuda_device") else ""
    return f"{machine['processor']}, {machine.get('cores', '?')} cores{card}"


def settings(runs: Sequence[Run]) -> list[Setting]:
    """Every option that differs among the runs of a command."""
    found = []
    for command in dict.fromkeys(run.command for run in runs if run.config):
        own = [run for run in runs if run.command == command and run.config]
        options = sorted({option for run in own for option in run.config})
        for option in options:
            if option.split(".")[0] in OWN:
                continue
            owners: dict[str, list[str]] = defaultdict(list)
            for run in own:
                value = json.dumps(run.config[option]) if option in run.config else ABSENT
                owners[value].append(run.method)
            if len(owners) > 1:
                found.append(Setting(command, option, {v: _who(o) for v, o in owners.items()}))
    return found


def _who(methods: Sequence[str]) -> str:
    counts = Counter(methods)
    return ", ".join(f"{title(m)} ({counts[m]})" for m in sorted(counts, key=method_key))
