"""Where sequences of a replay may start: anywhere in a stream, or within one episode."""

import abc

import numpy as np

from choreo.replay.storage import Replay

IS_FIRST = "is_first"


class Starts(abc.ABC):
    """The valid starts of sequences of `length` steps, numbered from 0."""

    def __init__(self, replay: Replay, length: int) -> None:
        self.replay, self.length = replay, length

    @abc.abstractmethod
    def count(self) -> int:
        """How many there are now."""

    def any(self) -> bool:
        """Whether there is one; cheap enough for every step."""
        return self.count() > 0

    @abc.abstractmethod
    def locate(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Streams (B,) and first steps (B,) of these starts, as of the last `count`."""


class StreamStarts(Starts):
    """Sequences run on in the order of their stream, over the ends of episodes."""

    def count(self) -> int:
        start, self._stop = self.replay.bounds()
        self._ends = np.cumsum(np.maximum(self._stop - start - self.length + 1, 0))
        return int(self._ends[-1])

    def locate(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        streams = np.searchsorted(self._ends, numbers, side="right")  # (B,)
        return streams, self._stop[streams] - self.length - (self._ends[streams] - 1 - numbers)


class EpisodeStarts(Starts):
    """Sequences that lie within one episode, also within one that is still open.

    Closed episodes are numbered first, by stream and time, then the open one of every stream. What
    was appended since the last call is looked at once, so the cost does not grow with the replay.
    """

    def __init__(self, replay: Replay, length: int) -> None:
        super().__init__(replay, length)
        self._forget()

    def any(self) -> bool:
        start, stop = self.replay.bounds()
        grown = (start == self._start).all() and (stop >= self._seen).all()
        return bool(grown and self._ends[-1] > 0) or self.count() > 0

    def count(self) -> int:
        start, stop = self.replay.bounds()
        if self._catch_up(start, stop) or (start != self._start).any():
            self._tabulate(start)
        last = slice(-len(stop), None)  # the open episodes, which grow
        self._counts[last] = np.maximum(stop - self._begins[last] - self.length + 1, 0)
        self._ends[last] = self._closed + np.cumsum(self._counts[last])
        return int(self._ends[-1])

    def locate(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        episode = np.searchsorted(self._ends, numbers, side="right")  # (B,)
        before = self._ends[episode] - self._counts[episode]
        return self._streams[episode], self._begins[episode] + numbers - before

    def _forget(self) -> None:
        streams = self.replay.streams
        self._seen = np.zeros(streams, np.int64)  # how far each stream was looked at
        self._firsts = [np.zeros(0, np.int64) for _ in range(streams)]
        self._start = np.full(streams, -1)
        self._ends = np.zeros(1, np.int64)

    def _catch_up(self, start: np.ndarray, stop: np.ndarray) -> bool:
        """Find the episodes that began since the last time; says whether there are any."""
        if (stop < self._seen).any():  # the replay was cut back
            self._forget()
        found = False
        for stream in np.flatnonzero(stop > np.maximum(self._seen, start)).tolist():
            begin = max(int(self._seen[stream]), int(start[stream]))
            flags = self.replay.column(IS_FIRST, stream, begin, int(stop[stream]))
            new = begin + np.flatnonzero(flags)
            self._firsts[stream] = np.concatenate([self._firsts[stream], new])
            found = found or len(new) > 0
        self._seen = stop
        return found

    def _tabulate(self, start: np.ndarray) -> None:
        """List the closed episodes, then the open ones, without what is no longer held."""
        streams = np.arange(len(start))
        self._firsts = [f[f > s] for f, s in zip(self._firsts, start.tolist(), strict=True)]
        edges = [np.append(s, f) for f, s in zip(self._firsts, start, strict=True)]
        closed = [len(own) - 1 for own in edges]
        counts = np.concatenate([np.diff(own) for own in edges]) - self.length + 1
        self._counts = np.append(np.maximum(counts, 0), 0 * streams)
        self._begins = np.concatenate([*(e[:-1] for e in edges), [own[-1] for own in edges]])
        self._streams = np.append(np.repeat(streams, closed), streams)
        self._ends, self._closed = np.cumsum(self._counts), int(self._counts.sum())
        self._start = start
