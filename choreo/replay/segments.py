"""Segment files: fixed numbers of fixed-size rows, written with calls and read through maps."""

import errno
import hashlib
import mmap
import os
import stat
import sys
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from choreo.errors import StorageError

# Python's mmap keeps a file descriptor per map, and many systems allow 1024 of them. [ours]
MAX_MAPS = 256
ADVICE = sys.platform == "linux"  # whether a map can be told what will be read
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST)
CLEARED = 2**20  # bytes cleared in one call, so that memory stays flat [ours]


def refused(path: Path, error: OSError) -> StorageError:
    """What to tell a user when the operating system does not take data for `path`."""
    if error.errno in CLOSED:
        return StorageError(
            f"Could not write {path}: {error.strerror}. Give a folder that can be written to."
        )
    return StorageError(
        f"Could not write {path}: {error.strerror}. Room for replay data was wanted. Free some "
        "space or set a smaller byte cap, then give the same command again to go on from the "
        "last checkpoint."
    )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write `path` into a StorageError."""
    try:
        yield
    except OSError as error:
        raise refused(path, error) from error


def sync(path: Path) -> None:
    """Make a file's content, or a folder's names, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class SegmentFiles:
    """All segment files of a replay folder: `stream_000/00000000.steps` and so on.

    Rows are written with `pwrite` into files whose blocks are allocated beforehand, so a full disk
    is an error at a known place and never a signal. They are read through read-only maps, of which
    only some stay open at a time.
    """

    def __init__(self, folder: Path, row_bytes: int, segment_steps: int) -> None:
        self.folder = folder
        self.row_bytes = row_bytes
        self.segment_steps = segment_steps
        self.segment_bytes = row_bytes * segment_steps
        self._maps: OrderedDict[tuple[int, int], mmap.mmap] = OrderedDict()
        self._open: dict[int, tuple[int, int]] = {}  # stream -> (segment, file descriptor)
        self._unsynced: set[tuple[int, int]] = set()
        self._finalizer = weakref.finalize(self, _close_all, self._open)

    def path(self, stream: int, segment: int) -> Path:
        """Where a segment of a stream lies."""
        return self.folder / f"stream_{stream:03d}" / f"{segment:08d}.steps"

    def segments(self, stream: int) -> list[int]:
        """Numbers of the segments of `stream` that are on disk, in order."""
        return sorted(int(path.stem) for path in self.path(stream, 0).parent.glob("*.steps"))

    def complete(self, stream: int, segment: int) -> bool:
        """Whether a segment is there in its full size."""
        try:
            found = self.path(stream, segment).lstat()  # a link may lead out of the folder
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == self.segment_bytes

    def create(self, stream: int, segment: int) -> None:
        """Allocate a new segment of zeros, in place of whatever had its name.

        Raises:
            StorageError: the disk is full; nothing is left behind.
        """
        path = self.path(stream, segment)
        self.delete(stream, segment)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                _allocate(descriptor, self.segment_bytes)
            except OSError:
                path.unlink()
                raise
            finally:
                os.close(descriptor)
        self._unsynced.add((stream, segment))

    def write(self, stream: int, step: int, rows: np.ndarray) -> None:
        """Write rows (N, row_bytes) uint8 of one segment from the index `step` of `stream` on."""
        segment, position = divmod(step, self.segment_steps)
        try:
            descriptor = self._writable(stream, segment)
            written = os.pwrite(descriptor, rows.data, position * self.row_bytes)
        except OSError as error:
            raise refused(self.path(stream, segment), error) from error
        if written != rows.nbytes:
            raise StorageError(
                f"Only {written} of {rows.nbytes} bytes of steps fitted into "
                f"{self.path(stream, segment)}. Free some space and give the same command again."
            )
        self._unsynced.add((stream, segment))

    def clear_after(self, stream: int, stop: int) -> None:
        """Remove every step of `stream` at `stop` and later, as if it had never been written."""
        segment, position = divmod(stop, self.segment_steps)
        for later in self.segments(stream):
            if later > segment or (later == segment and position == 0):
                self.delete(stream, later)
        if position == 0:
            return
        tail = bytes(min(CLEARED, self.segment_bytes))
        with writing(self.path(stream, segment)):
            descriptor = self._writable(stream, segment)
            for offset in range(position * self.row_bytes, self.segment_bytes, CLEARED):
                os.pwrite(descriptor, tail[: self.segment_bytes - offset], offset)
        self._unsynced.add((stream, segment))

    def copy(self, stream: int, start: int, out: np.ndarray, offset: int = 0) -> None:
        """Fill `out` (T, W) with W bytes, from `offset` on, of rows of `stream` from `start` on."""
        segment, position = divmod(start, self.segment_steps)
        done, length = 0, len(out)
        while done < length:
            count = min(length - done, self.segment_steps - position)
            data = self._map(stream, segment)
            rows = np.frombuffer(data, np.uint8).reshape(self.segment_steps, self.row_bytes)
            part = slice(offset, offset + out.shape[1])
            out[done : done + count] = rows[position : position + count, part]
            done, segment, position = done + count, segment + 1, 0

    def prefetch(self, stream: int, start: int, length: int) -> None:
        """Have the system fetch these rows from disk, without waiting for it.

        Without it each page of a sequence that is not in memory would be waited for, with megabytes
        around it that nobody asked for: a set that is larger than memory would be slow.
        """
        if not ADVICE:
            return
        segment, position = divmod(start, self.segment_steps)
        while length > 0:
            count = min(length, self.segment_steps - position)
            begin = position * self.row_bytes // mmap.PAGESIZE * mmap.PAGESIZE
            size = (position + count) * self.row_bytes - begin
            self._map(stream, segment).madvise(mmap.MADV_WILLNEED, begin, size)
            length, segment, position = length - count, segment + 1, 0

    def digest(self, stream: int, segment: int, rows: int) -> str:
        """SHA-256 of the first rows of a segment."""
        digest, left = hashlib.sha256(), rows * self.row_bytes
        with self.path(stream, segment).open("rb") as file:
            while left > 0 and (block := file.read(min(left, CLEARED))):
                digest.update(block)
                left -= len(block)
        return digest.hexdigest()

    def delete(self, stream: int, segment: int) -> None:
        """Remove a segment's file, if there is one."""
        self._maps.pop((stream, segment), None)
        if stream in self._open and self._open[stream][0] == segment:
            os.close(self._open.pop(stream)[1])
        self._unsynced.discard((stream, segment))
        self.path(stream, segment).unlink(missing_ok=True)

    def sync_all(self) -> None:
        """Make everything written so far survive a power cut."""
        paths = [self.path(*one) for one in sorted(self._unsynced)]
        for path in paths:
            with writing(path):
                sync(path)
        for folder in {self.folder, *(path.parent for path in paths)}:
            sync(folder)
        self._unsynced.clear()

    def close(self) -> None:
        """Let go of every file and map."""
        self._maps.clear()
        _close_all(self._open)

    def _writable(self, stream: int, segment: int) -> int:
        """A file descriptor of the one segment of `stream` that is being written."""
        held = self._open.get(stream)
        if held is not None and held[0] == segment:
            return held[1]
        if held is not None:
            os.close(self._open.pop(stream)[1])
        descriptor = os.open(self.path(stream, segment), os.O_RDWR)
        self._open[stream] = (segment, descriptor)
        return descriptor

    def _map(self, stream: int, segment: int) -> mmap.mmap:
        """A segment as read-only bytes, mapped at first use."""
        data = self._maps.get((stream, segment))
        if data is not None:
            self._maps.move_to_end((stream, segment))
            return data
        with self.path(stream, segment).open("rb") as file:
            data = mmap.mmap(file.fileno(), self.segment_bytes, access=mmap.ACCESS_READ)
        if ADVICE:
            data.madvise(mmap.MADV_RANDOM)
        self._maps[stream, segment] = data
        if len(self._maps) > MAX_MAPS:
            self._maps.popitem(last=False)
        return data


def _allocate(descriptor: int, size: int) -> None:
    """Give a file its blocks now, so that later writes cannot run out of disk."""
    if sys.platform == "linux":
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)


def _close_all(descriptors: dict[int, tuple[int, int]]) -> None:
    """Close every descriptor of the table and empty it."""
    for _, descriptor in descriptors.values():
        os.close(descriptor)
    descriptors.clear()
