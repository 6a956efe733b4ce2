"""What a person sees of a sweep: a live table in a terminal, lines elsewhere, an end."""

import sys
import time
from collections import Counter

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from choreo.sweep.board import Board, Standing
from choreo.sweep.folder import LOG
from choreo.sweep.pace import Paces, Progress

SHARE = 0.05  # of the time at most goes into looking at the folder
SUMMARY = 60.0  # seconds between two lines that count cells, where there is no terminal
SHOWN = 20  # rows of running cells in the table


class View:
    """Shows how the chosen cells of a board stand."""

    def __init__(self, board: Board, console: Console | None = None) -> None:
        self._board, self._paces = board, Paces(board.root)
        self._console = console or Console(file=sys.stdout)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._before: dict[str, Standing] = {}
        self._next = self._summary = 0.0

    def __enter__(self) -> "View":
        self._before = self._board.standings()
        self._say(f"{self._board.root}: {counts(self._before)}")
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._tell(self._board.standings())
        if self._console.is_terminal:
            self._live.stop()

    def update(self) -> None:
        """Look at the folder, unless that was done a moment ago, and show what is new."""
        began = time.monotonic()
        if began < self._next:
            return
        standings = self._board.standings()
        self._tell(standings)
        if self._console.is_terminal:
            self._live.update(self._table(standings), refresh=True)
        elif began > self._summary:
            self._summary = began + SUMMARY
            self._say(counts(standings))
        ended = time.monotonic()
        self._next = ended + (ended - began) / SHARE

    def tell_end(self) -> int:
        """Say what is left and name every failure with its log; the exit code of the sweep."""
        standings = self._board.standings()
        self._say(f"{self._board.root}: {counts(standings)}")
        for name, standing in standings.items():
            if standing.kind == "failed":
                log = self._board.root / name / LOG
                self._say(f"failed: {name}: {standing.reason}\n  {log}")
        waits = Counter(s.reason for s in standings.values() if s.kind == "blocked")
        for reason, number in waits.items():
            self._say(f"{number} {'cell' if number == 1 else 'cells'} {reason}")
        return 0 if all(s.kind == "done" for s in standings.values()) else 1

    def _tell(self, standings: dict[str, Standing]) -> None:
        """A line for every cell that began, ended or failed."""
        for name, now in standings.items():
            if now.kind in ("done", "running", "failed") and now != self._before.get(name):
                self._say(f"{now.kind}: {name}{f': {now.reason}' if now.reason else ''}")
        self._before = standings

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _table(self, standings: dict[str, Standing]) -> Table:
        table = Table("running", "frames", "per s", "left", title=counts(standings))
        running = [c for c in self._board.cells if self._kind(standings, c.name) == "running"]
        for cell in running[:SHOWN]:
            table.add_row(Text(cell.name), *_numbers(self._paces.of(cell)))
        if len(running) > SHOWN:
            table.add_row(f"and {len(running) - SHOWN} more")
        return table

    def _kind(self, standings: dict[str, Standing], name: str) -> str:
        return standings[name].kind if name in standings else ""


def counts(standings: dict[str, Standing]) -> str:
    """How many cells are done, running, waiting and failed, in one line."""
    found = Counter(standing.kind for standing in standings.values())
    waiting = found["ready"] + found["waiting"]
    text = f"{found['done']} of {len(standings)} cells done, {found['running']} running, "
    text += f"{waiting} waiting, {found['failed']} failed"
    return text + (f", {found['blocked']} waiting on failed ones" if found["blocked"] else "")


def listing(board: Board) -> None:
    """Every chosen cell of a board, and what it starts from, and how they stand."""
    console, standings = Console(file=sys.stdout), board.standings()
    for name, standing in standings.items():
        kind = "missing" if standing.kind == "ready" else standing.kind
        text = f"{kind:<8} {name}{f'  ({standing.reason})' if standing.reason else ''}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    console.print(counts(standings), highlight=False)


def _numbers(progress: Progress | None) -> tuple[str, str, str]:
    if progress is None:
        return "", "", ""
    total = "" if progress.total is None else f" of {progress.total:,}"
    rate = "" if progress.rate is None else f"{progress.rate:,.0f}"
    return f"{progress.count:,}{total}", rate, _clock(progress.left)


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes = int(seconds) // 60
    return f"{minutes // 60}:{minutes % 60:02d}:{int(seconds) % 60:02d}"
