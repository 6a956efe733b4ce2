"""Clocks, memory and rates of the machine that a measurement runs on."""

import platform
import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from choreo.errors import UsageError
from choreo.runtime import usable_cores

REPEATS = 5  # products of which the fastest counts
PRODUCT_SIZE = {"cpu": 2048, "cuda": 8192}  # rows and columns; large enough to fill the device


class PartTimer:
    """Collects the time of every named part of every update, in seconds.

    On CUDA it waits for the device before and after each part.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, list[float]] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._wait()
        start = time.perf_counter()
        yield
        self._wait()
        self.seconds.setdefault(name, []).append(time.perf_counter() - start)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def medians(self) -> dict[str, float]:
        """Median milliseconds of every part; the entropy reward is taken out of the skills."""
        parts = {name: 1000 * statistics.median(times) for name, times in self.seconds.items()}
        if "entropy_reward" in parts:
            parts["skills"] -= parts["entropy_reward"]
        return parts

    def quartiles(self, name: str) -> tuple[float, float]:
        """Milliseconds that a quarter and three quarters of the times of a part stay below."""
        return percentile(self.seconds[name], 25), percentile(self.seconds[name], 75)


def percentile(seconds: Sequence[float], percent: int) -> float:
    """Milliseconds that `percent` of the times (seconds) stay below, interpolated between two."""
    if len(seconds) == 1:
        return 1000 * seconds[0]
    return 1000 * statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


def matrix_rates(device: torch.device) -> dict[str, float | None]:
    """10^9 FLOP/s of square products in fp32, tf32 and bf16: the limits to aim at.

    tf32 is a format of CUDA devices and None elsewhere.
    """
    rates: dict[str, float | None] = dict.fromkeys(("fp32", "tf32", "bf16"))
    with _matmul_precision("highest"):
        rates["fp32"] = _rate(device, torch.float32)
    if device.type == "cuda":
        with _matmul_precision("high"):
            rates["tf32"] = _rate(device, torch.float32)
    return rates | {"bf16": _rate(device, torch.bfloat16)}


@contextmanager
def _matmul_precision(name: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _rate(device: torch.device, dtype: torch.dtype) -> float:
    size, timer = PRODUCT_SIZE[device.type], PartTimer(device)
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    for _ in range(REPEATS + 1):
        with timer("product"):
            torch.mm(a, b)
    return 2 * size**3 / min(timer.seconds["product"]) / 1e9


def peak_memory_gb(device: torch.device) -> float:
    """10^9 bytes: of this process on the CPU, of its tensors on CUDA."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def forget_peak_memory(device: torch.device) -> None:
    """Count the peak from here on, where that can be done: on CUDA."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()


def device_name(device: torch.device) -> str:
    """The name of a CUDA device, or "cpu"."""
    return torch.cuda.get_device_name() if device.type == "cuda" else "cpu"


def machine() -> str:
    """Processor, the cores of it that this process may use, and PyTorch's version, in words."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.machine()
    return f"{processor}, {usable_cores()} cores, torch {torch.__version__}"


def at_least(option: str, found: int | float, least: int | float) -> None:
    """Refuse an option that leaves nothing to measure."""
    if found < least:
        raise UsageError(f"--{option} is {found}; wanted is at least {least}")
