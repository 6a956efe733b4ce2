"""Files that are believed because this user wrote them: in folders of this user's alone."""

import os
import stat
from pathlib import Path

OTHERS = stat.S_IWGRP | stat.S_IWOTH


def private_folder(variable: str, usual: str, name: str) -> Path:
    """`$VARIABLE/choreo/NAME` or `~/USUAL/choreo/NAME`, made where it is missing, for this user.

    Raises:
        OSError: there is no place for it, or it is another user's.
    """
    root = Path(os.environ.get(variable, ""))
    if not root.is_absolute():  # as the XDG specification wants it
        if not Path(os.environ.get("HOME", "/")).is_absolute():
            raise FileNotFoundError("HOME names no folder")
        root = Path.home() / usual
    folder = root / "choreo" / name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to another user")
    if found.st_mode & OTHERS:
        folder.chmod(0o700)
    return folder


def own_bytes(path: Path, most: int) -> bytes:
    """The bytes of a plain file that this user owns and nobody else can write, at most `most`.

    Raises:
        OSError: it is not there, or no such file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        own = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
        if not own or found.st_mode & OTHERS or found.st_size > most:
            raise PermissionError(f"{path} is not this user's alone")
        return file.read()
