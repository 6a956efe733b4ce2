"""Measurements in processes of their own, which may be told to begin at the same moment."""

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from choreo.errors import ChoreoError

Wait = Callable[[], None]
"""Says that everything is ready, and returns when every other process has said so too."""


def together(measure: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Call `measure(wait, *each)` in a fresh process for each entry of `arguments`, all at once.

    `measure` is a function of a module and calls `wait` once, when all that is to be measured can
    begin. Returns what the calls returned, in order. Raises what one of them raised, and
    ChoreoError where a process ended without a word.
    """
    context = multiprocessing.get_context("spawn")  # a process with threads must not be forked
    pipes = [context.Pipe() for _ in arguments]
    workers = [
        context.Process(target=_run, args=(far, measure, entry), daemon=True)
        for (_, far), entry in zip(pipes, arguments)
    ]
    started = []
    try:
        for worker, (_, far) in zip(workers, pipes):
            worker.start()
            started.append(worker)
            far.close()  # the worker's own end is then the only one, and closes with it
        ends = [near for near, _ in pipes]
        _listen(ends, workers)
        for end in ends:
            end.send("begin")
        return _listen(ends, workers)
    finally:
        for worker in started:
            worker.terminate()
            worker.join()


def _listen(ends: Sequence[Connection], workers: Sequence[Any]) -> list[Any]:
    """One message of every process."""
    return [_hear(end, worker, len(workers)) for end, worker in zip(ends, workers)]


def _hear(end: Connection, worker: Any, count: int) -> Any:
    try:
        found = end.recv()
    except EOFError:
        worker.join()
        raise ChoreoError(
            f"one of {count} processes ended with exit code {worker.exitcode} before it had "
            "measured anything; -9 is most often a lack of memory. Measure fewer at once, or "
            "something smaller"
        ) from None
    if isinstance(found, Exception):
        raise found
    return found


def _run(end: Connection, measure: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """What a process does."""

    def wait() -> None:
        end.send("ready")
        end.recv()

    try:
        end.send(measure(wait, *arguments))
    except ChoreoError as error:
        end.send(error)
    except Exception as error:
        end.send(ChoreoError(f"{type(error).__name__}: {error}"))
