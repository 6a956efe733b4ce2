"""What tests have processes do; they import it by name."""

import os
import time

from choreo.bench.processes import Wait
from choreo.errors import UsageError


def moments(wait: Wait, number: int) -> tuple[int, float, float]:
    """When a process was ready, a later number later than an earlier one, and when it began."""
    time.sleep(0.1 * number)
    ready = time.monotonic()
    wait()
    return number, ready, time.monotonic()


def refuses(wait: Wait, number: int) -> None:
    """The second process refuses after all have begun."""
    wait()
    if number == 1:
        raise UsageError("not like this")


def breaks(wait: Wait) -> None:
    """An error that nobody planned."""
    raise ValueError("2 is not 3")


def dies(wait: Wait) -> None:
    """Ends as if the system had ended it."""
    os._exit(7)
