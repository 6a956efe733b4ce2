"""Becomes `choreo ...` and ends with its parent: `python child.py PARENT WORDS...`.

Run as a file, without the package, so that it costs no import.
"""

import ctypes
import os
import signal
import sys

_PARENT_DEATH = 1  # PR_SET_PDEATHSIG of Linux; it holds after exec


def main(parent: int, words: list[str]) -> None:
    """Ask the system for SIGKILL at the death of the parent, and become the command."""
    ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the system was asked
        os._exit(1)
    os.execv(sys.executable, [sys.executable, "-m", "choreo", *words])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
