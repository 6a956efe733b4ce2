"""One process at a time writes into a folder of data."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from choreo.errors import UsageError
from choreo.replay.segments import writing


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make a folder where there is none, and keep other writers out of it until the block ends.

    The folder itself is what is locked, so that nothing is left in it; the system lets go of the
    lock when this process ends, however it ends.

    Raises:
        UsageError: another process, or another thread of this one, is writing into it.
        StorageError: the folder cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file. Give a new folder.")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            f"Another process is writing into {folder}. Wait until it ends or end it, or give "
            "another folder."
        ) from error
    except OSError:
        return  # a file system without locks: go on without
