"""Updates per second of several processes that share a device, as several fine-tunings do."""

import time
from dataclasses import dataclass

import torch

from choreo.bench.machine import at_least, peak_memory_gb
from choreo.bench.processes import Wait, together
from choreo.bench.workload import (
    BenchConfig,
    PhaseName,
    Report,
    make_learner,
    random_batch,
    settings,
)
from choreo.errors import UsageError
from choreo.runtime import choose_device, keep_memory, set_threads, thread_count


@dataclass(frozen=True, kw_only=True)
class ThroughputBenchConfig(BenchConfig):
    """Updates per second of 1, 2, 4 and 8 processes that work at the same time."""

    phase: PhaseName = "finetune"
    """Whose update: of pre-training, or of fine-tuning with the meta-controller."""
    threads: int = 1
    """CPU threads of each process; 0 is one per core."""
    processes: tuple[int, ...] = (1, 2, 4, 8)
    """How many processes; each count is measured on its own."""
    seconds: float = 5.0
    """Seconds for which each of them updates; the last update is finished."""

    @property
    def command(self) -> str:
        return "bench throughput"


@dataclass(frozen=True)
class Share:
    """What one process did: updates and seconds, and 10^9 bytes at its peak."""

    updates: int
    seconds: float
    memory_gb: float
    device_memory_gb: float | None


@dataclass(frozen=True)
class Throughput:
    """Updates per second of every process and of all; memory in 10^9 bytes, of all together.

    `speedup` compares with a single process. `device_memory_gb` is what the CUDA device had given
    away, contexts included, and None on the CPU.
    """

    processes: int
    updates_per_second_each: list[float]
    updates_per_second: float
    speedup: float | None
    memory_gb: float
    device_memory_gb: float | None


@dataclass(frozen=True, kw_only=True)
class ThroughputRates(Report):
    """One line for every number of processes; `threads` are those of each."""

    rows: list[Throughput]


def bench_throughput(config: ThroughputBenchConfig) -> ThroughputRates:
    """Measure how processes that share the device slow one another.

    All of them warm up, wait for the others, and then update for the same time. Raises UsageError
    for sizes that leave nothing to measure and ChoreoError where a process dies, as it does when
    memory runs out.
    """
    config.check()
    at_least("processes", min(config.processes, default=0), 1)
    if config.seconds <= 0:
        raise UsageError(f"--seconds {config.seconds}: a measurement needs some time, such as 5")
    device = choose_device(config.device)
    shares = {count: together(update_share, [(config,)] * count) for count in config.processes}
    alone = _rate(shares[1]) if 1 in shares else None
    rows = [_line(entries, alone) for entries in shares.values()]
    return ThroughputRates(**settings(config, device, thread_count(config.threads)), rows=rows)


def _rate(shares: list[Share]) -> float:
    return sum(share.updates / share.seconds for share in shares)


def _line(shares: list[Share], alone: float | None) -> Throughput:
    given = [s.device_memory_gb for s in shares if s.device_memory_gb is not None]
    return Throughput(
        processes=len(shares),
        updates_per_second_each=[share.updates / share.seconds for share in shares],
        updates_per_second=_rate(shares),
        speedup=None if alone is None else _rate(shares) / alone,
        memory_gb=sum(share.memory_gb for share in shares),
        device_memory_gb=max(given, default=None),
    )


def update_share(wait: Wait, config: ThroughputBenchConfig) -> Share:
    """Warm up, wait for the other processes, and update for the given time."""
    keep_memory()
    set_threads(config.threads)
    device = choose_device(config.device)
    learner, batch = make_learner(config, device), random_batch(config, device)
    for _ in range(2):
        learner.update(batch)
    _finish(device)
    wait()
    updates, start = 0, time.perf_counter()
    while updates == 0 or time.perf_counter() - start < config.seconds:
        learner.update(batch)
        _finish(device)
        updates += 1
    seconds = time.perf_counter() - start
    return Share(updates, seconds, peak_memory_gb(device), _given_away(device))


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _given_away(device: torch.device) -> float | None:
    """10^9 bytes of a CUDA device that are in use by anybody."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info()
    return (total - free) / 1e9
