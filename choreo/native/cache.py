"""Where built kernels are kept, and how they are loaded: only what this user has written, whole.

A library is code that runs with all rights of whoever loads it. So its file must belong to this
user and be writable by nobody else, its bytes must have the hash that its name ends with, and what
is loaded are the very bytes that were looked at, whatever happens to the file meanwhile.
"""

import ctypes
import hashlib
import os
import tempfile
from pathlib import Path

from choreo.private import own_bytes, private_folder

MOST = 64 * 2**20  # bytes of a library; ours has a tenth of a megabyte [ours]


def cache_folder() -> Path:
    """The user's folder for kernels.

    Raises:
        OSError: there is no place for it, or it is another user's.
    """
    return private_folder("XDG_CACHE_HOME", ".cache", "native")


def name_of(content: bytes, fingerprint: str) -> str:
    """The name of a library: what it was made of, and the hash of its bytes."""
    return f"kernels-{fingerprint}-{hashlib.sha256(content).hexdigest()[:32]}.so"


def find(folder: Path, fingerprint: str) -> tuple[Path, bytes] | None:
    """A library of this fingerprint that may be loaded, and its bytes; None where there is none."""
    for path in sorted(folder.glob(f"kernels-{fingerprint}-*.so")):
        try:
            content = own_bytes(path, MOST)
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
