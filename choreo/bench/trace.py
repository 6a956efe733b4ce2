"""What a CUDA device does during one update: launches, kernels, and how much of the time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

LAUNCHES = ("cudaLaunch", "cuLaunch", "cudaGraphLaunch")  # how calls that start kernels begin


@dataclass(frozen=True)
class DeviceWork:
    """One update: calls of the host that start work, what ran, and for how much of the time."""

    launches: int
    kernels: int
    busy: float


def trace(update: Callable[[], Any], ms_per_update: float) -> DeviceWork:
    """Watch one update on a CUDA device; `ms_per_update` is what it takes when not watched."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        update()
        torch.cuda.synchronize()
    return work_of(found.events() or (), ms_per_update)


def work_of(events: Iterable[Any], ms_per_update: float) -> DeviceWork:
    """Sum up the profiler's events, whose times are in microseconds."""
    events = list(events)
    ran = [e for e in events if e.device_type.name == "CUDA" and not e.is_user_annotation]
    launches = [e for e in events if e.device_type.name == "CPU" and _starts_work(e.name)]
    spans = sorted((e.time_range.start, e.time_range.end) for e in ran)
    return DeviceWork(len(launches), len(ran), covered(spans) / 1000 / ms_per_update)


def _starts_work(name: str) -> bool:
    return name.startswith(LAUNCHES)


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of what intervals cover together; they are sorted by where they start."""
    total, reached = 0.0, float("-inf")
    for start, end in spans:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
