"""One row for every skill: what it does, and how it treats the body."""

from collections.abc import Sequence

import numpy as np

from choreo.evaluation.conditions import CONDITIONS
from choreo.evaluation.health import SkillReport
from choreo.report.film_section import anchor
from choreo.report.verdicts import percent
from choreo.viz import Section, Table

COLUMNS = (
    "skill", "hit rate", "named right", "cells", "return", "at action limits", "action rate",
    "early ends", "falls", "at joint limits",
)  # fmt: skip
TOTALS = {"trained": "mean", "untrained": "untrained", "random": "random"}
NOTE = (
    "Return: mean sum of the environment's own rewards in an episode of this report. At action "
    "limits: share of steps with an action value within 1% of a limit. Action rate: mean change of "
    "an action value from step to step, as a share of its range. Early ends: episodes ended by the "
    "environment before its time limit, per 1,000 steps. Falls: episodes in which the height "
    "sank below half of that at the start. At joint limits: mean share of the limited joints "
    "within 1% of a limit. A dash: not known in this environment. What is safe, the body decides: "
    "these figures are not judged."
)
TEXT = (
    "A click on a heading sorts by it. The last rows are means over all skills, of the untrained "
    "agent, and of random actions."
)


def each_skill_section(report: SkillReport, filmed: bool) -> Section:
    """The table that sorts; its rows lead to films where there are any."""
    return Section("Skill by skill", TEXT, content=[each_skill_table(report, filmed)])


def each_skill_table(report: SkillReport, filmed: bool = False) -> Table:
    """Figures of every trained skill, with means and controls below."""
    skills = range(report.settings.skills)
    rows = [_row(str(k), _figures(report, "trained", k)) for k in skills]
    totals = [_row(title, _means(report, name)) for name, title in TOTALS.items()]
    links = [anchor(f"skill {k}") for k in skills] if filmed else []
    return Table(COLUMNS, rows, NOTE, sortable=True, totals=totals, links=links)


Figures = Sequence[float | None]
"""Values in the order of the columns, from the second on."""


def _figures(report: SkillReport, condition: str, skill: int) -> list[float | None]:
    own = [e for e in report.episodes[condition] if e.skill == skill]
    hits = None if report.hit_rate[condition] is None else report.hits[condition][skill, skill]
    return [
        None if hits is None else float(hits),
        report.predictability[condition].per_skill[skill],
        report.coverage.per_skill[condition][skill],
        float(np.mean([episode.return_ for episode in own])),
        *(values[condition][skill] for values in report.safety.per_skill.values()),
    ]


def _means(report: SkillReport, condition: str) -> list[float | None]:
    assert condition in CONDITIONS
    columns = zip(*(_figures(report, condition, k) for k in range(report.settings.skills)))
    known = [[value for value in column if value is not None] for column in columns]
    return [float(np.mean(values)) if values else None for values in known]


def _row(name: str, values: Figures) -> list[str]:
    hit, named, cells, returned, limits, rate, ends, falls, joints = values
    return [
        name,
        *(percent(value, "-") for value in (hit, named)),
        _number(cells, "{:,.0f}"),
        _number(returned, "{:,.1f}"),
        *(percent(value, "-") for value in (limits, rate)),
        _number(ends, "{:.1f}"),
        *(percent(value, "-") for value in (falls, joints)),
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
