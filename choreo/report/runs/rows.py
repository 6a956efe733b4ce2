"""One row of CSV per run."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from choreo.evaluation.runs import Run
from choreo.evaluation.runs.health import skill_figures

FIGURES = ("trained", "untrained", "random", "chance")


def to_csv(runs: Sequence[Run]) -> str:
    """Everything that the page tells of single runs; empty is not known or does not apply."""
    rows = [_row(run) for run in runs]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    target = io.StringIO()
    writer = csv.DictWriter(target, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue()


def _row(run: Run) -> dict[str, Any]:
    final = run.final
    low, high = (final.interval if final else None) or (None, None)
    return {
        "folder": run.name,
        "sweep": run.sweep,
        "stage": run.stage,
        "cell": run.cell,
        "command": run.command,
        "domain": run.domain,
        "task": run.task,
        "method": run.method,
        "seed": run.seed,
        "status": run.status,
        "reason": run.reason,
        "preset": run.preset,
        "observations": run.config.get("obs"),
        "action_repeat": run.action_repeat,
        "counted": run.counted,
        "budget": run.budget,
        "reached": run.reached,
        "pretrained": run.pretrained,
        "return": final.value if final else None,
        "return_low": low,
        "return_high": high,
        "episodes": final.episodes if final else None,
        "measured": final.measured if final else None,
        "measured_at": final.frames if final else None,
        "of_expert": run.normalised,
        **_skills(run),
        **{f"goals_found_{task}": data.get("mean") for task, data in run.goals.items()},
        "seconds": run.seconds,
        "processor": run.machine.get("processor"),
        "cores": run.machine.get("cores"),
        "cuda_device": run.machine.get("cuda_device"),
        "commit": run.commit,
        **{f"version_{name}": version for name, version in run.versions.items()},
        "notes": "; ".join(run.notes),
    }


def _skills(run: Run) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for figure in skill_figures([run]):
        name = figure.name.split(" (")[0].split(",")[0].replace(" ", "_")
        values = {"trained": figure.mean, **figure.controls}
        found |= {f"{name}_{key}": values[key] for key in FIGURES}
    return found
