"""How batches of the replay come to the networks' device: from the host, or from a mirror there.

Which sequences a batch holds is drawn on the host in either case, so the batches are the same bit
for bit.
"""

import abc
import logging
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from choreo.replay import Replay, SequenceSampler

SHARE = 0.25  # of the memory that is free on the card when a run starts [ours]
ROWS_AT_ONCE = 4096  # steps copied in one piece, so that the host needs little memory [ours]

log = logging.getLogger(__name__)


class Sample(Mapping[str, np.ndarray]):
    """A batch (B, T, ...): `tensors` on the device; read on the host only where someone looks."""

    def __init__(
        self, tensors: dict[str, Tensor], read: Callable[[], dict[str, np.ndarray]]
    ) -> None:
        self.tensors = tensors
        self._read = read
        self._host: dict[str, np.ndarray] | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        if self._host is None:
            self._host = self._read()
        return self._host[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


class Batches(abc.ABC):
    """Draws batches for a device."""

    def __init__(self, sampler: SequenceSampler, device: torch.device) -> None:
        self.sampler, self.device = sampler, device

    @abc.abstractmethod
    def sample(self) -> Sample:
        """The next batch."""


class HostBatches(Batches):
    """Read on the host; for CUDA from pinned memory, in one copy that nobody waits for."""

    def sample(self) -> Sample:
        sampler = self.sampler
        if self.device.type == "cpu":
            raw = sampler.sample()
            return Sample({name: torch.as_tensor(v) for name, v in raw.items()}, lambda: raw)
        streams, starts = sampler.draw()
        rows = sampler.replay.rows(streams, starts, sampler.length)
        tensors = unpack(to_device(rows, self.device), sampler.replay.layout)
        return Sample(tensors, lambda: sampler.read(streams, starts))


class MirroredBatches(Batches):
    """Gathered on the device from a copy of the replay, which is caught up before every batch.

    Each stream is a ring of `capacity` rows: step i lies at i modulo capacity, and what the replay
    has dropped is written over. `most` is how many steps the replay may come to hold; up to that
    the rings grow as it does.
    """

    def __init__(self, sampler: SequenceSampler, device: torch.device, most: int) -> None:
        super().__init__(sampler, device)
        self._most = -(-most // sampler.replay.streams)
        self._rings = torch.empty(sampler.replay.streams, 0, 0, dtype=torch.uint8)
        self._stops = np.zeros(sampler.replay.streams, np.int64)  # what is mirrored, of each stream

    @property
    def capacity(self) -> int:
        """Steps of one stream that there is room for."""
        return self._rings.shape[1]

    def sample(self) -> Sample:
        sampler = self.sampler
        streams, starts = sampler.draw()
        self._catch_up(sampler.replay)
        steps = (starts[:, None] + np.arange(sampler.length)) % self.capacity  # (B, T)
        places = to_device(streams[:, None] * self.capacity + steps, self.device)
        rows = self._rings.flatten(0, 1).index_select(0, places.flatten())
        tensors = unpack(rows.unflatten(0, steps.shape), sampler.replay.layout)
        return Sample(tensors, lambda: sampler.read(streams, starts))

    def _catch_up(self, replay: Replay) -> None:
        """Copy what was appended since the last time."""
        first, stops = replay.bounds()
        needed = int((stops - first).max())
        if needed > self.capacity or (stops < self._stops).any():
            self._begin_anew(replay, needed)
        begin = np.maximum(self._stops, first)
        for stream in np.flatnonzero(stops > begin).tolist():
            self._copy(replay, stream, int(begin[stream]), int(stops[stream]))
        self._stops = stops

    def _begin_anew(self, replay: Replay, needed: int) -> None:
        """Make rings of twice the size, or as large as they will ever have to be."""
        capacity = max(needed, min(2 * max(self.capacity, ROWS_AT_ONCE), self._most))
        shape = (replay.streams, capacity, replay.layout.itemsize)
        del self._rings  # before the new ones take memory
        self._rings = torch.empty(shape, dtype=torch.uint8, device=self.device)
        self._stops = np.zeros(replay.streams, np.int64)

    def _copy(self, replay: Replay, stream: int, start: int, stop: int) -> None:
        """Copy steps in pieces, none of which goes over the end of the ring."""
        while start < stop:
            place = start % self.capacity
            count = min(stop - start, ROWS_AT_ONCE, self.capacity - place)
            rows = replay.rows(np.array([stream]), np.array([start]), count)[0]
            self._rings[stream, place : place + count].copy_(to_device(rows, self.device))
            start += count


def choose_batches(sampler: SequenceSampler, device: torch.device, most: int) -> Batches:
    """Mirrored where all that the replay may come to hold fits a share of a card's free memory.

    `most` is the number of steps of the whole run; the replay's byte cap may allow fewer. Says in
    the log what was chosen and why.
    """
    if device.type != "cuda":
        return HostBatches(sampler, device)
    row, cap = sampler.replay.layout.itemsize, sampler.replay.max_bytes
    most = max(most, sampler.replay.steps_held)
    wanted = most * row if cap is None else min(most * row, cap)
    free = torch.cuda.mem_get_info(device)[0]
    mirrored = wanted <= SHARE * free
    log.info(
        "replay sampled on the %s: it may come to %.2f GB, %s than %.0f%% of %.1f GB free there",
        *("card" if mirrored else "host", wanted / 1e9, "no more" if mirrored else "more"),
        *(100 * SHARE, free / 1e9),
    )
    return (
        MirroredBatches(sampler, device, wanted // row)
        if mirrored
        else HostBatches(sampler, device)
    )


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """A copy of an array on the device; the host does not wait for it."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def unpack(rows: Tensor, layout: np.dtype) -> dict[str, Tensor]:
    """Rows of a replay as bytes (B, T, row) to tensors by name, with `is_first[:, 0]` set."""
    tensors = {}
    for name, (kind, offset, *_) in (layout.fields or {}).items():
        own = rows[..., offset : offset + kind.itemsize].contiguous()
        dtype = torch.from_numpy(np.empty(0, kind.base.newbyteorder("="))).dtype
        tensors[name] = own.view(dtype).view(*rows.shape[:2], *kind.shape)
    tensors["is_first"][:, 0].fill_(True)
    return tensors
