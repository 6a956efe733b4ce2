"""`python -m choreo` is the `choreo` command."""

import errno
import os
import select
import sys
from contextlib import suppress
from typing import TextIO

NOT_WRITTEN = 1
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # of a disk, or a terminal that is gone
READER_LEFT = 141  # as a shell reports a program that SIGPIPE ended


def main() -> int:
    """Run the command line and return its exit code; the program `choreo` starts here."""
    from choreo.cli import main as run_command

    _keep_results_apart()
    try:
        try:
            return run_command()
        finally:
            if sys.stdout is not None:  # `>&-` closes it
                sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        return READER_LEFT
    except OSError as error:
        if error.errno not in FULL:
            raise
        with suppress(OSError):
            place = error.filename or "the output"
            sys.stderr.write(f"error: {place} could not be written: {error.strerror}\n")
        return NOT_WRITTEN
    finally:
        _drop_if_full(sys.stdout)
        _drop_if_full(sys.stderr)


def _drop_if_full(stream: TextIO | None) -> None:
    """Drop a stream that takes no more, or Python itself would complain and choose the exit code.

    A disk that is full behind it, or a terminal that was closed, say nothing of the work done.
    """
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _keep_results_apart() -> None:
    """Leave stdout to this program: what libraries write to its descriptor goes to stderr."""
    before = sys.stdout
    if before is None:
        return
    try:
        os.fstat(2)
        own = os.dup(1)
    except OSError:  # one of them is closed
        return
    before.flush()
    os.dup2(2, 1)
    sys.stdout = open(  # noqa: PTH123, SIM115 (a descriptor, for as long as the program runs)
        own, "w", 1 if os.isatty(own) else -1, before.encoding, before.errors
    )


def _nobody_reads() -> bool:
    """Whether the reader of the output has gone, as in `choreo ... | head`; then it is dropped."""
    try:
        output = sys.stdout.fileno()
    except (AttributeError, OSError):  # there is no output, or none that the system knows
        return False
    poll = select.poll()
    poll.register(output, 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True


if __name__ == "__main__":
    sys.exit(main())
