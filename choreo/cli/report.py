"""`choreo report`: many runs on one page."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from choreo.errors import UsageError
from choreo.evaluation.aggregates import MEASURES
from choreo.evaluation.runs import check_pool
from choreo.evaluation.runs.labels import title
from choreo.report.runs import RunsReport, runs_report, write_runs_report

SECONDS = 30.0  # between two renewals of a page that is watched [ours]


@dataclass(frozen=True)
class ReportOptions:
    """Many runs on one page: report.html, report.md, and runs.csv with a row per run."""

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders, sweeps, or folders that hold them."""
    out: Path | None = None
    """Folder of the files; None is report/ in the folder, or here where several are given."""
    curve: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Logged metric to draw, such as skills/return; may be given several times. None given is the
    return of evaluations in training."""
    pool: str = ""
    """Aspects in which runs may differ, with commas: budget, action_repeat, preset, observations,
    evaluation, time_limit, versions, commit, options (any other), repeats (a seed that is there
    twice)."""
    against: str | None = None
    """Published numbers to put beside: a CSV file with method, task, return, source; or
    `published` for those that come with the package."""
    watch: float | None = None
    """Make the page anew every so many seconds (30 if no number follows), until all runs are at
    their end or Ctrl-C."""
    json: bool = False
    """Print JSON instead of a table."""

    def read(self) -> RunsReport:
        """The report as the folders are now."""
        return runs_report(self.folders, check_pool(self.pool), self.curve, self.against)

    @property
    def place(self) -> Path:
        """Folder of the files."""
        if self.out is not None:
            return self.out
        return self.folders[0] / "report" if len(self.folders) == 1 else Path("report")


def report(arguments: list[str]) -> None:
    """`choreo report FOLDER...`."""
    options = tyro.cli(ReportOptions, args=_with_seconds(arguments), prog="choreo report")
    if not options.folders:
        raise UsageError("name at least one folder: a run, a sweep, or one that holds runs")
    if options.watch is not None:
        _watch(options, options.watch)
        return
    found = options.read()
    _tell(found, write_runs_report(found, options.place), options.json)


def _with_seconds(arguments: list[str]) -> list[str]:
    """The arguments with the usual seconds after a `--watch` that no number follows."""
    found = []
    for argument, after in zip(arguments, [*arguments[1:], ""]):
        found.append(argument)
        if argument == "--watch" and not after.replace(".", "", 1).isdigit():
            found.append(str(SECONDS))
    return found


def _watch(options: ReportOptions, seconds: float) -> None:
    """Renew the files until no run goes on any more, or until Ctrl-C."""
    if seconds < 1:
        raise UsageError(f"--watch {seconds:g}: wanted is at least 1 second")
    found, files = options.read(), []
    try:
        while True:
            files = write_runs_report(found, options.place, seconds if found.open else None)
            done = len(found.runs) - len(found.open)
            page = f", {files[0]}"
            line = f"{time.strftime('%H:%M:%S')} {done} of {len(found.runs)} runs ended{page}"
            print(line, file=sys.stderr, flush=True)
            if found.runs and not found.open:
                break
            time.sleep(seconds)
            found = options.read()
    except KeyboardInterrupt:
        print("stopped watching; the runs go on", file=sys.stderr)
        files = write_runs_report(found, options.place)
    _tell(found, files, options.json)


def _tell(found: RunsReport, files: list[Path], as_json: bool) -> None:
    if as_json:
        print(json.dumps({**found.to_json(), "files": [str(path) for path in files]}))
        return
    console = Console(file=sys.stdout)
    for group in found.comparison.groups[:1]:
        table = Table("method", "tasks", "runs", *MEASURES, title=f"Share of expert, {group.name}")
        for method in found.comparison.methods:
            standing = group.standings.get(method)
            texts = ["missing"] * len(MEASURES)
            if standing is not None:
                texts = [f"{entry.value:.2f}" for entry in standing.estimates.values()]
            tasks = 0 if standing is None else len(standing.tasks)
            runs = 0 if standing is None else standing.runs
            table.add_row(
                escape(title(method)), f"{tasks} of {len(group.tasks)}", str(runs), *texts
            )
        console.print(table)
    missing = sum(bool(cell.missing) for cell in found.comparison.cells.values())
    if missing:
        print(f"{missing} combinations of task and method lack runs; the page lists them")
    print("\n".join(map(str, files)))
