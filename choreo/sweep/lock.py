"""Who works on a cell: a file with a heartbeat, on a disk that several machines may share.

`lock` holds who made it. A lock whose holder is gone is never removed by others: who takes over
makes the file `lock.TOKEN`, where TOKEN is that of the dead lock; only one can make it. The holder
is whoever made the last link of this chain.
"""

import json
import os
import socket
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from choreo.record.files import writing

HEAD = "lock"
HEARTBEAT = 15.0  # seconds between two signs of life [ours]
STALE = 120.0  # seconds without one after which a holder elsewhere counts as dead [ours]


@dataclass(frozen=True)
class Link:
    """One file of the chain, and what it says about its holder."""

    path: Path
    token: str
    holder: dict[str, Any]


class Lock:
    """A cell that this process holds."""

    def __init__(self, chain: list[Link]) -> None:
        self._chain, self._own = chain, chain[-1]
        self._beaten = time.monotonic()

    def beat(self) -> bool:
        """Give a sign of life when one is due; False when the lock is no longer ours."""
        if time.monotonic() - self._beaten < HEARTBEAT:
            return True
        self._beaten = time.monotonic()
        try:
            for link in {self._chain[0].path, self._own.path}:
                os.utime(link)
        except OSError:
            return False
        return not _after(self._own).exists()

    def release(self) -> None:
        """Let go; the first file goes first, so that nobody can follow the rest of the chain."""
        for link in self._chain:
            link.path.unlink(missing_ok=True)


def acquire(folder: Path) -> Lock | None:
    """Take the cell of a folder, or None when someone who lives holds it.

    Raises StorageError when the lock cannot be written.
    """
    chain = _chain(folder)
    if chain and _lives(chain[-1]):
        return None
    path = folder / HEAD if not chain else _after(chain[-1])
    token = uuid.uuid4().hex
    if not _make(path, {"token": token, "time": time.time(), **_this_process()}):
        return None
    chain = _chain(folder)
    if not chain or chain[-1].token != token:  # the chain that we followed is gone
        path.unlink(missing_ok=True)
        return None
    return Lock(chain)


def _make(path: Path, content: dict[str, Any]) -> bool:
    """Make a file that is not there yet; False when it is."""
    with writing(path):
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return False
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(content, file)
        except OSError:
            path.unlink(missing_ok=True)
            raise
    return True


def held(folder: Path) -> dict[str, Any] | None:
    """Who holds the cell of a folder (host, pid, ...), or None when nobody who lives does."""
    chain = _chain(folder)
    return chain[-1].holder if chain and _lives(chain[-1]) else None


def _chain(folder: Path) -> list[Link]:
    links: list[Link] = []
    path = folder / HEAD
    while (link := _read(path)) is not None:
        links.append(link)
        path = _after(link)
    return links


def _after(link: Link) -> Path:
    return link.path.with_name(f"{HEAD}.{link.token}")


def _read(path: Path) -> Link | None:
    """A file of the chain; one that was not written to its end has no holder but an age."""
    try:
        text = path.read_text()
        holder = json.loads(text)
        return Link(path, holder["token"], holder)
    except OSError:
        return None
    except (ValueError, KeyError, TypeError):
        return Link(path, "unreadable", {})


def _lives(link: Link) -> bool:
    """Whether a holder lives: here its process is looked for, elsewhere its heartbeat counts."""
    here, there = _this_process(), link.holder
    if all(there.get(key) == here[key] for key in ("boot", "processes")):
        return _started(int(there["pid"])) == there["started"]
    try:
        return _now(link.path.parent) - link.path.stat().st_mtime < STALE
    except FileNotFoundError:
        return False


def _now(folder: Path) -> float:
    """The time by the clock of the disk, which is the one that stamps heartbeats."""
    path = folder / f".clock-{uuid.uuid4().hex}"
    with writing(path):
        path.touch()
        try:
            return path.stat().st_mtime
        finally:
            path.unlink(missing_ok=True)


def _this_process() -> dict[str, Any]:
    """What tells this process from all others, also after its number is used again."""
    return {
        "host": socket.gethostname(),
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "processes": Path("/proc/self/ns/pid").stat().st_ino,  # a container has numbers of its own
        "pid": os.getpid(),
        "started": _started(os.getpid()),
    }


def _started(pid: int) -> int | None:
    """When a process was started, in ticks since boot; None when it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split()
    return None if state in "ZX" else int(rest[18])
