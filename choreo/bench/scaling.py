"""How the cost of an update grows with batch, length, horizon, imagined starts and codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from choreo.bench.machine import at_least
from choreo.bench.update import UpdateTimes, time_updates
from choreo.bench.workload import BenchConfig, Report, settings
from choreo.errors import UsageError
from choreo.runtime import choose_device, set_threads
from choreo.training.run import LEAST

Size = Literal["batch", "length", "horizon", "starts", "codes"]

GROUPS: dict[Size, str] = {
    "batch": "training",
    "length": "training",
    "horizon": "imagination",
    "starts": "imagination",
    "codes": "skills",
}
"""Group of options that each size is in."""

Seen = dict[tuple[int, ...], UpdateTimes]
"""What was measured already, by all sizes."""


@dataclass(frozen=True, kw_only=True)
class ScalingBenchConfig(BenchConfig):
    """Time of an update, by part, against one size at a time, and how fast it grows."""

    vary: tuple[Size, ...] = ("batch", "length", "horizon", "starts", "codes")
    """Sizes that are changed, each alone; `starts` are the states that imagination starts from."""
    factors: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    """What each is multiplied with; more starts than the batch has states are left out."""
    updates: int = 5
    """Updates that are timed at each size."""
    plot: Path | None = None
    """Draw the times into this PNG file."""

    @property
    def command(self) -> str:
        return "bench scaling"


@dataclass(frozen=True)
class Point:
    """Milliseconds of an update and its parts at one value, and what the sizes then were."""

    value: int
    ms_per_update: float
    parts: dict[str, float]
    flops_per_update: float
    sizes: dict[str, int]


@dataclass(frozen=True)
class Growth:
    """Cost against one size.

    `exponents` are slopes of straight lines through log(ms) against log(size): 1 is linear, 2
    quadratic. They are of the whole "update", of each part, and of the "flops"; None for a single
    point.
    """

    size: Size
    points: list[Point]
    exponents: dict[str, float | None]


@dataclass(frozen=True, kw_only=True)
class ScalingCost(Report):
    """One growth for every size that was varied; `sizes` are those in the middle."""

    updates: int
    growths: list[Growth]


def bench_scaling(config: ScalingBenchConfig) -> ScalingCost:
    """Measure updates of fresh learners, one size changed at a time.

    Raises UsageError for sizes and factors that leave nothing to measure.
    """
    config.check()
    at_least("updates", config.updates, 1)
    values = {size: values_of(config, size) for size in config.vary}
    threads, device = set_threads(config.threads), choose_device(config.device)
    seen: Seen = {}
    growths = []
    for size in config.vary:
        points = [_point(config, size, value, device, seen) for value in values[size]]
        growths.append(Growth(size, points, exponents(points)))
    return ScalingCost(**settings(config, device, threads), updates=config.updates, growths=growths)


def _point(
    config: ScalingBenchConfig, size: Size, value: int, device: torch.device, seen: Seen
) -> Point:
    changed = with_size(config, size, value)
    key = tuple(changed.sizes.values())
    if key not in seen:  # the sizes have a point in common
        seen[key] = time_updates(changed, config.updates, device)
    times = seen[key]
    return Point(value, times.ms_per_update, times.parts, times.flops_per_update, changed.sizes)


def values_of(config: ScalingBenchConfig, size: Size) -> list[int]:
    """The values that one size takes, smallest first; raises UsageError where there are none."""
    if not config.factors or min(config.factors) <= 0:
        raise UsageError(f"--factors {config.factors}: wanted are numbers above 0")
    states = config.training.batch * config.training.length
    least = max(1, LEAST[f"{GROUPS[size]}.{size}"])
    values = {max(least, round(config.sizes[size] * factor)) for factor in config.factors}
    kept = sorted(value for value in values if size != "starts" or value <= states)
    if not kept:
        raise UsageError(
            f"--factors {config.factors} ask for more starts than a batch has states, {states}: "
            "give a factor of 1 or less, or leave starts out of --vary"
        )
    return kept


def with_size(config: ScalingBenchConfig, size: Size, value: int) -> ScalingBenchConfig:
    """The configuration with one size changed."""
    group = replace(getattr(config, GROUPS[size]), **{size: value})
    return replace(config, **{GROUPS[size]: group})


def exponents(points: Sequence[Point]) -> dict[str, float | None]:
    """Growth of the update, its operations, and each part."""
    columns: dict[str, list[float]] = {
        "update": [point.ms_per_update for point in points],
        "flops": [point.flops_per_update for point in points],
    }
    for name in points[0].parts:
        columns[name] = [point.parts[name] for point in points]
    values = [point.value for point in points]
    return {name: slope(values, costs) for name, costs in columns.items()}


def slope(values: Sequence[float], costs: Sequence[float]) -> float | None:
    """Exponent of the power law nearest to costs (n,) at values (n,); None for one value."""
    if len(values) < 2 or min(costs) <= 0:
        return None
    return float(np.polyfit(np.log(values), np.log(costs), 1)[0])


def curves_of(growth: Growth) -> Mapping[str, Mapping[int, float]]:
    """Milliseconds of the update and each part, by value."""
    curves = {"update": {point.value: point.ms_per_update for point in growth.points}}
    for name in growth.points[0].parts:
        curves[name] = {point.value: point.parts[name] for point in growth.points}
    return curves
