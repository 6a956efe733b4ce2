"""Sections beside the returns: curves, skills, what is missing, and what runs were made with."""

from collections.abc import Iterable, Mapping, Sequence

from choreo.evaluation.runs import Band, Comparison, Run
from choreo.evaluation.runs.health import CONTROLS, Figure
from choreo.evaluation.runs.labels import method_key, title
from choreo.evaluation.runs.origins import UNKNOWN, made_with, settings, times
from choreo.report.runs.scores import colours_of
from choreo.report.runs.words import clock, count, number, percent, span
from choreo.viz import Panels, Section, Table, Verdict
from choreo.viz.charts import Trace, lines


def curve_section(
    metric: str, bands: Mapping[str, Mapping[str, Band]], methods: Sequence[str], counted: str
) -> Section:
    """A panel per task, a band per method."""
    kind, name = metric.split("/", 1)
    known = {*methods, *(method for of_task in bands.values() for method in of_task)}
    order = sorted(known, key=method_key)
    colours = colours_of(order)
    shown = {method for of_task in bands.values() for method in of_task}
    panels = [
        lines(
            task,
            {title(m): Trace(b.counts, b.mean, b.low, b.high, b.each) for m, b in own.items()},
            colours,
            (counted, name),
        )
        for task, own in bands.items()
    ]
    logged = "evaluations in training" if kind == "evaluation" else f"lines of kind {kind}"
    text = (
        f"“{name}”, as {logged} have it. Thick: mean over seeds; thin: single seeds; shaded: 95% "
        "interval of the mean (Student's t). Runs that are not at their end are shown as far as "
        "they are, so the last part of a curve may be of fewer seeds."
    )
    legend = {title(m): colours[title(m)] for m in order if m in shown}
    return Section(
        f"Curves: {name}", text, [], [Panels(panels, f"{name} against {counted}, by task.", legend)]
    )


def health_section(name: str, figures: Sequence[Figure], text: str) -> Section:
    """Figures of trained skills beside their controls, a table per environment."""
    content = []
    for task in dict.fromkeys(figure.task for figure in figures):
        rows = [_figure_row(figure) for figure in figures if figure.task == task]
        columns = (
            "figure", "method", "n", "trained", "95% interval", *CONTROLS[:2],
            "chance or lazy guess", "runs better than all",
        )  # fmt: skip
        content.append(Table(columns, rows, "", 3, task, words=(1,)))
    return Section(name, text, [], content)


def _figure_row(figure: Figure) -> list[str]:
    show = percent if figure.percent else number
    form = "percent" if figure.percent else "return"
    return [
        figure.name,
        title(figure.method),
        str(len(figure.values)),
        show(figure.mean),
        span(figure.interval, form),
        *(show(figure.controls[name]) for name in CONTROLS),
        f"{figure.above} of {len(figure.values)}",
    ]


def missing_section(comparison: Comparison, runs: Iterable[Run]) -> Section:
    """What there should be and is not, with the reason."""
    rows = [
        [cell.task, title(cell.method), "; ".join(cell.missing)]
        for cell in comparison.cells.values()
        if cell.missing
    ]
    rows += [
        [run.task, f"{run.command} {title(run.method)}", f"{_seed(run)}{run.reason}"]
        for run in runs
        if not run.compares and run.reason
    ]
    rows += [
        [run.task, f"{run.command} {title(run.method)}", f"{_seed(run)}{'; '.join(run.pending)}"]
        for run in runs
        if run.pending
    ]
    notes = [[run.name, "; ".join(run.notes)] for run in runs if run.notes]
    content = [Table(("task", "method", "missing"), rows, words=(1, 2))] if rows else []
    if notes:
        content.append(Table(("folder", "note"), notes, title="Notes on files", words=(1,)))
    found = [] if rows else [Verdict("good", "Nothing is missing.")]
    text = "Every score and every measurement that should be there and is not, with the reason."
    return Section("What is missing", text, found, content)


def _seed(run: Run) -> str:
    return "" if run.seed is None else f"seed {run.seed}: "


def origin_section(runs: Sequence[Run]) -> Section:
    """Time, machines, commits, versions, and options that differ."""
    spent = [
        [
            entry.command,
            title(entry.method),
            str(entry.runs),
            clock(entry.seconds / entry.timed) if entry.timed else UNKNOWN,
            clock(entry.seconds) if entry.timed else UNKNOWN,
            f"{entry.timed} of {count(entry.runs)}",
        ]
        for entry in times(runs)
    ]
    columns = ("command", "method", "runs", "time of a run", "time of all", "recorded")
    made = [
        [name, "; ".join(f"{value} ({count(n)})" if len(values) > 1 else value
                         for value, n in values.items())]
        for name, values in made_with(runs).items()
    ]  # fmt: skip
    differ = [
        [f"{entry.command}: {entry.option}", value, who]
        for entry in settings(runs)
        for value, who in entry.values.items()
    ]
    note = "" if differ else "All runs of a command have the same options, but for seed and task."
    content = [
        Table(columns, spent, title="Wall-clock time", words=(1,)),
        Table(("", "value (runs)"), made, title="Machine, commit, versions", words=(1,)),
        Table(
            ("option", "value", "whose (runs)"),
            differ,
            note,
            title="Settings that differ",
            words=(1, 2),
        ),
    ]
    text = "As each run has recorded it; of a resumed run, its last machine and versions."
    return Section("What runs were made with", text, [], content)
