"""A limit on calls into a graphics driver, which nothing but the end of the process can stop."""

import contextlib
import faulthandler
import os
import threading
from collections.abc import Iterator

# s; a driver that hangs inside a call which holds Python's lock is ended so much later, by a
# thread that needs no lock and can only print where the program stands.
GRACE = 5.0
_STDERR = 2


@contextlib.contextmanager
def limited(seconds: float, sentence: str) -> Iterator[None]:
    """End this process with exit code 1 and `sentence` unless the block ends within `seconds`."""
    timer = threading.Timer(seconds, _end, (sentence,))
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=_STDERR)
    try:
        yield
    finally:
        timer.cancel()
        faulthandler.cancel_dump_traceback_later()


def _end(sentence: str) -> None:
    os.write(_STDERR, f"error: {sentence}\n".encode())
    os._exit(1)
