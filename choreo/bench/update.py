"""What an update costs: time by part, memory, and the distance to the machine's matrix rate."""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from choreo.bench.machine import (
    PartTimer,
    at_least,
    forget_peak_memory,
    matrix_rates,
    peak_memory_gb,
)
from choreo.bench.trace import DeviceWork, trace
from choreo.bench.workload import BenchConfig, Report, make_learner, random_batch, settings
from choreo.errors import UsageError
from choreo.runtime import choose_device, set_threads
from choreo.world_model import Batch


@dataclass(frozen=True, kw_only=True)
class UpdateBenchConfig(BenchConfig):
    """Time, memory and dense operations of an update, next to what the machine can do."""

    updates: int = 10
    """Updates that count, after those that warm up."""
    trace: bool = False
    """Watch one more update: launches, kernels, and how busy the device is. Needs CUDA."""

    @property
    def command(self) -> str:
        return "bench update"


@dataclass(frozen=True, kw_only=True)
class UpdateTimes:
    """Medians of one configuration. Times in milliseconds, memory in 10^9 bytes."""

    ms_per_update: float
    quartiles: tuple[float, float]
    parts: dict[str, float]
    peak_memory_gb: float
    flops_per_update: float
    work: DeviceWork | None
    """What the device did in an update that was watched; None if none was."""


@dataclass(frozen=True, kw_only=True)
class UpdateCost(Report, UpdateTimes):
    """Medians of one run; rates in 10^9 FLOP/s.

    `matrix_rates` are the machine's for square products, measured in the same run, and
    `matrix_gflops` is the one of the precision in use.
    """

    updates: int
    updates_per_second: float
    samples_per_second: float
    matrix_rates: dict[str, float | None]
    matrix_gflops: float
    fraction_of_limit: float


def bench_update(config: UpdateBenchConfig) -> UpdateCost:
    """Measure updates on random batches of the configuration's size.

    Raises UsageError for sizes that leave nothing to measure.
    """
    config.check()
    at_least("updates", config.updates, 1)
    threads, device = set_threads(config.threads), choose_device(config.device)
    if config.trace and device.type != "cuda":
        raise UsageError("--trace watches a CUDA device, and there is none here; leave it out")
    times = time_updates(config, config.updates, device, config.trace)
    rates = matrix_rates(device)
    rate, total = rates[config.precision], times.ms_per_update
    assert rate is not None, "what updates are calculated in, the device can do"
    return UpdateCost(
        **settings(config, device, threads),
        **vars(times),
        updates=config.updates,
        updates_per_second=1000 / total,
        samples_per_second=1000 * config.training.batch * config.training.length / total,
        matrix_rates=rates,
        matrix_gflops=rate,
        fraction_of_limit=times.flops_per_update / 1e6 / total / rate,
    )


def time_updates(
    config: BenchConfig, updates: int, device: torch.device, watched: bool = False
) -> UpdateTimes:
    """Time so many updates of a fresh learner on one batch, after some that warm up.

    With `watched`, one more is traced on a CUDA device.
    """
    batch = random_batch(config, device)
    flops = dense_flops(config, batch, device)
    learner, timer = make_learner(config, device), PartTimer(device)
    forget_peak_memory(device)
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
    total = parts.pop("update")
    learner.timer = lambda name: nullcontext()
    return UpdateTimes(
        ms_per_update=total,
        quartiles=timer.quartiles("update"),
        parts=parts,
        peak_memory_gb=peak_memory_gb(device),
        flops_per_update=flops,
        work=trace(lambda: learner.update(batch), total) if watched else None,
    )


def dense_flops(config: BenchConfig, batch: Batch, device: torch.device) -> float:
    """Floating-point operations of the products that one update asks for.

    They are counted in an update that runs operation by operation, however others run. The counter
    sees every product, also those that chunks do for their gradients as they go.
    """
    learner, counter = make_learner(config, device, "eager"), FlopCounterMode(display=False)
    with counter:
        learner.update(batch)
    return float(counter.get_total_flops())
