"""Files that are written whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from choreo.errors import StorageError

CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST)
"""Of places where no more room would help."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write `path` into a StorageError a user can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in CLOSED:
            raise StorageError(
                f"Could not write {path}: {error.strerror}. Give a folder that can be written to."
            ) from error
        raise StorageError(
            f"Could not write {path}: {error.strerror or error}. Everything saved before is "
            "intact. Free some space, then give the same command again "
            "to resume from the last checkpoint."
        ) from error


def sync(path: Path) -> None:
    """Make a file's content, or a folder's names, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, text: str) -> None:
    """Put `text` into `path`; whoever reads sees the old content or the new, never a part.

    Raises:
        StorageError: the disk is full; the old content is intact.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with writing(path):
            temporary.write_text(text, encoding="utf-8")
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
