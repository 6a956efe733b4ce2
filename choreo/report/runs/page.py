"""The report on many runs: a page, the same as Markdown, and one row of CSV per run."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from choreo import __version__
from choreo.evaluation.runs import (
    Comparison,
    Difference,
    Published,
    Run,
    check_alike,
    compare,
    curves,
    find_metric,
    known_metrics,
    named_apart,
    read_published,
    read_runs,
)
from choreo.evaluation.runs.curves import DEFAULT
from choreo.evaluation.runs.health import goal_figures, skill_figures
from choreo.evaluation.runs.labels import base_of, title
from choreo.evaluation.runs.published import SHIPPED
from choreo.evaluation.runs.run import RANDOM, SCRATCH
from choreo.evaluation.scores import URLB_EXPERT
from choreo.report.runs.others import (
    curve_section,
    health_section,
    missing_section,
    origin_section,
)
from choreo.report.runs.rows import to_csv
from choreo.report.runs.scores import group_section, published_section, task_section
from choreo.report.runs.words import count, listed
from choreo.viz import Section, Verdict, write_report
from choreo.viz.markdown import to_markdown
from choreo.viz.report import write_text

PAGE, MARKDOWN, ROWS = "report.html", "report.md", "runs.csv"
HEALTH = (
    "From skills.json of `choreo skills`: means over runs, beside the same agents before training, "
    "random actions, and what chance gives (of the model's error: that nothing changes). “Runs "
    "better than all” counts those that are better than each of their controls."
)
GOALS = (
    "From zeroshot.json of `choreo zeroshot`: the share of goals that skills find without "
    "adaptation, beside the same agents before training and random actions."
)


@dataclass(frozen=True)
class RunsReport:
    """Everything that the files are written from."""

    title: str
    runs: list[Run]
    comparison: Comparison
    pooled: list[Difference]
    metrics: tuple[str, ...]
    published: list[Published]
    against: str | None

    @property
    def open(self) -> list[Run]:
        """Runs that may still go on: neither done nor failed."""
        return [run for run in self.runs if run.status not in ("done", "failed")]

    def sections(self) -> list[Section]:
        """The page, from top to bottom."""
        comparison, runs = self.comparison, self.runs
        skills, goals = skill_figures(runs), goal_figures(runs)
        found = [self._glance()]
        found += [group_section(g, comparison, n == 0) for n, g in enumerate(comparison.groups)]
        found += [task_section(domain, comparison) for domain in comparison.domain_names]
        found += [self._curves(metric) for metric in self.metrics]
        found += [health_section("Skills beside their controls", skills, HEALTH)] if skills else []
        found += [health_section("Goals without adaptation", goals, GOALS)] if goals else []
        if self.against is not None:
            source = "the package's collection" if self.against == SHIPPED else self.against
            found.append(published_section(self.published, comparison, source))
        return [*found, missing_section(comparison, runs), origin_section(runs)]

    def _curves(self, metric: str) -> Section:
        bands = curves(self.runs, metric)
        learned = [run for run in self.runs if run.metrics]
        counted = "updates" if all(run.command == "offline" for run in learned) else "frames"
        return curve_section(metric, bands, self.comparison.methods, counted)

    def _glance(self) -> Section:
        states = Counter(run.status for run in self.runs)
        parts = [f"{states[name]} {name}" for name in states if name != "done"]
        state = f"{states['done']} of {count(len(self.runs))} are done"
        tone = "good" if not parts else "bad" if states["failed"] else "neutral"
        verdicts = [Verdict(tone, f"{', '.join([state, *parts])}.")]
        verdicts += [
            Verdict("bad", f"Counted together although they differ, as asked: {d.sentence()}.")
            for d in self.pooled
        ]
        if others := [task for task in self.comparison.tasks if task not in URLB_EXPERT]:
            text = "There is no expert's return to divide by, and so no aggregate, for"
            verdicts.append(Verdict("neutral", f"{text} {listed(others)}."))
        verdicts += [v for control in (SCRATCH, RANDOM) if (v := self._lacking(control))]
        return Section("At a glance", f"{self.final()} {self.conditions()}", verdicts)

    def _lacking(self, control: str) -> Verdict | None:
        """Where a control is missing that every comparison needs."""
        comparison = self.comparison
        own = [m for m in comparison.methods if base_of(m) == control]
        tasks = [
            task
            for task in comparison.tasks
            if not any(len(comparison.cells[task, method].returns) for method in own)
        ]
        if not tasks:
            return None
        where = "all tasks" if len(tasks) == len(comparison.tasks) else listed(tasks)
        return Verdict("bad", f"The control “{title(control)}” is missing on {where}.")

    def final(self) -> str:
        """What the score of a run is, in words."""
        scored = [run.final for run in self.runs if run.final and run.method != RANDOM]
        if not scored:
            return "No run has a final score yet."
        found = []
        for protocol in dict.fromkeys(final.protocol for final in scored):
            frames = sorted({f.frames for f in scored if f.protocol == protocol and f.frames})
            when = f", after {' or '.join(f'{n:,}' for n in frames[:3])} frames" if frames else ""
            found.append(f"{protocol}{when}")
        return (
            "The final score of a run is its mean return in evaluation.json of `choreo evaluate`, "
            "and for runs without one the last evaluation in training; only runs at their end "
            f"have one. Here: {'; '.join(found)}."
        )

    def conditions(self) -> str:
        """Budget, preset, observations and action repeat of the compared runs, in words."""
        own = [run for run in self.runs if run.compares and run.config]
        named = {
            "training": {f"{run.budget:,} {run.counted}" for run in own if run.budget},
            "pre-training": {f"{run.pretrained:,}" for run in own if run.pretrained},
            "preset": {run.preset for run in own if run.preset},
            "observations": {str(run.config["obs"]) for run in own if run.config.get("obs")},
            "action repeat": {str(run.action_repeat) for run in own if run.action_repeat},
        }
        parts = [f"{name} {' / '.join(sorted(values))}" for name, values in named.items() if values]
        text = "; ".join(parts)
        return f"{text[:1].upper()}{text[1:]}." if text else ""

    def to_json(self) -> dict[str, Any]:
        """The figures that programs read."""
        return {
            "runs": len(self.runs),
            "status": dict(Counter(run.status for run in self.runs)),
            "tasks": [
                {
                    "task": cell.task,
                    "method": cell.method,
                    "returns": cell.returns.tolist(),
                    "mean": cell.mean,
                    "interval95": cell.interval,
                    "missing": list(cell.missing),
                }
                for cell in self.comparison.cells.values()
            ],
            "aggregates": [
                {
                    "over": group.name,
                    "method": standing.method,
                    "tasks": len(standing.tasks),
                    **{
                        name: {"value": found.value, "interval95": found.interval}
                        for name, found in standing.estimates.items()
                    },
                }
                for group in self.comparison.groups
                for standing in group.standings.values()
            ],
        }


def runs_report(
    folders: Sequence[Path],
    pool: Sequence[str] = (),
    metrics: Sequence[str] = (),
    against: str | None = None,
) -> RunsReport:
    """Read and compare all runs in some folders.

    Args:
        folders: runs, sweeps, or folders that hold them.
        pool: aspects (`choreo.evaluation.runs.pooling.POOLABLE`) in which runs may differ.
        metrics: logged metrics to draw; none draws the return of evaluations, if there is any.
        against: CSV file of published numbers, or `published` for those of the package.

    Raises:
        UsageError: a folder holds no run; runs differ in what may not be counted together; a metric
            or a file does not exist.
    """
    runs, found = read_runs(folders)
    runs = named_apart(runs, pool)
    pooled = check_alike(runs, pool)
    known = known_metrics(runs)
    chosen = [find_metric(name, known) for name in metrics]
    if not chosen and DEFAULT in known:
        chosen = [DEFAULT]
    names = dict.fromkeys(str(sweep.get("name", "")) for sweep in found.sweeps.values())
    named = [name for name in names if name] or [Path(folder).name for folder in folders]
    return RunsReport(
        title=f"Report: {listed(named)}",
        runs=runs,
        comparison=compare(runs),
        pooled=pooled,
        metrics=tuple(dict.fromkeys(chosen)),
        published=[] if against is None else read_published(against),
        against=against,
    )


def write_runs_report(report: RunsReport, folder: Path, renew: float | None = None) -> list[Path]:
    """Write page, Markdown and CSV into a folder; each file is there whole or as it was before.

    An open page loads itself anew every `renew` seconds. Raises StorageError when a file cannot be
    written.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    comparison = report.comparison
    parts = [
        count(len(report.runs)),
        count(len(comparison.tasks), "task"),
        count(len(comparison.methods), "method"),
    ]
    lead = f"{', '.join(parts)}. Made on {now} by choreo {__version__}."
    footer = f"{ROWS} beside this page has a row per run; {MARKDOWN} has the same tables as text."
    sections = report.sections()
    page = write_report(folder / PAGE, report.title, lead, sections, footer, renew)
    text = to_markdown(report.title, lead, sections, footer)
    return [
        page,
        write_text(folder / MARKDOWN, text),
        write_text(folder / ROWS, to_csv(report.runs)),
    ]
