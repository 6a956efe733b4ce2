"""Whether updates stay finite, looked at when the device has got there."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from choreo.errors import NotFinite
from choreo.learning.learner import Metrics


@dataclass(frozen=True)
class _Watched:
    """An update whose metrics are on their way: `finite` is on the host once `arrived` has come."""

    where: str
    number: int
    metrics: Metrics
    batch: Mapping[str, Tensor]
    finite: Tensor
    arrived: torch.cuda.Event | None


class FiniteCheck:
    """Stops a run at an update that gave NaN or infinity, and keeps the batch that did it.

    An update is looked at after the next one was asked for, so that a GPU has work while the host
    waits; `settle` looks at once. Whatever an update may spoil (actions, logs, checkpoints) has to
    come after a `settle`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._watched: _Watched | None = None

    def watch(self, number: int, where: str, metrics: Metrics, batch: Mapping[str, Tensor]) -> None:
        """Look at this update later, and now at the one before it.

        `where` says how far the run was; raises NotFinite as `settle` does.
        """
        values = torch.stack([value.to(torch.float32) for value in metrics.values()])
        finite, arrived = _to_host(values.isfinite().all())
        earlier = self._watched
        self._watched = _Watched(where, number, metrics, batch, finite, arrived)
        if earlier is not None:
            self._look(earlier)

    def settle(self) -> None:
        """Look at the last update. Raises NotFinite if it gave NaN or infinity."""
        last, self._watched = self._watched, None
        if last is not None:
            self._look(last)

    def _look(self, update: _Watched) -> None:
        if update.arrived is not None:
            update.arrived.synchronize()
        if bool(update.finite):
            return
        wrong = [name for name, value in update.metrics.items() if not bool(value.isfinite())]
        raise NotFinite(
            f"update {update.number} at {update.where} gave NaN or infinity in "
            f"{', '.join(wrong)}; {self._keep_batch(update)}. The last checkpoint is unharmed: "
            "look at that batch, then resume with a smaller learning rate or repaired data"
        )

    def _keep_batch(self, update: _Watched) -> str:
        """Write the batch of an update; says where it is, or why it is nowhere."""
        path = self.folder / f"not-finite-update-{update.number}.npz"
        arrays = {name: tensor.cpu().numpy() for name, tensor in update.batch.items()}
        try:
            np.savez(path, allow_pickle=False, **arrays)
        except OSError as error:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return f"its batch could not be kept in {path} ({error.strerror or error})"
        return f"its batch is in {path}"


def _to_host(flag: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    """The same scalar on the host, and what to wait for before it is read."""
    if not flag.is_cuda:
        return flag, None
    host = torch.empty((), dtype=flag.dtype, pin_memory=True)
    host.copy_(flag, non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    return host, event
