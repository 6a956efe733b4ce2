"""What skill reports and tests of goals found over the seeds of a method, beside controls."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from choreo.evaluation.runs.labels import method_key, task_key
from choreo.evaluation.runs.run import Run
from choreo.evaluation.scores import Interval, mean_interval

CONTROLS = ("untrained", "random", "chance")
HORIZON = 15  # steps ahead at which the model's error is given, as in the skill report


@dataclass(frozen=True)
class Figure:
    """One figure over the runs of a method: single values, and the means of its controls."""

    task: str
    method: str
    name: str
    percent: bool
    values: np.ndarray
    controls: dict[str, float | None]
    above: int
    """Runs in which the trained agent is better than every control that was measured."""

    @property
    def mean(self) -> float:
        """Mean over runs."""
        return float(self.values.mean())

    @property
    def interval(self) -> Interval | None:
        """Student's t interval (95%) of the mean over runs."""
        return mean_interval(self.values)


@dataclass(frozen=True)
class _Kind:
    name: str
    path: tuple[str, ...]
    percent: bool = True
    less_is_better: bool = False


KINDS = (
    _Kind("coverage (cells)", ("coverage",), percent=False),
    _Kind("hit rate", ("hit_rate",)),
    _Kind("predictability", ("predictability",)),
    _Kind("codes in use", ("codebook", "rollouts")),
    _Kind("decoded codes", ("decoded_codes",)),
    _Kind(f"model error, {HORIZON} steps", ("model_error",), percent=False, less_is_better=True),
)


def skill_figures(runs: Iterable[Run]) -> list[Figure]:
    """Every figure of the runs' skills.json, by environment and method."""
    found = []
    for (task, method), own in _grouped(run for run in runs if run.skills is not None).items():
        for kind in KINDS:
            rows = [_row(kind, run.skills or {}) for run in own]
            rows = [row for row in rows if row["trained"] is not None]
            if rows:
                found.append(_figure(kind, task, method, rows))
    return found


def goal_figures(runs: Iterable[Run]) -> list[Figure]:
    """Share of goals found without adaptation (zeroshot.json), by environment and method."""
    kind, groups = _Kind("goals found", ()), defaultdict(list)
    for run in runs:
        for task, data in run.goals.items():
            if (row := _goals(data))["trained"] is not None:
                groups[task, run.method].append(row)
    order = sorted(groups, key=lambda key: (task_key(key[0]), method_key(key[1])))
    return [_figure(kind, task, method, groups[task, method]) for task, method in order]


def _grouped(runs: Iterable[Run]) -> dict[tuple[str, str], list[Run]]:
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (task_key(run.task), method_key(run.method))):
        groups[run.task, run.method].append(run)
    return groups


def _row(kind: _Kind, report: Mapping[str, Any]) -> dict[str, float | None]:
    """Trained agent and controls of one report."""
    part: Any = report
    for key in kind.path:
        part = part.get(key) if isinstance(part, Mapping) else None
    part = part if isinstance(part, Mapping) else {}
    if kind.path == ("model_error",):
        ahead = part.get("horizons")
        place = ahead.index(HORIZON) if isinstance(ahead, list) and HORIZON in ahead else -1
        own, fresh, still = (part.get(k) for k in ("trained", "untrained", "nothing_changes"))
        values = [_at(part, place) for part in (own, fresh, None, still)]
        return dict(zip(("trained", *CONTROLS), map(_number, values)))
    values = (part.get(name) for name in ("trained", *CONTROLS))
    return dict(zip(("trained", *CONTROLS), map(_used, values)))


def _at(values: Any, place: int) -> Any:
    return values[place] if isinstance(values, list) and 0 <= place < len(values) else None


def _goals(data: Mapping[str, Any]) -> dict[str, float | None]:
    others = data.get("controls")
    others = others if isinstance(others, Mapping) else {}
    means = [data.get("mean"), *(_mean_of(others.get(name)) for name in CONTROLS)]
    return dict(zip(("trained", *CONTROLS), map(_number, means)))


def _mean_of(part: Any) -> Any:
    return part.get("mean") if isinstance(part, Mapping) else None


def _used(value: Any) -> float | None:
    return _number(value.get("used") if isinstance(value, Mapping) else value)


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not np.isfinite(value):
        return None
    return float(value)


def _figure(
    kind: _Kind, task: str, method: str, rows: Sequence[Mapping[str, float | None]]
) -> Figure:
    sign = -1 if kind.less_is_better else 1
    above = 0
    for row in rows:
        own, others = row["trained"], [row[name] for name in CONTROLS]
        above += all(own is not None and sign * own > sign * x for x in others if x is not None)
    means: dict[str, float | None] = {}
    for name in CONTROLS:
        values = [value for row in rows if (value := row[name]) is not None]
        means[name] = float(np.mean(values)) if values else None
    own = np.array([row["trained"] for row in rows], float)
    return Figure(task, method, kind.name, kind.percent, own, means, above)
