"""skills.json: what is known of every skill of an exported policy."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from choreo.errors import UsageError
from choreo.export.contract import Source

HEALTH = ("hit_rate", "predictability", "coverage")
HOLD = "hold"
CONTROLS = ("untrained", "random")
NOT_MEASURED = (
    "not measured: there is no skill report of this checkpoint. `choreo skills RUN` measures it; "
    "then export again"
)


def skills_file(
    source: Source,
    skills: int,
    report: Mapping[str, Any] | None,
    why_not: str = NOT_MEASURED,
    thumbnails: Sequence[str] | str = "not drawn",
) -> dict[str, Any]:
    """Figures of every skill beside those of the controls, from the figures of a skill report.

    Without a report `why_not` stands in their place. `thumbnails` are the names of pictures, one
    for each skill, or why there are none.
    """
    drawn = not isinstance(thumbnails, str)
    rows = [
        {
            "skill": k,
            **_figures(report, "trained", k),
            "thumbnail": thumbnails[k] if drawn else None,
        }
        for k in range(skills)
    ]
    return {
        "checkpoint": asdict(source),
        "measured": report is not None,
        "how": why_not if report is None else report["settings"],
        "means": {name: _means(report, name, skills) for name in ("trained", *CONTROLS)},
        "thumbnails": "one picture of every skill" if drawn else thumbnails,
        "units": UNITS,
        "skills": rows,
    }


UNITS = {
    "hit_rate": "share of steps at the skill's own code",
    "predictability": "share of observations by which a classifier names the skill",
    "coverage": "cells of a grid that the skill passes through",
    "hold": "steps in a row at the skill's own code, the longest of an episode, mean of episodes",
    "at_action_limits": "share of steps with an action value within 1% of a limit",
    "action_rate": "mean change of an action value from step to step, share of its range",
    "early_ends": "episodes ended before the time limit, per 1,000 steps",
    "falls": "share of episodes in which the height sank below half of that at the start",
    "at_joint_limits": "mean share of limited joints within 1% of a limit",
}


def check_report(report: Mapping[str, Any], weights: str | None, source: Source, name: str) -> None:
    """Raise UsageError unless the figures are of the checkpoint with this hash of its weights.

    Of a pack it is the hash of the run's checkpoint, which reports of the pack name as well.
    """
    about = report.get("about")
    found = about.get("weights_sha256") if isinstance(about, dict) else None
    if found is None or found != weights:
        told = (
            "does not say of which weights it is" if found is None else "is of another checkpoint"
        )
        raise UsageError(
            f"{name} {told}; {source.checkpoint} is to be exported. Measure that with "
            "`choreo skills`, then export again"
        )


def _figures(report: Mapping[str, Any] | None, condition: str, skill: int) -> dict[str, Any]:
    if report is None:
        return {"health": None, "hold": None, "safety": None}
    health = {name: _one(report.get(name), condition, skill) for name in HEALTH}
    safety = {name: _one(value, condition, skill) for name, value in report["safety"].items()}
    return {"health": health, "hold": _one(report.get(HOLD), condition, skill), "safety": safety}


def _one(figure: Mapping[str, Any] | None, condition: str, skill: int) -> Any:
    """One skill's value of a figure; None where it is not known."""
    values = ((figure or {}).get("per_skill") or {}).get(condition) or []
    return values[skill] if skill < len(values) else None


def _means(report: Mapping[str, Any] | None, condition: str, skills: int) -> dict[str, Any] | None:
    """Means over the skills, by figure."""
    if report is None:
        return None
    rows = [_figures(report, condition, k) for k in range(skills)]
    flat = [{**row["health"], HOLD: row["hold"], **row["safety"]} for row in rows]
    known = {name: [row[name] for row in flat if row[name] is not None] for name in flat[0]}
    return {name: sum(values) / len(values) if values else None for name, values in known.items()}
