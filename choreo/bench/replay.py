"""How fast batches come from a replay of any size, in the system's memory or not."""

import os
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from choreo.bench.machine import PartTimer, at_least
from choreo.bench.update import time_updates
from choreo.bench.workload import BenchConfig, Report, random_spec, settings
from choreo.data.importer import LEAST_SEGMENT, MOST_SEGMENT, SEGMENTS
from choreo.errors import UsageError
from choreo.replay import Replay, SequenceSampler
from choreo.replay.header import Keys, record_layout
from choreo.runtime import choose_device, set_threads
from choreo.training.collector import step_keys

MOST_WARM = 2e9  # bytes of a replay that is read into memory as a whole
BLOCK = 1000  # steps of noise written at once
MOST_SECONDS = 1.0  # of one round; what draws slowly draws fewer batches
COLD_SHARE = 0.1  # of the steps of a replay that a cold round draws, lest it draw them twice

Content = Literal["holes", "noise"]
PageState = Literal["warm", "cold"]


@dataclass(frozen=True, kw_only=True)
class ReplayBenchConfig(BenchConfig):
    """Batches per second from a made-up replay, as training draws them."""

    steps: tuple[int, ...] = (100_000,)
    """Steps in the replay; several are measured in turns."""
    content: Content = "holes"
    """holes: sparse files, which have the size and take no room. noise: real ones, on the disk."""
    folder: Path | None = None
    """Where the temporary folder of the replay is made; None is where the system makes them."""
    batches: int = 50
    """Batches of a round at most; it ends after a second, and a cold one draws a tenth of all."""
    rounds: int = 7
    """Rounds, of which the median counts."""
    update: bool = False
    """Time updates too, and give sampling as a share of them."""
    updates: int = 3
    """Updates that are timed for it."""

    @property
    def command(self) -> str:
        return "bench replay"


@dataclass(frozen=True)
class ReplayRate:
    """Batches of one replay: "warm" from the system's memory, "cold" after it let go of them."""

    state: PageState
    steps: int
    gigabytes: float
    batches_per_second: float
    megabytes_per_second: float
    ms_per_batch: float
    percent_of_update: float | None


@dataclass(frozen=True, kw_only=True)
class ReplayRates(Report):
    """Rates of every size; `ms_per_update` is None unless it was asked for."""

    content: Content
    ms_per_update: float | None
    rows: list[ReplayRate]


def bench_replay(config: ReplayBenchConfig) -> ReplayRates:
    """Measure how fast batches are drawn and brought to the device, cold and warm.

    Replays above 2 GB are measured cold only. Raises UsageError for sizes that leave nothing to
    draw, and for noise that does not fit the disk.
    """
    config.check()
    for option in ("batches", "rounds", "updates"):
        at_least(option, getattr(config, option), 1)
    at_least("steps", min(config.steps, default=0), config.training.length)
    if config.folder is not None and not config.folder.is_dir():
        raise UsageError(f"--folder {config.folder} is no folder: make it, or give another")
    threads, device = set_threads(config.threads), choose_device(config.device)
    with tempfile.TemporaryDirectory(prefix="choreo-bench-", dir=config.folder) as folder:
        rates = _measure(config, Path(folder), device)
    total = time_updates(config, config.updates, device).ms_per_update if config.update else None
    return ReplayRates(
        **settings(config, device, threads),
        content=config.content,
        ms_per_update=total,
        rows=[_compared(rate, total) for rate in rates],
    )


def _compared(rate: ReplayRate, ms_per_update: float | None) -> ReplayRate:
    if ms_per_update is None:
        return rate
    return replace(rate, percent_of_update=100 * rate.ms_per_batch / ms_per_update)


def _measure(config: ReplayBenchConfig, folder: Path, device: torch.device) -> list[ReplayRate]:
    keys = step_keys(random_spec(config))
    row = record_layout(keys).itemsize
    replays = {
        steps: make_replay(folder / str(steps), keys, steps, config.content)
        for steps in config.steps
    }
    found = []
    for state in ("warm", "cold"):
        chosen = {s: r for s, r in replays.items() if state == "cold" or s * row <= MOST_WARM}
        for steps, seconds in _in_turns(config, chosen, state, device).items():
            found.append(_rate(state, steps, row, config, seconds))
    for replay in replays.values():
        replay.close()
    return found


