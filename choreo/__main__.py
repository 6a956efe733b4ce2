"""`python -m choreo` is the `choreo` command."""

import os
import select
import sys

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


def _keep_results_apart() -> None:
    """Leave stdout to this program: what libraries write to its descriptor goes to stderr."""
    try:
        os.fstat(2)
        own = os.dup(1)
    except OSError:  # one of them is closed
        return
    before = sys.stdout
    before.flush()
    os.dup2(2, 1)
    sys.stdout = open(  # noqa: SIM115 (for as long as the program runs)
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
