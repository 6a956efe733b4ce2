"""What a signal that asks a program to end does: an exception, or a request a loop looks at."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, an order to end (a batch system, a shut-down), and a terminal that was closed."""
INTERRUPTED = 130  # as a shell reports a program that Ctrl-C ended
TRY_AGAIN = os.EX_TEMPFAIL  # 75, on which batch systems put a job back into the queue

_FIRST = b"\nstopping after this round, with a checkpoint; once more leaves at once\n"


class Stopped(KeyboardInterrupt):
    """A signal has ended the work; the text says what is left of it."""

    def __init__(self, number: int, text: str = "stopped") -> None:
        super().__init__(text)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What the command ends with: 130 after Ctrl-C, else 75."""
        return INTERRUPTED if self.number == signal.SIGINT else TRY_AGAIN


class StopRequest:
    """While entered, the first signal is only noted in `number`, and the second raises `Stopped`.

    A third ends the process where it stands, for a loop that swallows exceptions. Outside of the
    main thread, which gets all signals, nothing is ever noted.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._asked = 0

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note signals within the block; raises `Stopped` at its end if there was one."""
        with handling(self._note):
            yield
        if self.number is not None:
            raise Stopped(self.number)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._asked += 1
        if self._asked > 2:
            os._exit(Stopped(number).exit_code)
        if self._asked == 2:
            raise Stopped(number)
        self.number = number
        with suppress(OSError):  # the terminal may be closed; `print` may not be entered twice
            os.write(2, _FIRST)


def raise_stopped(number: int, _: FrameType | None) -> None:
    """A handler of signals that ends the work by an exception, so that everything is closed."""
    raise Stopped(number)


@contextmanager
def handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Give the signals that end a program to `handler` within the block.

    Those that this process ignores (`nohup`) stay ignored; only the main thread can take signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    taken = [number for number, old in before.items() if old not in (signal.SIG_IGN, None)]
    try:
        for number in taken:
            signal.signal(number, handler)
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def leave_to_parent() -> None:
    """In a process that ends with its parent: what asks programs to end is the parent's to handle.

    It may reach a whole group of processes, and the parent still wants the step that is under way.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stay)  # programs that are started here do not inherit this


def _stay(_: int, __: FrameType | None) -> None:
    """Do nothing."""
