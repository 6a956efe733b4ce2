"""What a person sees of long work: how far, how fast, how long still, and where the time goes."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress
from rich.table import Column

WINDOW_SECONDS = (
    60.0  # the rate is of about the last minute, as collection and updates alternate [ours]
)
SHOWN_EVERY = 0.2  # seconds between two changes of the bar [ours]
WIDE = 120  # columns of a terminal that has room for a long bar [ours]
BETWEEN = 3  # columns that stay free beside label, bar and numbers
DISPENSABLE = ("shares", "note", "updates", "rate", "left")
"""What a narrow terminal goes without, first things first; warnings stand in the log too."""

Clock = Callable[[], float]


class Stopwatch:
    """Adds up the time spent in named parts of a loop.

    Work on a GPU is counted where the program waits for it, not where it was asked for.
    """

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._began = clock()

    @contextmanager
    def watch(self, part: str) -> Iterator[None]:
        """Count the time of a `with` block as `part`."""
        began = self._clock()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + self._clock() - began

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began

    def shares(self) -> dict[str, float]:
        """Share of all time since the start that each part took, and "other" for the rest."""
        total = max(self.elapsed(), 1e-9)
        shares = {part: seconds / total for part, seconds in self.seconds.items()}
        return shares | {"other": max(0.0, 1.0 - sum(shares.values()))}


class Progress:
    """A bar with frames, updates, rate, time left and the split of time; lines without a terminal.

    Args:
        total: frames (or whatever `unit` says) at the end.
        start: frames already done, when a run is resumed.
        stopwatch: whose shares to show, or None.
        label: what stands before the bar.
        unit: the name of what is counted.
        every: seconds between two lines where there is no terminal.
        console: where to show; standard error when None.
        clock: seconds, for tests.
        quiet: show nothing at all.
    """

    def __init__(
        self,
        total: int,
        start: int = 0,
        stopwatch: Stopwatch | None = None,
        label: str = "",
        unit: str = "frames",
        every: float = 30.0,
        console: Console | None = None,
        clock: Clock = time.monotonic,
        quiet: bool = False,
    ) -> None:
        self.total = total
        self.label = label
        self.unit = unit
        self._stopwatch = stopwatch
        self._console = console or _Console(stderr=True, quiet=quiet)
        self._clock = clock
        self._done = start
        self._updates: int | None = None
        self._points = deque([(clock(), start)])
        self._interval = SHOWN_EVERY if self._console.is_terminal else every
        self._shown = clock()
        self.note = ""
        """A warning to show behind the numbers."""
        self._bar = self._start_bar() if self._console.is_terminal else None

    def update(self, done: int, updates: int | None = None) -> None:
        """Tell how many frames and updates are done; cheap enough for every step.

        Without `updates` they are not spoken of. What went before the first one tells nothing of
        the time that is left.
        """
        now = self._clock()
        if self._updates == 0 and updates:
            self._points = deque([(now, done)])
        self._done, self._updates = done, updates
        if now - self._shown >= self._interval:
            self._show(now)

    def rate(self) -> float:
        """Frames per second over about the last minute."""
        (before, first), now = self._points[0], self._clock()
        return (self._done - first) / max(now - before, 1e-9)

    def seconds_left(self) -> float | None:
        """Seconds to the end at the present rate, None while there is no rate or no update yet."""
        rate = self.rate()
        return (self.total - self._done) / rate if rate > 0 and self._updates != 0 else None

    def text(self, width: int | None = None) -> str:
        """The numbers, as one line; of those that `width` has no room for the least needed go."""
        parts = {"count": f"{self._done:,}/{self.total:,} {self.unit}"}
        if self._updates is not None:
            parts["updates"] = f"{self._updates:,} updates"
        parts["rate"] = f"{self.rate():,.1f} {self.unit}/s"
        parts["left"] = f"{_clock_text(self.seconds_left())} left"
        if self._stopwatch is not None:
            shares = self._stopwatch.shares().items()
            parts["shares"] = " ".join(f"{part} {share:.0%}" for part, share in shares)
        if self.note:
            parts["note"] = f"warning: {self.note}"
        for name in DISPENSABLE if width is not None else ():
            if len(", ".join(parts.values())) > (width or 0):
                parts.pop(name, None)
        return ", ".join(parts.values())

    def close(self) -> None:
        """Show the last state, if there is one, and leave the terminal as it was."""
        if self.total or self._done:
            self._show(self._clock())
        if self._bar is not None:
            with suppress(OSError):
                self._bar.stop()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _start_bar(self) -> RichProgress:
        whole = Column(no_wrap=True, overflow="ellipsis")  # one line, however narrow
        columns = (
            TextColumn("{task.description}", table_column=whole),
            BarColumn(self._bar_width()),
            TextColumn("{task.fields[numbers]}", table_column=copy(whole)),
        )
        bar = RichProgress(*columns, console=self._console, auto_refresh=False)
        bar.add_task(self.label, total=self.total, completed=self._done, numbers="")
        with suppress(OSError):
            bar.start()
        return bar

    def _show(self, now: float) -> None:
        """Show how far it is; where nothing can be shown, the work goes on all the same."""
        with suppress(OSError):
            self._print(now)

    def _print(self, now: float) -> None:
        self._shown = now
        self._points.append((now, self._done))
        while len(self._points) > 2 and now - self._points[1][0] >= WINDOW_SECONDS:
            self._points.popleft()
        if self._bar is None:
            text = self.text()
            line = f"{self.label}: {text}" if self.label else text
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            room = self._console.width - len(self.label) - self._bar_width() - BETWEEN
            self._bar.update(
                self._bar.task_ids[0], completed=self._done, numbers=self.text(room), refresh=True
            )

    def _bar_width(self) -> int:
        return 40 if self._console.width >= WIDE else 10


class _Console(Console):
    """A console that does not end the program where nobody reads what it shows."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


Tell = Callable[[str, int, int], None]
"""Told what is being done, and how many steps of how many are done."""


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


class Stages:
    """Progress of work in several stages, with a bar or lines for one after another.

    >>> with Stages() as tell:
    ...     tell("filming", 1, 16)
    """

    def __init__(self, console: Console | None = None, unit: str = "steps") -> None:
        self._console, self._unit = console or Console(stderr=True), unit
        self._stage, self._progress = "", None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Tell how far a stage is; a new name ends the one before."""
        if stage != self._stage:
            self.close()
            self._stage = stage
            self._progress = self._begin(stage, total)
        assert self._progress is not None
        self._progress.update(done)

    def close(self) -> None:
        """Show where the last stage ended."""
        if self._progress is not None:
            self._progress.close()
            self._progress, self._stage = None, ""

    def __enter__(self) -> "Stages":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _begin(self, stage: str, total: int) -> Progress:
        return Progress(total, label=stage, unit=self._unit, every=10.0, console=self._console)


def _clock_text(seconds: float | None) -> str:
    """Seconds as h:mm:ss, "?" when unknown."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
