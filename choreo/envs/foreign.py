"""Code of environments, which is not ours: its errors become sentences, its prints go to stderr."""

import dis
import logging
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from types import CodeType, TracebackType
from typing import Any, Self

from choreo.errors import ChoreoError, EnvironmentFailed

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Foreign:
    """A `with` block around code of the environment `id`; call it with what is being done there.

    What the code raises becomes `EnvironmentFailed`, an interrupt of its own included; errors of
    this package and the user's signals pass. What it prints goes to stderr, as results are printed
    to stdout.
    """

    def __init__(self, id: str) -> None:
        self._id = id
        self._doing: str | int = ""
        self._stdout: Any = None

    def __call__(self, doing: str | int) -> Self:
        """Say what comes, such as "on reset", or the number of the step."""
        self._doing = doing
        return self

    def __enter__(self) -> None:
        self._stdout, sys.stdout = sys.stdout, sys.stderr

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.stdout = self._stdout
        if error is not None and _is_its_own(error):
            raise self._failure(error) from error

    def _failure(self, error: BaseException) -> EnvironmentFailed:
        doing = f"in step {self._doing}" if isinstance(self._doing, int) else self._doing
        last = " ".join("".join(traceback.format_exception_only(error)).split()).rstrip(".")
        found = f"the environment {self._id} failed {doing}: {last}"
        return EnvironmentFailed(f"{found}. {_keep(error)}")


def close(foreign: Foreign, closing: Callable[[], None]) -> None:
    """Close an environment; one that fails in that only warns, as its work is done."""
    try:
        with foreign("when it was closed"):
            closing()
    except EnvironmentFailed as error:
        logging.getLogger("choreo").warning("%s", error)


def _keep(error: BaseException) -> str:
    """Write the traceback to a file; a sentence says where it is."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="choreo-", suffix="-traceback.txt", delete=False, encoding="utf-8"
        ) as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError as full:
        return f"Its traceback could not be written ({full.strerror})."
    return f"Its traceback is in {file.name}"


def _is_its_own(error: BaseException) -> bool:
    """Whether the environment's code failed, and not this package, and no signal came."""
    if isinstance(error, Exception):
        return not isinstance(error, ChoreoError)
    frames = list(traceback.walk_tb(error.__traceback__))
    handlers = [_code(signal.getsignal(number)) for number in _STOPPING]
    if any(frame.f_code in handlers for frame, _ in frames):
        return False
    if isinstance(error, KeyboardInterrupt):
        return error.__traceback__ is not None and _raises(error.__traceback__)
    return isinstance(error, SystemExit)


def _code(handler: Any) -> CodeType | None:
    """The code of a signal's handler where it is written in Python."""
    return getattr(getattr(handler, "__func__", handler), "__code__", None)


def _raises(trace: TracebackType) -> bool:
    """Whether the innermost frame stands at a `raise`, where Python's own Ctrl-C leaves none."""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
