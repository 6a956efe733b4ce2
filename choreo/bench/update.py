"""What an update costs: time by part, memory, and the distance to the machine's matrix rate."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from choreo.bench.machine import (
    PartTimer,
    at_least,
    device_name,
    matrix_rates,
    peak_memory_gb,
)
from choreo.bench.workload import BenchConfig, make_learner, random_batch
from choreo.learner import Learner
from choreo.runtime import choose_device, set_threads
from choreo.world_model import Batch


@dataclass(frozen=True, kw_only=True)
class UpdateBenchConfig(BenchConfig):
    """Time, memory and dense operations of an update, next to what the machine can do."""

    updates: int = 10
    """Updates that count, after those that warm up."""

    @property
    def command(self) -> str:
        return "bench update"


@dataclass(frozen=True)
class UpdateTimes:
    """Medians of one configuration. Times in milliseconds, memory in 10^9 bytes."""

    ms_per_update: float
    quartiles: tuple[float, float]
    parts: dict[str, float]
    peak_memory_gb: float
    flops_per_update: float


@dataclass(frozen=True)
class UpdateCost(UpdateTimes):
    """Medians of one run. Times in milliseconds, memory in 10^9 bytes, rates in 10^9 FLOP/s.

    `matrix_rates` are the machine's for square products, measured in the same run, and
    `matrix_gflops` is the one of the precision in use.
    """

    preset: str
    phase: str
    device: str
    precision: str
    mode: str
    threads: int
    updates: int
    updates_per_second: float
    samples_per_second: float
    matrix_rates: dict[str, float | None]
    matrix_gflops: float
    fraction_of_limit: float
    sizes: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)


def bench_update(config: UpdateBenchConfig) -> UpdateCost:
    """Measure updates on random batches of the configuration's size.

    Raises UsageError for sizes that leave nothing to measure.
    """
    config.check()
    at_least("updates", config.updates, 1)
    threads, device = set_threads(config.threads), choose_device(config.device)
    times = time_updates(config, config.updates, device)
    rates = matrix_rates(device)
    rate, total = rates[config.precision], times.ms_per_update
    assert rate is not None, "what updates are calculated in, the device can do"
    return UpdateCost(
        **asdict(times),
        preset=config.preset,
        phase=config.phase,
        device=device_name(device),
        precision=config.precision,
        mode=config.mode,
        threads=threads,
        updates=config.updates,
        updates_per_second=1000 / total,
        samples_per_second=1000 * config.training.batch * config.training.length / total,
        matrix_rates=rates,
        matrix_gflops=rate,
        fraction_of_limit=times.flops_per_update / 1e6 / total / rate,
        sizes=config.sizes,
    )


def time_updates(config: BenchConfig, updates: int, device: torch.device) -> UpdateTimes:
    """Warm up, count operations, and time so many updates of a fresh learner on one batch."""
    learner, batch = make_learner(config, device), random_batch(config, device)
    flops = dense_flops(learner, batch)
    timer = PartTimer(device)
    for _ in range(1 if device.type == "cpu" else 3):  # allocations, caches
        learner.update(batch)
    if device.type == "cpu":
        learner.timer = timer
    for _ in range(updates):
        with timer("update"):
            learner.update(batch)
    if device.type != "cpu":  # where timing the parts makes updates wait
        learner.timer = timer
        for _ in range(updates):
            learner.update(batch)
    parts = timer.medians()
    return UpdateTimes(
        parts.pop("update"), timer.quartiles("update"), parts, peak_memory_gb(device), flops
    )


def dense_flops(learner: Learner, batch: Batch) -> float:
    """Floating-point operations of the products that one update asks for.

    The counter sees every product, also those that chunks do for their gradients as they go.
    """
    counter = FlopCounterMode(display=False)
    with counter:
        learner.update(batch)
    return float(counter.get_total_flops())
