"""Append-only storage of steps: one stream per environment, in segment files on disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from choreo.errors import CheckpointError, UsageError
from choreo.replay.header import (
    FORMAT,
    Keys,
    check_state,
    open_folder,
    read_header,
    record_layout,
    steps_per_segment,
)
from choreo.replay.segments import SegmentFiles
from choreo.schema import in_words

VERIFIED = 2**30  # bytes that are compared with their hashes before a run goes on [ours]


class Replay:
    """Steps of several environments on disk, each a stream that only grows at its end.

    Args:
        folder: where the files lie; made when missing. A new object is empty until `restore`, also
            on a folder with data: what no checkpoint recorded is written over.
        keys: name -> (shape, dtype) of one step's entries.
        streams: how many environments append.
        max_bytes: once the held steps need more, whole oldest segments are no longer held.
        segment_steps: steps per file; chosen from the size of a step when None.

    Raises:
        UsageError: the folder holds a replay of other keys or streams, or the cap is too small.
    """

    def __init__(
        self,
        folder: Path,
        keys: Keys,
        streams: int,
        max_bytes: int | None = None,
        segment_steps: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.keys = {
            name: (tuple(shape), str(np.dtype(kind))) for name, (shape, kind) in keys.items()
        }
        self.streams = streams
        self.max_bytes = max_bytes
        self._layout = record_layout(self.keys)
        steps = segment_steps or steps_per_segment(self._layout.itemsize, streams, max_bytes)
        self.segment_steps = open_folder(
            self.folder, self.keys, streams, steps, insist=segment_steps is not None
        )
        self._files = SegmentFiles(self.folder, self._layout.itemsize, self.segment_steps)
        self._check_cap()
        self._read_only = False
        self._start = np.zeros(streams, np.int64)
        self._stop = np.zeros(streams, np.int64)
        self._full_hashes: list[dict[int, str]] = [{} for _ in range(streams)]

    @classmethod
    def open(cls, folder: Path, state: Mapping[str, Any]) -> "Replay":
        """Look at an existing replay as it was at `state`; nothing on disk is changed."""
        header = read_header(Path(folder))
        keys = {name: (tuple(shape), kind) for name, (shape, kind) in header["keys"].items()}
        replay = cls(folder, keys, header["streams"], segment_steps=header["segment_steps"])
        replay._start, replay._stop = replay._bounds_of(state)
        replay._read_only = True
        return replay

    @property
    def layout(self) -> np.dtype:
        """One step as bytes: name, type and place of every entry."""
        return self._layout

    @property
    def steps_held(self) -> int:
        """Steps that can be read now, all streams together."""
        return int((self._stop - self._start).sum())

    @property
    def total_steps(self) -> int:
        """Steps ever appended, all streams together."""
        return int(self._stop.sum())

    @property
    def bytes_held(self) -> int:
        """Bytes of the segments that hold readable steps."""
        return int(self._segments_held().sum()) * self._files.segment_bytes

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """First held and first not yet written index of every stream, each (streams,) int64."""
        return self._start.copy(), self._stop.copy()

    def append(self, steps: Mapping[str, np.ndarray]) -> None:
        """Add one step to every stream; each array is (streams, ...).

        Raises:
            UsageError: keys, shapes or dtypes are not those of the replay.
            StorageError: the disk is full; the replay is as it was before.
        """
        self._check_writable()
        rows = self._rows(steps, self.streams)
        for stream in np.flatnonzero(self._stop % self.segment_steps == 0):
            self._files.create(int(stream), int(self._stop[stream]) // self.segment_steps)
        for stream in range(self.streams):
            self._files.write(stream, int(self._stop[stream]), rows[stream : stream + 1])
        self._stop += 1
        self._drop_oldest()

    def extend(self, stream: int, steps: Mapping[str, np.ndarray]) -> None:
        """Add T steps to one stream in whole blocks; each array is (T, ...).

        Raises:
            UsageError: keys, shapes or dtypes are not those of the replay, or differ in length.
            StorageError: the disk is full; steps that were written before are held.
        """
        self._check_writable()
        rows = self._rows(steps, len(next(iter(steps.values()), ())))
        while len(rows):
            segment, position = divmod(int(self._stop[stream]), self.segment_steps)
            if position == 0:
                self._files.create(stream, segment)
            block = rows[: self.segment_steps - position]
            self._files.write(stream, int(self._stop[stream]), block)
            self._stop[stream] += len(block)
            rows = rows[len(block) :]
        self._drop_oldest()

    def read(self, stream: int, start: int, stop: int) -> dict[str, np.ndarray]:
        """Steps `start` to `stop` (absolute, exclusive) of one stream; each array is (T, ...)."""
        batch = self.gather(np.array([stream]), np.array([start]), stop - start)
        return {name: values[0] for name, values in batch.items()}

    def column(self, name: str, stream: int, start: int, stop: int) -> np.ndarray:
        """One entry of the steps `start` to `stop` of one stream, (T, ...); the others stay unread.

        Raises:
            IndexError: they reach outside of what is held.
        """
        self._check_held(np.array([stream]), np.array([start]), stop - start)
        fields: dict[Any, Any] = dict(self._layout.fields or {})
        kind, offset, *_ = fields[name]
        out = np.empty((stop - start, kind.itemsize), np.uint8)
        self._files.copy(stream, start, out, offset)
        return out.view(kind.base).reshape(stop - start, *kind.shape)

    def gather(self, streams: np.ndarray, starts: np.ndarray, length: int) -> dict[str, np.ndarray]:
        """Copy sequences of `length` steps: streams (B,), starts (B,) -> arrays (B, T, ...).

        Raises:
            IndexError: a sequence reaches outside of what is held.
        """
        records = self.rows(streams, starts, length).view(self._layout)[..., 0]  # (B, T)
        return {name: np.ascontiguousarray(records[name]) for name in self.keys}

    def rows(self, streams: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
        """The same sequences as bytes (B, T, row), which `layout` explains.

        Raises:
            IndexError: a sequence reaches outside of what is held.
        """
        self._check_held(streams, starts, length)
        rows = np.empty((len(starts), length, self._layout.itemsize), np.uint8)
        for stream, start in zip(streams.tolist(), starts.tolist()):
            self._files.prefetch(stream, start, length)
        for out, stream, start in zip(rows, streams.tolist(), starts.tolist()):
            self._files.copy(stream, start, out)
        return rows

    def flush(self) -> None:
        """Make every appended step survive a power cut; call it before a checkpoint is written."""
        self._files.sync_all()

    def state(self, sums: bool = False) -> dict[str, Any]:
        """What a checkpoint records: the bounds of every stream, and with `sums` hashes of it."""
        bounds = {"format": FORMAT, "start": self._start.tolist(), "stop": self._stop.tolist()}
        return {**bounds, "sums": self._hashes()} if sums else bounds

    def changed(self, state: Mapping[str, Any], most_bytes: int | None = None) -> list[Path]:
        """Files whose bytes are not those that `state` recorded; older states record none.

        Reads the newest `most_bytes` of every stream, or all.
        """
        found = []
        for stream, sums in enumerate(state.get("sums") or []):
            left = most_bytes
            for segment in sorted(map(int, sums), reverse=True):
                if left is not None and left <= 0:
                    break
                rows = self._rows_in(int(state["stop"][stream]), segment)
                if self._files.digest(stream, segment, rows) != sums[str(segment)]:
                    found.append(self._files.path(stream, segment))
                left = None if left is None else left - self._files.segment_bytes
        return found

    def _hashes(self) -> list[dict[str, str]]:
        """Of every stream the hashes of its segments by number; full ones are read only once."""
        hashes = []
        for stream, (start, stop) in enumerate(zip(self._start.tolist(), self._stop.tolist())):
            first, last = start // self.segment_steps, -(-stop // self.segment_steps)
            old, full = self._full_hashes[stream], stop // self.segment_steps
            now = {
                n: old.get(n) or self._files.digest(stream, n, self._rows_in(stop, n))
                for n in range(first, last)
            }
            self._full_hashes[stream] = {n: one for n, one in now.items() if n < full}
            hashes.append({str(n): one for n, one in now.items()})
        return hashes

    def _rows_in(self, stop: int, segment: int) -> int:
        """Rows of a segment that a stream of `stop` steps has written."""
        return min(stop - segment * self.segment_steps, self.segment_steps)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Cut back to exactly what was held at `state`; everything later is removed.

        Raises:
            CheckpointError: the state is of another replay, or its data are no longer on disk.
        """
        self._check_writable()
        self._start, self._stop = self._bounds_of(state)
        self._full_hashes = [{} for _ in range(self.streams)]
        if changed := self.changed(state, VERIFIED // self.streams):
            raise CheckpointError(
                f"{changed[0]} is not what the checkpoint recorded: its bytes have changed. Copy "
                "the replay folder back, or start a new run."
            )
        for stream, stop in enumerate(self._stop.tolist()):
            self._files.clear_after(stream, stop)

    def collect_garbage(self, keep: Sequence[Mapping[str, Any]]) -> int:
        """Delete files that neither this replay nor any of the states in `keep` needs.

        Args:
            keep: the replay states of all checkpoints from which a run may still be resumed.

        Returns:
            How many files were deleted.
        """
        self._check_writable()
        starts = [self._start, *(np.array(state["start"], np.int64) for state in keep)]
        first = np.min(starts, axis=0) // self.segment_steps
        unused = [
            (s, n) for s in range(self.streams) for n in self._files.segments(s) if n < first[s]
        ]
        for stream, segment in unused:
            self._files.delete(stream, segment)
        return len(unused)

    def close(self) -> None:
        """Let go of every open file; later calls open them again."""
        self._files.close()

    def _rows(self, steps: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        """The steps as bytes (count, row_bytes), after a check of their form."""
        if steps.keys() != self.keys.keys():
            raise UsageError(
                f"Steps with the keys {in_words(sorted(steps))} were given to a replay with "
                f"the keys {in_words(sorted(self.keys))}. Give exactly those."
            )
        records = np.zeros(count, self._layout)
        for name, (shape, kind) in self.keys.items():
            values = np.asarray(steps[name])
            wanted = (count, *shape)
            if values.shape != wanted or not np.can_cast(values.dtype, kind, "same_kind"):
                raise UsageError(
                    f"'{name}' has shape {values.shape} and dtype {values.dtype}; the replay wants "
                    f"{wanted} and {kind}."
                )
            records[name] = values
        return records.view(np.uint8).reshape(count, self._layout.itemsize)

    def _segments_held(self) -> np.ndarray:
        """Files per stream that hold readable steps: (streams,) int64."""
        last = -(-self._stop // self.segment_steps)
        return last - self._start // self.segment_steps

    def _drop_oldest(self) -> None:
        """Stop holding oldest segments, longest stream first, until the byte cap is met."""
        while self.max_bytes is not None and self.bytes_held > self.max_bytes:
            stream = int(np.argmax(self._segments_held()))
            segment = self._start[stream] // self.segment_steps
            self._start[stream] = (segment + 1) * self.segment_steps

    def _check_held(self, streams: np.ndarray, starts: np.ndarray, length: int) -> None:
        known = (streams >= 0) & (streams < self.streams)
        if length < 0 or not known.all():
            raise IndexError(
                f"{length} steps of streams {streams}; there are {self.streams} streams."
            )
        outside = (starts < self._start[streams]) | (starts + length > self._stop[streams])
        if outside.any():
            stream, start = int(streams[outside][0]), int(starts[outside][0])
            raise IndexError(
                f"Steps {start} to {start + length} of stream {stream} were asked for; held are "
                f"{self._start[stream]} to {self._stop[stream]}."
            )

    def _bounds_of(self, state: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Start and stop of a recorded state, after a check that its data are on disk."""
        check_state(state, self.streams, self.folder)
        start, stop = (np.array(state[name], np.int64) for name in ("start", "stop"))
        for stream in range(self.streams):
            last = -(-int(stop[stream]) // self.segment_steps)
            for segment in range(int(start[stream]) // self.segment_steps, last):
                if not self._files.complete(stream, segment):
                    raise CheckpointError(
                        f"{self._files.path(stream, segment)} is missing or cut short, and the "
                        "checkpoint needs it. Copy the replay folder back, or start a new run."
                    )
        return start, stop

    def _check_writable(self) -> None:
        if self._read_only:
            raise UsageError(
                f"The replay {self.folder} was opened to be read, and something would change it. "
                "To write, make a Replay and restore it."
            )

    def _check_cap(self) -> None:
        least = 2 * self.streams * self._files.segment_bytes
        if self.max_bytes is not None and self.max_bytes < least:
            raise UsageError(
                f"The replay's byte cap is {self.max_bytes}; with {self.streams} environments and "
                f"{self.segment_steps} steps per file it must be at least {least}."
            )
