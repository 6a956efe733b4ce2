"""Where built kernels are kept, and how they are loaded: only what this user has written, whole.

A library is code that runs with all rights of whoever loads it. So its file must belong to this
user and be writable by nobody else, its bytes must have the hash that its name ends with, and what
is loaded are the very bytes that were looked at, whatever happens to the file meanwhile.
"""

import ctypes
import hashlib
import os
import stat
import tempfile
from pathlib import Path

OTHERS = stat.S_IWGRP | stat.S_IWOTH
MOST = 64 * 2**20  # bytes of a library; ours has a tenth of a megabyte [ours]


def cache_folder() -> Path:
    """The user's folder for kernels, made where it is missing, for this user alone.

    Raises:
        OSError: there is no place for it, or it is another user's.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not root.is_absolute():  # as the XDG specification wants it
        if not Path(os.environ.get("HOME", "/")).is_absolute():
            raise FileNotFoundError("HOME names no folder")
        root = Path.home() / ".cache"
    folder = root / "choreo" / "native"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to another user")
    if found.st_mode & OTHERS:
        folder.chmod(0o700)
    return folder


def name_of(content: bytes, fingerprint: str) -> str:
    """The name of a library: what it was made of, and the hash of its bytes."""
    return f"kernels-{fingerprint}-{hashlib.sha256(content).hexdigest()[:32]}.so"


def find(folder: Path, fingerprint: str) -> tuple[Path, bytes] | None:
    """A library of this fingerprint that may be loaded, and its bytes; None where there is none."""
    for path in sorted(folder.glob(f"kernels-{fingerprint}-*.so")):
        try:
            content = _own_bytes(path)
        except OSError:
            continue
        if path.name == name_of(content, fingerprint):
            return path, content
    return None


def load(content: bytes) -> ctypes.CDLL:
    """The library of these bytes, from memory that no other process can write to.

    Raises:
        OSError: they are no library of this machine.
    """
    try:
        descriptor = os.memfd_create("choreo-kernels")  # stays open: its number names it
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        return ctypes.CDLL(f"/proc/self/fd/{descriptor}")
    except OSError:  # also of a system that runs nothing from memory
        with tempfile.TemporaryDirectory() as private:
            path = Path(private) / "kernels.so"
            path.write_bytes(content)
            return ctypes.CDLL(str(path))


def _own_bytes(path: Path) -> bytes:
    """The bytes of a plain file that this user owns and nobody else can write."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        own = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
        if not own or found.st_mode & OTHERS or found.st_size > MOST:
            raise PermissionError(f"{path} is not this user's alone")
        return file.read()
