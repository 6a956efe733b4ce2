"""What an update costs: time by part, memory, and the distance to the machine's matrix rate."""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from choreo import native
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
from choreo.skills import entropy_reward


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
    flops = dense_flops(config, device)
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
    if "codebook" in timer.seconds and "entropy_reward" not in timer.seconds:  # a graph holds it
        _time_entropy_reward(config, updates, device, timer)
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


def _time_entropy_reward(
    config: BenchConfig, updates: int, device: torch.device, timer: PartTimer
) -> None:
    """Time it by itself, on as many random particles, after one call that warms up."""
    random = torch.Generator(device).manual_seed(config.seed)
    shape = (config.sizes["particles"], config.model.deter)
    particles = 2 * torch.rand(shape, generator=random, device=device) - 1
    neighbours, clip = config.skills.neighbours, config.skills.entropy_clip
    entropy_reward(particles, neighbours, clip)
    for _ in range(updates):
        with timer("entropy_reward"):
            entropy_reward(particles, neighbours, clip)


def dense_flops(config: BenchConfig, device: torch.device) -> float:
    """Floating-point operations of the products that one update asks for, as if none were saved.

    They are counted operation by operation and without kernels, for few sequences and starts. They
    grow with the sequences, the starts, and (the distances between imagined states) the square of
    the starts; so the number for the sizes in `config` follows exactly.
    """
    points = [(4, 1), (8, 1), (4, 2), (4, 3)]  # sequences, starts
    counts = [_count_flops(config, device, *point) for point in points]
    sizes = (config.training.batch, config.sizes["starts"])
    terms = np.linalg.solve([_growth(*point) for point in points], counts)
    return float(np.dot(_growth(*sizes), terms))


def _growth(sequences: int, starts: int) -> list[int]:
    return [1, sequences, starts, starts**2]


def _count_flops(config: BenchConfig, device: torch.device, sequences: int, starts: int) -> float:
    small = replace(
        config,
        training=replace(config.training, batch=sequences),
        imagination=replace(config.imagination, starts=starts),
    )
    batch = random_batch(small, device)
    learner, counter = make_learner(small, device, "eager"), FlopCounterMode(display=False)
    with counter, native.plain():
        learner.update(batch)
    return counter.get_total_flops()
