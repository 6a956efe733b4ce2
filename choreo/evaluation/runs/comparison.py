"""Runs as a table of tasks and methods, and what it says of methods over tasks."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from choreo.evaluation.aggregates import (
    Estimate,
    estimate,
    estimate_improvement,
    percentile_interval,
    profile,
    resample,
)
from choreo.evaluation.runs.labels import base_of, method_key, sorted_domains, task_key
from choreo.evaluation.runs.run import RANDOM, SCRATCH, Run
from choreo.evaluation.scores import URLB_EXPERT, Interval, mean_interval

SEED = 0
"""Of the bootstraps: the same runs give the same intervals."""
CONTROLS = (SCRATCH, RANDOM)


@dataclass(frozen=True)
class Cell:
    """The runs of one method on one task."""

    task: str
    method: str
    runs: tuple[Run, ...]
    missing: tuple[str, ...]
    """What there should be and is not, in words."""

    @property
    def scored(self) -> list[Run]:
        """Runs that have a final score."""
        return [run for run in self.runs if run.final is not None]

    @property
    def returns(self) -> np.ndarray:
        """Final scores (n,)."""
        return np.array([run.final.value for run in self.runs if run.final is not None])

    @property
    def mean(self) -> float | None:
        """Mean over runs; None without any."""
        return float(self.returns.mean()) if len(self.returns) else None

    @property
    def interval(self) -> Interval | None:
        """Student's t interval (95%) of the mean over runs; None for fewer than two."""
        return mean_interval(self.returns)

    @property
    def normalised(self) -> np.ndarray:
        """Final scores as shares of the expert's, (n,)."""
        return self.returns / URLB_EXPERT[self.task]

    @property
    def share(self) -> float | None:
        """Mean of `normalised`; None without a score or for a task that has no expert's."""
        known = len(self.returns) and self.task in URLB_EXPERT
        return float(self.normalised.mean()) if known else None


@dataclass(frozen=True)
class Standing:
    """A method over the tasks of a group that it has scores for."""

    method: str
    tasks: tuple[str, ...]
    lacking: tuple[str, ...]
    runs: int
    estimates: dict[str, Estimate]
    profile: np.ndarray
    """Share of runs above each threshold, its lower and upper end, (3, thresholds)."""


@dataclass(frozen=True)
class Group:
    """All methods over the tasks of one domain, or over all tasks."""

    name: str
    tasks: tuple[str, ...]
    standings: dict[str, Standing]
    improvement: dict[tuple[str, str], Estimate]
    """Probability that the first scores more than the second, over the tasks of both."""
    thresholds: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """Everything that the final scores of some runs tell."""

    tasks: list[str]
    methods: list[str]
    domains: dict[str, str]
    """Domain by task."""
    cells: dict[tuple[str, str], Cell]
    groups: list[Group]
    """Of tasks with an expert's score: all of them first, if there are several domains."""

    def tasks_of(self, domain: str) -> list[str]:
        """The tasks of a domain, in order."""
        return [task for task in self.tasks if self.domains[task] == domain]

    @property
    def domain_names(self) -> list[str]:
        """Domains in order."""
        return sorted_domains(self.tasks, self.domains)


def compare(runs: Sequence[Run]) -> Comparison:
    """Put runs with final scores, and those that should have one, beside one another.

    Random actions and from-scratch are always among the methods.
    """
    table: dict[tuple[str, str], list[Run]] = defaultdict(list)
    domains: dict[str, str] = {}
    for run in runs:
        if run.compares:
            table[run.task, run.method].append(run)
            domains.setdefault(run.task, run.domain)
    found = {method for _, method in table}
    lacking = {name for name in CONTROLS if not any(base_of(m) == name for m in found)}
    tasks = sorted(domains, key=task_key)
    methods = sorted(found | lacking if tasks else (), key=method_key)
    learned = [run for own in table.values() for run in own if run.method != RANDOM]
    seeds = sorted({run.seed for run in learned if run.seed is not None})
    cells = {
        (task, method): _cell(task, method, table[task, method], seeds)
        for task in tasks
        for method in methods
    }
    return Comparison(tasks, methods, domains, cells, _groups(tasks, methods, domains, cells))


def _cell(task: str, method: str, runs: Sequence[Run], seeds: Collection[int]) -> Cell:
    ordered = tuple(sorted(runs, key=lambda run: (run.seed is None, run.seed or 0)))
    missing = [_missing(run) for run in ordered if run.final is None]
    if method == RANDOM:
        missing += [] if ordered else ["not evaluated (choreo evaluate RUN --policy random)"]
    elif not ordered:
        missing.append("no run")
    else:
        here = {run.seed for run in ordered}
        missing += [f"seed {seed}: no run" for seed in seeds if seed not in here]
    return Cell(task, method, ordered, tuple(missing))


def _missing(run: Run) -> str:
    who = "" if run.seed is None else f"seed {run.seed}: "
    return f"{who}{run.reason or 'never evaluated'}"


def _groups(
    tasks: Sequence[str],
    methods: Sequence[str],
    domains: Mapping[str, str],
    cells: Mapping[tuple[str, str], Cell],
) -> list[Group]:
    known = [task for task in tasks if task in URLB_EXPERT]
    names = sorted_domains(known, domains)
    by_domain = {name: [task for task in known if domains[task] == name] for name in names}
    named = {"all tasks": known, **by_domain} if len(names) > 1 else by_domain
    return [_group(name, own, methods, cells) for name, own in named.items()]


def _group(
    name: str,
    tasks: Sequence[str],
    methods: Sequence[str],
    cells: Mapping[tuple[str, str], Cell],
) -> Group:
    scores = {
        method: {
            task: cells[task, method].normalised
            for task in tasks
            if len(cells[task, method].returns)
        }
        for method in methods
    }
    present = {method: own for method, own in scores.items() if own}
    best = max((x.max() for own in present.values() for x in own.values()), default=1.0)
    thresholds = np.linspace(0, max(1.0, float(best)), 101)
    standings = {m: _standing(m, own, tasks, thresholds) for m, own in present.items()}
    pairs = {}
    for one, other in permutations(present, 2):
        common = [task for task in present[one] if task in present[other]]
        if common:
            ours, theirs = ([present[m][task] for task in common] for m in (one, other))
            pairs[one, other] = estimate_improvement(ours, theirs, SEED)
    return Group(name, tuple(tasks), standings, pairs, thresholds)


def _standing(
    method: str, scores: Mapping[str, np.ndarray], tasks: Sequence[str], thresholds: np.ndarray
) -> Standing:
    own = list(scores.values())
    ends = percentile_interval(profile(resample(own, SEED, 2000), thresholds))
    return Standing(
        method,
        tuple(scores),
        tuple(task for task in tasks if task not in scores),
        sum(map(len, own)),
        estimate(own, SEED),
        np.concatenate([profile(own, thresholds)[None], ends]),
    )
