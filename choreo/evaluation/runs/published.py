"""Numbers that others have published, with their source; none of them is measured here."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from choreo.errors import UsageError
from choreo.evaluation.scores import URLB_EXPERT

SHIPPED = "published"
COLUMNS = ("method", "task", "return", "source")
BUDGET = ("observations", "pretraining_frames", "finetuning_frames")
"""Columns that say under which conditions; they may be left out."""


@dataclass(frozen=True)
class Published:
    """One method as somebody else reports it."""

    method: str
    conditions: str
    source: str
    returns: dict[str, float]
    """Mean return by task."""

    def normalised(self, tasks: Sequence[str]) -> np.ndarray:
        """Shares of the expert's return on those of the tasks that it has, (n,)."""
        own = [task for task in tasks if task in self.returns and task in URLB_EXPERT]
        return np.array([self.returns[task] / URLB_EXPERT[task] for task in own])


def read_published(name: str) -> list[Published]:
    """The rows of a CSV file, or those that come with the package for the name `published`.

    Raises UsageError where the file is missing or lacks a column or a number.
    """
    table: dict[tuple[str, str, str], dict[str, float]] = {}
    for number, row in enumerate(_rows(name), start=2):
        value = _number(name, number, row)
        key = (row["method"].strip(), _conditions(row), row["source"].strip())
        table.setdefault(key, {})[row["task"].strip()] = value
    return [Published(*key, returns) for key, returns in table.items()]


def _rows(name: str) -> list[dict[str, str]]:
    try:
        if name == SHIPPED:
            place = resources.files("choreo.evaluation.runs") / "published.csv"
            text = place.read_text(encoding="utf-8")
        else:
            text = Path(name).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--against {name} cannot be read ({error}); give a CSV file with the columns "
            f"{', '.join(COLUMNS)}, or `{SHIPPED}` for the rows that come with the package"
        ) from error
    reader = csv.DictReader(io.StringIO(text), restval="")
    lacking = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if lacking:
        raise UsageError(
            f"--against {name} has no column {', '.join(lacking)}; wanted are "
            f"{', '.join(COLUMNS)}, and if known {', '.join(BUDGET)}"
        )
    return list(reader)


def _number(name: str, line: int, row: dict[str, str]) -> float:
    try:
        value = float(row["return"])
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or not row["method"].strip() or not row["task"].strip():
        raise UsageError(
            f"--against {name}, line {line}: wanted a method, a task and a return; found "
            f"{row['method']!r}, {row['task']!r}, {row['return']!r}"
        )
    return value


def _conditions(row: dict[str, str]) -> str:
    """Observations and budgets in words."""
    seen, before, after = ((row.get(column) or "").strip() for column in BUDGET)
    frames = " + ".join(_thousands(text) for text in (before, after) if text)
    return ", ".join(part for part in (seen, f"{frames} frames" if frames else "") if part)


def _thousands(text: str) -> str:
    return f"{int(text):,}" if text.isdigit() else text
