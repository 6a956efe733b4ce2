"""Sections on returns: over all tasks, by domain, and beside what others have published."""

from collections.abc import Mapping, Sequence

from choreo.evaluation.aggregates import MEASURES, Estimate
from choreo.evaluation.runs import Cell, Comparison, Group, Published, Standing
from choreo.evaluation.runs.comparison import CONTROLS
from choreo.evaluation.runs.labels import base_of, title
from choreo.report.runs.words import NOTHING, count, listed, number, seeds, share, span
from choreo.viz import Panels, Section, Table, Verdict
from choreo.viz.charts import Spot, Trace, lines, method_colours, spots

MISSING = "missing"
INTERVALS = "bars: 95% stratified bootstrap intervals"


def colours_of(methods: Sequence[str]) -> dict[str, str]:
    """Colours by the methods' titles."""
    controls = [title(method) for method in methods if base_of(method) in CONTROLS]
    return method_colours([title(method) for method in methods], controls)


MEANING = (
    " IQM is the mean of the middle half of all runs; mean and median are over the tasks' means; "
    "the optimality gap is what is missing to the expert, less is better. IQM and profile count "
    "every run alike, the others every task."
)


def group_section(group: Group, comparison: Comparison, first: bool) -> Section:
    """Aggregates of expert-normalised scores over the tasks of a group; the first one explains."""
    name = f"Over {group.name}"
    text = (
        f"Scores divided by the URLB expert's return, over {count(len(group.tasks), 'task')}: "
        f"{listed(list(group.tasks), 12)}.{MEANING if first else ''}"
    )
    methods = comparison.methods
    panels = [
        *(_measure_panel(measure, group, methods) for measure in MEASURES),
        _profile_panel(group, methods),
    ]
    caption = (
        f"Vertical marks: estimates; {INTERVALS}. Profile: share of runs above a score, with "
        "pointwise 95% intervals."
    )
    content: list[Panels | Table] = [
        Panels(panels, caption, colours_of(methods)),
        _group_table(group, methods),
    ]
    content += [_improvement_table(group)] if len(group.standings) > 1 else []
    return Section(name, text, improvement_verdicts(group) if first else (), content)


def improvement_verdicts(group: Group) -> list[Verdict]:
    """Every method against from-scratch, in a sentence."""
    found = []
    for (one, other), chance in group.improvement.items():
        if base_of(one) in CONTROLS or other != "scratch":
            continue
        low, high = chance.interval or (0.0, 1.0)
        tone = "good" if low > 0.5 else "bad" if high < 0.5 else "neutral"
        apart = "" if tone != "neutral" else ": the runs do not tell them apart"
        around = f" ({span(chance.interval, 'share')})" if chance.interval else ", of single runs"
        found.append(
            Verdict(
                tone,
                f"A run of {title(one)} scores more than one from scratch with probability "
                f"{share(chance.value)}{around}{apart}.",
            )
        )
    return found


def _measure_panel(measure: str, group: Group, methods: Sequence[str]) -> str:
    rows = {}
    for method in methods:
        standing = group.standings.get(method)
        if standing is None:
            rows[title(method)] = Spot(None)
        else:
            found = standing.estimates[measure]
            rows[title(method)] = Spot(found.value, found.interval)
    limits = (-0.02, 1.02 * max(1.0, float(group.thresholds[-1])))
    return spots(measure, rows, colours_of(methods), "share of the expert's return", limits)


def _profile_panel(group: Group, methods: Sequence[str]) -> str:
    traces = {
        title(method): Trace(group.thresholds, *group.standings[method].profile)
        for method in methods
        if method in group.standings
    }
    label = ("score τ (1 = expert)", "share of runs above τ")
    return lines("Performance profile", traces, colours_of(methods), label, whole=True)


def _group_table(group: Group, methods: Sequence[str]) -> Table:
    columns = ("method", "tasks", "runs", *MEASURES)
    rows = [_standing_row(m, group.standings.get(m), len(group.tasks)) for m in methods]
    partial = [
        f"{title(method)} lacks {listed(list(standing.lacking), 12)}"
        for method, standing in group.standings.items()
        if standing.lacking
    ]
    unequal = f" Not over the same tasks as the others: {'; '.join(partial)}." if partial else ""
    note = f"In brackets: 95% stratified bootstrap interval over runs, tasks fixed.{unequal}"
    quiet = [n for n, row in enumerate(rows) if row[3] == MISSING]
    return Table(columns, rows, note, 3, "Aggregates", quiet)


def _standing_row(method: str, standing: Standing | None, tasks: int) -> list[str]:
    if standing is None:
        return [title(method), f"0 of {tasks}", "0", *[MISSING] * len(MEASURES)]
    cells = [_estimate(standing.estimates[measure]) for measure in MEASURES]
    whole = (
        f"{len(standing.tasks)}" if not standing.lacking else f"{len(standing.tasks)} of {tasks}"
    )
    return [title(method), whole, str(standing.runs), *cells]


