"""What was computed once: files in `studio/` of the run folder, written whole, bounded in size.

A folder below it for every checkpoint, named by the hash of its tensors. A name is the figure, its
version and a hash of what was asked for. Nothing is believed of a link, and nothing is removed that
has not a name given here.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from choreo.errors import StorageError
from choreo.private import private_folder
from choreo.record.files import writing

FOLDER = "studio"
PACK = "pack.json"  # in a folder whose every file is listed
NAME = re.compile(r"[a-z]+-v\d+-[0-9a-f]{16}(-[a-z0-9]+)?\.(json|webp|mp4|gif|jpg|lock)")
KEY = re.compile(r"[0-9a-f]{16}")
TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")
MOST_BYTES = 2**28  # of one file [ours]
LEFT_BEHIND = 3600.0  # seconds after which a half-written file has no writer [ours]
LOOK = 0.3  # seconds between two looks at a lock

VERSIONS = {
    "map": 2,
    "film": 1,
    "compare": 2,
    "imagine": 2,
    "dreamt": 1,
    "compared": 1,
    "prompt": 1,
    "choices": 1,
    "score": 1,
    "frames": 1,
    "rewards": 1,
    "growth": 1,
}
"""Of every figure: a new number where it comes to mean something else, or look otherwise."""


def name_of(kind: str, version: int, asked: Mapping[str, Any]) -> str:
    """The name, without its ending, of what a figure makes of what was asked for."""
    text = json.dumps(asked, sort_keys=True).encode()
    return f"{kind}-v{version}-{hashlib.sha256(text).hexdigest()[:16]}"


class Cache:
    """The files of one checkpoint."""

    def __init__(self, run: Path, identity: str, most: int) -> None:
        self.folder, self.most = _folder(run) / identity[:16], most

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, None where it is not there (or is no plain file)."""
        if not NAME.fullmatch(name):
            return None
        try:
            return _plain_bytes(self.folder, name)
        except OSError:
            return None

    def holds(self, name: str) -> bool:
        """Whether a file is there."""
        return (self.folder / name).is_file()

    def forget(self, name: str) -> None:
        """Let go of a result, whose files have gone already."""
        with suppress(OSError):
            (self.folder / f"{name}.json").unlink()

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The object in a file; None where there is none."""
        content = self.read(f"{name}.json")
        try:
            found = None if content is None else json.loads(content)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def write(self, name: str, content: bytes) -> None:
        """Put a file there, whole or not at all; raises StorageError."""
        assert NAME.fullmatch(name), name
        temporary = self.folder / f".{secrets.token_hex(8)}.tmp"
        with writing(self.folder / name):
            _make(self.folder)
            try:
                with temporary.open("xb") as file:
                    file.write(content)
                temporary.replace(self.folder / name)
            finally:
                temporary.unlink(missing_ok=True)

    @contextmanager
    def alone(self, name: str, told: Any = lambda: None) -> Iterator[None]:
        """Work on one figure while no other process does; waits for one that does.

        `told` is called again and again while it waits. A file system without locks gives no such
        protection, and then the work is done twice.
        """
        path = self.folder / f"{name}.lock"
        descriptor = _open_lock(path)
        try:
            while not _locked(descriptor) or not _is_still(path, descriptor):
                told()
                time.sleep(LOOK)
                if not _is_still(path, descriptor):  # its holder has removed it
                    os.close(descriptor)
                    descriptor = _open_lock(path)
            yield
        finally:
            with suppress(OSError):
                path.unlink()
            os.close(descriptor)

    def tidy(self) -> None:
        """Remove the oldest files of this run's cache until it has room, and what was left over."""
        found = sorted(_files(self.folder.parent), key=lambda one: one[1].st_mtime)
        total = sum(status.st_size for _, status in found)
        for path, status in found:
            left_over = TEMPORARY.fullmatch(path.name) or path.suffix == ".lock"
            old = time.time() - status.st_mtime > LEFT_BEHIND
            if (left_over and old) or (not left_over and total > self.most):
                with suppress(OSError):
                    path.unlink()
                    total -= status.st_size
        for folder in _folders(self.folder.parent):
            with suppress(OSError):  # one that is not empty stays
                folder.rmdir()


def of_all_checkpoints(run: Path, name: str) -> list[dict[str, Any]]:
    """The objects in the files of one name, of every checkpoint of a run that has one."""
    caches = [Cache(run, folder.name, 0) for folder in _folders(_folder(run))]
    return [found for cache in caches if (found := cache.read_json(name)) is not None]


def _folder(run: Path) -> Path:
    """Where a run's cache lies: in its folder, or where that cannot be, in the user's own cache.

    A folder that is no run's, but a saved agent or a pack, is whole as it is.
    """
    own, is_run = run / FOLDER, (run / "config.json").is_file() and not (run / PACK).exists()
    with suppress(OSError):
        if not is_run:
            raise FileNotFoundError(run)
        own.mkdir(exist_ok=True)
        if stat.S_ISDIR(own.lstat().st_mode) and os.access(own, os.W_OK | os.X_OK):
            return own
    name = hashlib.sha256(os.fsencode(run)).hexdigest()[:16]
    try:
        return private_folder("XDG_CACHE_HOME", ".cache", f"{FOLDER}/{name}")
    except OSError as error:
        raise StorageError(
            f"There is no place for what the studio computes: neither {own} nor the user's cache "
            f"can be written ({error}). Make one of them writable."
        ) from error


def _make(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise PermissionError(13, "it is a link", str(folder))


def _plain_bytes(folder: Path, name: str) -> bytes:
    """The content of a plain file in a folder that is none itself a link."""
    within = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=within)
    finally:
        os.close(within)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
            raise OSError(f"{name} is no plain file")
        return file.read()


def _open_lock(path: Path) -> int:
    with writing(path):
        _make(path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(path, flags, 0o666)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether a file that is open is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _folders(root: Path) -> list[Path]:
    try:
        return [p for p in root.iterdir() if KEY.fullmatch(p.name) and not p.is_symlink()]
    except OSError:
        return []


def _files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Plain files of the cache with their status; nothing that was put there by others' names."""
    for folder in _folders(root):
        with suppress(OSError):
            for path in folder.iterdir():
                status = path.lstat()
                named = NAME.fullmatch(path.name) or TEMPORARY.fullmatch(path.name)
                if named and stat.S_ISREG(status.st_mode):
                    yield path, status
