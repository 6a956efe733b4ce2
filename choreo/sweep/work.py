"""One cell from lock to result: the function that every runner calls."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

from choreo.errors import StorageError
from choreo.record.files import writing
from choreo.sweep.cells import PLACE, Cell
from choreo.sweep.folder import CELL, DONE, FAILED, LOG, fail, write_json
from choreo.sweep.lock import Lock, acquire

TICK = 0.5  # seconds between two looks at whether to stop [ours]
GRACE = 300.0  # seconds that a command may take to save [ours]
STOPPED, INTERRUPTED = 75, 130  # exit codes of a command that was told to stop and has saved
BEGUN, ENDED = "# attempt", "# ended after"
ENDINGS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals by which someone else ends a process; the run is resumed and has not failed."""

Kind = Literal["done", "failed", "stopped", "killed", "busy"]
Stop = Callable[[], Literal["", "save", "kill"]]


@dataclass(frozen=True)
class Outcome:
    """How an attempt at a cell ended.

    busy: another process has it; killed: someone else's signal ended the command.
    """

    kind: Kind
    reason: str = ""


def run_cell(
    root: Path, cell: Cell, environment: Mapping[str, str], stop: Stop = lambda: ""
) -> Outcome:
    """Do a cell, or go on with it, unless it is done or another process has it.

    The command runs in a process group of its own that ends with this process. `environment` is
    added to that of this process; `stop` is asked now and then and answers "save" or "kill". A
    KeyboardInterrupt does the same as "save".

    Raises StorageError when the disk is full; the cell can be gone on with then.
    """
    folder = root / cell.name
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = acquire(folder)
    if lock is None:
        return Outcome("busy")
    try:
        if (folder / DONE).exists():
            return Outcome("done")
        return _attempt(root, cell, lock, environment, stop)
    finally:
        lock.release()


def _attempt(
    root: Path, cell: Cell, lock: Lock, environment: Mapping[str, str], stop: Stop
) -> Outcome:
    folder = root / cell.name
    write_json(folder / CELL, cell.to_json())
    with writing(folder / LOG):
        log = (folder / LOG).open("a+", errors="replace")
    with log:
        log.seek(0)
        attempts = sum(line.startswith(BEGUN) for line in log) + 1
        stamp, host = datetime.now(UTC).isoformat(timespec="seconds"), os.uname().nodename
        _note(log, f"{BEGUN} {attempts}, {stamp}, {host}")
        began, place = time.monotonic(), os.fstat(log.fileno()).st_size
        code = _run(root, cell, lock, environment, stop, log)
        _note(log, f"{ENDED} {time.monotonic() - began:.2f} s, exit code {code}")
    return _conclude(root, cell, code, attempts, place)


def _note(log: IO[str], line: str) -> None:
    with writing(Path(log.name)):
        log.write(line + "\n")
        log.flush()


def _run(
    root: Path, cell: Cell, lock: Lock, environment: Mapping[str, str], stop: Stop, log: IO[str]
) -> int:
    """The exit code of the command; what it prints is kept when it is what was asked for."""
    place = root / cell.name / PLACE.get(cell.command, LOG)
    words = cell.arguments(root)
    if place.name == LOG:
        return _child(words, lock, environment, stop, log, log)
    unfinished = place.with_name(f".{place.name}")
    with unfinished.open("w") as output:
        code = _child(words, lock, environment, stop, output, log)
        os.fsync(output.fileno())
    if code == 0:
        unfinished.replace(place)
    return code


def _child(
    words: list[str],
    lock: Lock,
    environment: Mapping[str, str],
    stop: Stop,
    output: IO[str],
    log: IO[str],
) -> int:
    launcher = str(Path(__file__).with_name("child.py"))
    command = [sys.executable, "-SP", launcher, str(os.getpid()), *words]
    child = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=log,
        process_group=0,  # Ctrl-C in a terminal reaches the sweep alone, which sees to its cells
    )
    try:
        _wait(child, lock, stop)
    finally:
        _end(child)
    return child.returncode


def _wait(child: subprocess.Popen[bytes], lock: Lock, stop: Stop) -> None:
    """Wait for the command, keep the lock alive, and pass on what it is told."""
    ended = os.pidfd_open(child.pid)
    deadline: float | None = None
    try:
        while not select.select([ended], [], [], TICK)[0]:
            wish = stop()
            if wish == "save" and deadline is None:
                child.terminate()
                deadline = time.monotonic() + GRACE
            late = deadline is not None and time.monotonic() > deadline
            if wish == "kill" or late or not lock.beat():
                return
    except KeyboardInterrupt:
        child.terminate()
        select.select([ended], [], [], GRACE)
    finally:
        os.close(ended)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a command that still runs, and whatever it has started and left behind."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)  # before it is waited for: the number is still its own
    child.wait()


def _conclude(root: Path, cell: Cell, code: int, attempts: int, place: int) -> Outcome:
    """Write down how an attempt ended."""
    folder = root / cell.name
    text = (folder / LOG).read_bytes()
    if code == 0:
        seconds = [float(s) for s in re.findall(rb"^# ended after ([\d.]+) s", text, re.M)]
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        content = {"finished": stamp, "seconds": round(sum(seconds), 2), "attempts": attempts}
        write_json(folder / DONE, content)
        (folder / FAILED).unlink(missing_ok=True)
        return Outcome("done")
    if code in (STOPPED, INTERRUPTED):
        return Outcome("stopped")
    if -code in ENDINGS:
        return Outcome("killed", f"ended by {signal.Signals(-code).name}")
    reason = _reason(text[place:].decode(errors="replace"), code)
    if code == StorageError.exit_code:
        raise StorageError(f"{cell.name}: {reason}")
    fail(root, cell, reason, attempts)
    return Outcome("failed", reason)


def _reason(text: str, code: int) -> str:
    """What a command said last: its error, or else the last line that is not ours."""
    lines = [line.strip() for line in text.splitlines() if line.strip(" │╭╮╰╯─")]
    said = [line for line in lines if not line.startswith("#")]
    errors = [n for n, line in enumerate(said) if line.startswith("error: ")]
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    if errors:
        return " ".join(said[errors[-1] :]).removeprefix("error: ")
    return said[-1] if said else f"exit code {code}"