def _estimate(found: Estimate) -> str:
    around = "" if found.interval is None else f" ({span(found.interval, 'share')})"
    return f"{share(found.value)}{around}"


def _improvement_table(group: Group) -> Table:
    names = list(group.standings)
    rows = [[title(one), *(_chance(group, one, other) for other in names)] for one in names]
    note = (
        "How probable it is that a run of the row's method scores more than one of the column's, "
        "on the tasks that both have; ties count half."
    )
    columns = ("row over column", *map(title, names))
    return Table(columns, rows, note, title="Probability of improvement")


def _chance(group: Group, one: str, other: str) -> str:
    found = group.improvement.get((one, other))
    return NOTHING if found is None else _estimate(found)


def task_section(domain: str, comparison: Comparison) -> Section:
    """Every task of a domain: all methods, all seeds."""
    tasks = comparison.tasks_of(domain)
    panels = [_task_panel(task, comparison) for task in tasks]
    tables = [_task_table(task, comparison) for task in tasks]
    caption = (
        "Every point is the final score of one seed; vertical marks: means; bars: 95% intervals of "
        "the mean (Student's t)."
    )
    legend = colours_of(comparison.methods)
    text = f"Final returns of every method on {count(len(tasks), 'task')}."
    return Section(f"Tasks: {domain}", text, [], [Panels(panels, caption, legend), *tables])


def _task_panel(task: str, comparison: Comparison) -> str:
    rows = {}
    for method in comparison.methods:
        cell = comparison.cells[task, method]
        rows[title(method)] = Spot(cell.mean, cell.interval, cell.returns.tolist())
    return spots(task, rows, colours_of(comparison.methods), "return")


def _task_table(task: str, comparison: Comparison) -> Table:
    columns = ("method", "n", "mean return", "95% interval", "of expert", "each seed")
    rows = [_cell_row(comparison.cells[task, method]) for method in comparison.methods]
    quiet = [n for n, row in enumerate(rows) if row[2] == MISSING]
    return Table(columns, rows, "", 2, task, quiet)


def _cell_row(cell: Cell) -> list[str]:
    n = len(cell.returns)
    of_all = f"{n} of {n + len(cell.missing)}" if cell.missing and cell.runs else str(n)
    if cell.mean is None:
        return [title(cell.method), of_all, MISSING, NOTHING, NOTHING, NOTHING]
    return [
        title(cell.method),
        of_all,
        number(cell.mean),
        span(cell.interval),
        share(cell.share),
        seeds(cell.scored),
    ]


def published_section(
    published: Sequence[Published], comparison: Comparison, source: str
) -> Section:
    """What others report, beside ours, by domain."""
    sources = {text: n for n, text in enumerate(dict.fromkeys(p.source for p in published), 1)}
    tables = [
        _published_table(domain, published, comparison, sources)
        for domain in comparison.domain_names
    ]
    listing = Table(
        ("", "source", "conditions as published"),
        [[f"[{n}]", text, _conditions(text, published)] for text, n in sources.items()],
        title="Sources",
        words=(1, 2),
    )
    text = (
        f"Rows marked “not ours” come from {source}: nothing of them was measured here, and their "
        "code, budgets and evaluation may differ from those above. A cell is a mean return; the "
        "last column is the mean share of the expert's return over the tasks that the row has."
    )
    return Section("Beside published numbers", text, [], [*tables, listing])


def _conditions(source: str, published: Sequence[Published]) -> str:
    return "; ".join(dict.fromkeys(p.conditions for p in published if p.source == source))


def _published_table(
    domain: str,
    published: Sequence[Published],
    comparison: Comparison,
    sources: Mapping[str, int],
) -> Table:
    tasks = comparison.tasks_of(domain)
    own = [_own_row(method, tasks, comparison) for method in comparison.methods]
    theirs = [
        [
            f"{row.method}, not ours [{sources[row.source]}]",
            *(number(row.returns.get(task)) for task in tasks),
            _mean_share(row.normalised(tasks).tolist(), len(tasks)),
        ]
        for row in published
        if any(task in row.returns for task in tasks)
    ]
    columns = ("method", *(task.removeprefix(f"{domain}_") for task in tasks), "of expert")
    quiet = range(len(own), len(own) + len(theirs))
    return Table(columns, [*own, *theirs], "", len(columns) - 1, domain, quiet)


def _own_row(method: str, tasks: Sequence[str], comparison: Comparison) -> list[str]:
    cells = [comparison.cells[task, method] for task in tasks]
    shares = [cell.share for cell in cells if cell.share is not None]
    texts = [number(cell.mean) if cell.mean is not None else MISSING for cell in cells]
    return [title(method), *texts, _mean_share(shares, len(tasks))]


def _mean_share(shares: Sequence[float], tasks: int) -> str:
    if not shares:
        return NOTHING
    part = "" if len(shares) == tasks else f" ({len(shares)} of {tasks} tasks)"
    return f"{share(sum(shares) / len(shares))}{part}"