def _rate(
    state: PageState, steps: int, row: int, config: ReplayBenchConfig, seconds: float
) -> ReplayRate:
    size = config.training.batch * config.training.length * row
    return ReplayRate(
        state=state,
        steps=steps,
        gigabytes=steps * row / 1e9,
        batches_per_second=1 / seconds,
        megabytes_per_second=size / seconds / 1e6,
        ms_per_batch=1000 * seconds,
        percent_of_update=None,
    )


def _in_turns(
    config: ReplayBenchConfig, replays: dict[int, Replay], state: PageState, device: torch.device
) -> dict[int, float]:
    """Seconds of a batch from each replay, in turns, so that the machine's moods meet all."""
    seconds: dict[int, list[float]] = {steps: [] for steps in replays}
    for number in range(config.rounds):
        for steps, replay in replays.items():
            (warm if state == "warm" else forget)(replay)
            rng = np.random.default_rng(config.seed + number)
            sampler = SequenceSampler(replay, config.training.batch, config.training.length, rng)
            seconds[steps].append(_round(sampler, _batches(config, steps, state), device))
    return {steps: statistics.median(values) for steps, values in seconds.items()}


def _batches(config: ReplayBenchConfig, steps: int, state: PageState) -> int:
    """Batches of a round at most."""
    a_tenth = int(COLD_SHARE * steps / (config.training.batch * config.training.length))
    return config.batches if state == "warm" else min(config.batches, max(1, a_tenth))


def _round(sampler: SequenceSampler, batches: int, device: torch.device) -> float:
    """Mean seconds of a batch."""
    timer, end = PartTimer(device), time.perf_counter() + MOST_SECONDS
    for number in range(batches):
        if number and time.perf_counter() > end:
            break
        with timer("batch"):
            for array in sampler.sample().values():
                torch.as_tensor(array).to(device)
    return statistics.fmean(timer.seconds["batch"])


def make_replay(folder: Path, keys: Keys, steps: int, content: Content) -> Replay:
    """A replay of one stream in a new folder, its files sized as those of an imported set.

    Raises UsageError where noise does not fit the disk.
    """
    row = record_layout(keys).itemsize
    wanted = min(max(steps * row // SEGMENTS, LEAST_SEGMENT), MOST_SEGMENT)
    replay = Replay(folder, keys, 1, segment_steps=max(1, wanted // row))
    if content == "noise":
        _fill(replay, keys, steps, row)
        return replay
    (folder / "stream_000").mkdir()
    for segment in range(-(-steps // replay.segment_steps)):
        with (folder / "stream_000" / f"{segment:08d}.steps").open("wb") as file:
            file.truncate(replay.segment_steps * row)
    return Replay.open(folder, {"format": 1, "start": [0], "stop": [steps]})


def _fill(replay: Replay, keys: Keys, steps: int, row: int) -> None:
    """Write noise, in numbers of each entry's kind."""
    room = shutil.disk_usage(replay.folder).free
    if steps * row > room:
        raise UsageError(
            f"--content noise needs {steps * row / 1e9:.1f} GB and {replay.folder.parent} has room "
            f"for {room / 1e9:.1f} GB: give fewer --steps, another --folder, or --content holes"
        )
    rng = np.random.default_rng(0)
    for start in range(0, steps, BLOCK):
        count = min(BLOCK, steps - start)
        replay.extend(0, {name: _noise(rng, (count, *s), kind) for name, (s, kind) in keys.items()})


def _noise(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    if kind == "float32":
        return rng.random(shape, np.float32)
    return rng.integers(0, 2 if kind == "bool" else 256, shape, np.uint8).astype(kind)


def warm(replay: Replay) -> None:
    """Read every file once."""
    for path in sorted(replay.folder.rglob("*.steps")):
        with path.open("rb") as file:
            while file.read(2**24):
                pass


def forget(replay: Replay) -> None:
    """Have the system drop every page of the files."""
    replay.close()
    for path in replay.folder.rglob("*.steps"):
        with path.open("rb") as file:
            os.fsync(file.fileno())  # pages that are not on the disk yet would stay
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
