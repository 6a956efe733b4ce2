"""Which runs may be counted together: those that differ in what decides a number are refused."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from choreo.config import LATER_OPTIONS, MAY_CHANGE
from choreo.errors import UsageError
from choreo.evaluation.runs.origins import OWN
from choreo.evaluation.runs.run import RANDOM, Run

SHOWN = 3  # folders named for a value; the rest is counted

Value = str | int | None


def _versions(run: Run) -> str | None:
    return ", ".join(f"{name} {version}" for name, version in run.versions.items()) or None


def _protocol(run: Run) -> str | None:
    return run.final.protocol if run.final is not None and run.method != RANDOM else None


ASPECTS: dict[str, tuple[str, Callable[[Run], Value]]] = {
    "budget": ("frames (offline: updates) of training", lambda run: run.budget),
    "action_repeat": ("frames of an agent step", lambda run: run.action_repeat),
    "preset": ("preset", lambda run: run.preset),
    "observations": ("what the agent sees", lambda run: run.config.get("obs")),
    "evaluation": ("how the final score was measured", _protocol),
    "time_limit": ("steps of an episode", lambda run: run.config.get("training.time_limit")),
    "versions": ("versions of the packages", _versions),
    "commit": ("commit of the code", lambda run: run.commit),
}
"""Name for --pool, what it is, and its value for a run; None is not known or does not apply."""
OPTIONS = "options"
REPEATS = "repeats"
POOLABLE = (*ASPECTS, OPTIONS, REPEATS)
APART = {
    *OWN,
    *MAY_CHANGE,
    *("device", "skip_bad", "start", "from_scratch"),  # the last two make the method
    *("preset", "obs", "training.action_repeat", "training.time_limit"),  # are aspects
}
"""Options in which the seeds of a method may differ, or that are compared by another name."""


@dataclass(frozen=True)
class Difference:
    """Runs of one kind that differ in one aspect, by value."""

    aspect: str
    about: str
    values: dict[str, list[str]]
    """Folders by value."""

    def sentence(self) -> str:
        """The values with the number of runs of each."""
        parts = [f"{value} ({_runs(len(names))})" for value, names in self.values.items()]
        return f"{self.about}: {'; '.join(parts)}"

    def lines(self) -> Iterator[str]:
        """The values with the folders of each."""
        yield f"  {self.aspect} - {self.about}:"
        for value, names in self.values.items():
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield f"    {value}: {', '.join(names[:SHOWN])}{more}"


def check_pool(text: str) -> tuple[str, ...]:
    """The aspects that a comma list names.

    Raises UsageError for one that does not exist, with the nearest name.
    """
    names = tuple(name.strip().replace("-", "_") for name in text.split(",") if name.strip())
    for name in names:
        if name not in POOLABLE:
            near = get_close_matches(name, POOLABLE, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(POOLABLE)}"
            raise UsageError(f"--pool {name}: unknown aspect; {hint}")
    return names


def check_alike(runs: Sequence[Run], pool: Collection[str]) -> list[Difference]:
    """Refuse runs that differ in an aspect not named in `pool`; the differences that are pooled.

    Returns of all tasks are compared with one another, so all fine-tuned runs must agree, and so
    must all pre-trained and all offline ones.
    """
    found = [*_differences(runs), *_options(runs), *_repeats(runs)]
    refused = [difference for difference in found if difference.aspect not in pool]
    if refused:
        lines = [line for difference in refused for line in difference.lines()]
        names = ",".join(dict.fromkeys(difference.aspect for difference in refused))
        raise UsageError(
            "these runs differ in what may not be counted together:\n"
            + "\n".join(lines)
            + f"\nGive folders that agree, or add --pool {names}; the page then says so."
        )
    return found


def _differences(runs: Iterable[Run]) -> Iterator[Difference]:
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.config or run.final:  # there is nothing yet that could differ otherwise
            groups["comparison" if run.compares else run.command].append(run)
    for name, group in groups.items():
        for aspect, (about, value_of) in ASPECTS.items():
            values: dict[str, list[str]] = defaultdict(list)
            for run in group:
                if (value := value_of(run)) is not None:
                    values[f"{value:,}" if isinstance(value, int) else str(value)].append(run.name)
            if len(values) > 1:
                where = "" if name == "comparison" else f" ({name})"
                yield Difference(aspect, f"{about}{where}", dict(sorted(values.items())))


def _options(runs: Iterable[Run]) -> Iterator[Difference]:
    """What the fine-tunings of a method were told differently on a task, an option at a time.

    Methods and tasks may have options of their own, and other presets differ in many.
    """
    groups: dict[tuple, list[Run]] = defaultdict(list)
    for run in runs:
        if run.command == "finetune" and run.method != RANDOM:
            groups[run.task, run.method, run.preset].append(run)
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for group in groups.values():
        for name in dict.fromkeys(name for run in group for name in run.config):
            if name in APART or name.partition(".")[0] in APART:
                continue
            told = [(run.config.get(name, LATER_OPTIONS.get(name)), run.name) for run in group]
            told = [(value, folder) for value, folder in told if value is not None]
            if any(value != told[0][0] for value, _ in told):
                for value, folder in told:
                    found[name][str(value)].append(folder)
    for name, values in found.items():
        yield Difference(OPTIONS, f"option {name}", dict(sorted(values.items())))


def _repeats(runs: Iterable[Run]) -> Iterator[Difference]:
    """One seed of a method twice on a task counts as two where it is one."""
    same: dict[tuple, list[str]] = defaultdict(list)
    for run in runs:
        if run.compares and run.method != RANDOM and run.seed is not None:
            same[run.task, run.method, run.seed].append(run.name)
    twice = {f"{t}, {m}, seed {s}": names for (t, m, s), names in same.items() if len(names) > 1}
    if twice:
        yield Difference(REPEATS, "a seed that is there more than once", twice)


def named_apart(runs: Sequence[Run], pool: Collection[str]) -> list[Run]:
    """The runs, with methods that start from several amounts of pre-training named apart."""
    amounts: dict[str, set[int]] = defaultdict(set)
    for run in runs:
        if run.compares and run.pretrained is not None:  # else from nothing, or not yet known
            amounts[run.method].add(run.pretrained)
    several = {method for method, found in amounts.items() if len(found) > 1} - {RANDOM}
    if "budget" in pool:
        return list(runs)
    return [
        replace(run, method=f"{run.method} @ {_short(run.pretrained)}")
        if run.compares and run.method in several and run.pretrained is not None
        else run
        for run in runs
    ]


def _short(count: int) -> str:
    """A number of frames as people say it: 100k, 2M."""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if count >= size and count % size == 0:
            return f"{count // size}{letter}"
    return f"{count:,}"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
