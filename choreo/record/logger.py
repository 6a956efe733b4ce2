"""What a run writes down: JSON lines always, TensorBoard and Weights & Biases as extras."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from choreo.errors import CheckpointError
from choreo.record.files import sync, writing
from choreo.record.sinks import GuardedSink, TensorBoardSink, WandbOptions, WandbSink

METRICS = "metrics.jsonl"
TIMING = "timing.jsonl"


class Logger:
    """Writes metrics of a run into its folder.

    `metrics.jsonl` holds what follows from the seed and is bitwise the same in every repetition;
    wall-clock numbers go to `timing.jsonl`. TensorBoard and Weights & Biases never stop a run: what
    goes wrong there is a warning, once.

    Args:
        folder: the run's folder; files in it are continued. Call `restore` to cut them back.
        tensorboard: whether to write `tensorboard/` too.
        wandb: where to send metrics as well, or None.
        config: the options of the run, shown by Weights & Biases.
    """

    def __init__(
        self,
        folder: Path,
        tensorboard: bool = True,
        wandb: WandbOptions | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._metrics = _Lines(self.folder / METRICS)
        self._timing = _Lines(self.folder / TIMING)
        self._step = 0
        self._sinks: list[GuardedSink] = []
        if tensorboard:
            self._sinks.append(GuardedSink(TensorBoardSink(self.folder / "tensorboard")))
        if wandb is not None:
            self._sinks.append(GuardedSink(WandbSink(self.folder, wandb, dict(config or {}))))

    def write(self, kind: str, counters: Mapping[str, int], values: Mapping[str, float]) -> None:
        """Write one line `{"kind": ..., counters..., values...}`; NaN and infinity become null.

        Args:
            kind: what the values are of, such as "train" or "episode".
            counters: where the run stands; "frames", or else the first one, is the axis of plots.
            values: numbers or one-element tensors.

        Raises:
            StorageError: the line could not be written.
        """
        numbers = {name: float(value) for name, value in values.items()}
        self._metrics.add({"kind": kind, **_plain(counters), **_finite(numbers)})
        self._step = _axis(counters)
        for sink in self._sinks:
            sink.write(kind, self._step, numbers)

    def timing(self, counters: Mapping[str, int], values: Mapping[str, float]) -> None:
        """Write wall-clock numbers, which differ from run to run, into `timing.jsonl`."""
        numbers = {name: float(value) for name, value in values.items()}
        self._timing.add({**_plain(counters), **_finite(numbers)})
        for sink in self._sinks:
            sink.write("timing", _axis(counters), numbers)

    def state(self) -> dict[str, int]:
        """What a checkpoint records; everything written so far is made to survive a power cut."""
        return {
            "metrics_bytes": self._metrics.sync(),
            "timing_bytes": self._timing.sync(),
            "step": self._step,
        }

    def restore(self, state: Mapping[str, int] | None) -> None:
        """Cut the files back to what `state` recorded.

        None, for a start without a checkpoint, empties them.

        Raises:
            CheckpointError: a file is shorter than recorded.
        """
        recorded = state or {"metrics_bytes": 0, "timing_bytes": 0, "step": 0}
        self._metrics.cut(recorded["metrics_bytes"])
        self._timing.cut(recorded["timing_bytes"])
        self._step = recorded["step"]
        for sink in self._sinks:
            sink.resume(self._step if state else -1)

    def close(self) -> None:
        """Write out what the extras still hold, and let go of the files."""
        for sink in self._sinks:
            sink.close()
        self._metrics.close()
        self._timing.close()

    def __enter__(self) -> "Logger":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Lines:
    """A file of JSON lines; each is written by one call, so a killed run leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path):
            self._file = path.open("ab", buffering=0)

    def add(self, values: Mapping[str, Any]) -> None:
        line = (json.dumps(values, allow_nan=False) + "\n").encode()
        with writing(self.path):
            written = self._file.write(line)
            if written != len(line):
                raise OSError(f"only {written} of {len(line)} bytes fitted")

    def sync(self) -> int:
        """The length in bytes, after it is safe on disk."""
        with writing(self.path):
            os.fsync(self._file.fileno())
            sync(self.path.parent)
        return self.path.stat().st_size

    def cut(self, length: int) -> None:
        """Forget everything after the first `length` bytes."""
        found = self.path.stat().st_size
        if found < length:
            raise CheckpointError(
                f"{self.path} has {found} bytes, the checkpoint recorded {length}. Copy the file "
                "back from where the checkpoint comes from, or start a new run."
            )
        with writing(self.path):
            os.truncate(self.path, length)

    def close(self) -> None:
        self._file.close()


def _axis(counters: Mapping[str, int]) -> int:
    """The counter that plots use: frames, or else the first one."""
    return int(counters.get("frames", next(iter(counters.values()), 0)))


def _plain(counters: Mapping[str, int]) -> dict[str, int]:
    return {name: int(value) for name, value in counters.items()}


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Values as JSON has them: there is no NaN in JSON."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
