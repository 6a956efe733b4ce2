"""The machine a run is on: device, threads and the memory allocator."""

import ctypes
import os
import sys
from typing import Literal

import torch

from choreo.errors import UsageError

# Names of glibc's malloc parameters (malloc.h).
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def choose_device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device that `name` means here; refuses CUDA where there is none."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UsageError(
            "--device cuda: PyTorch sees no CUDA device here; `choreo doctor` says more. Use "
            "--device cpu or --device auto"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def usable_cores() -> int:
    """CPU cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_threads(threads: int) -> int:
    """Let the networks use that many CPU threads (0: one per core) and return the number."""
    count = threads or usable_cores()
    torch.set_num_threads(count)
    return count


def keep_memory() -> bool:
    """Ask glibc to keep freed memory instead of handing it back to the kernel.

    An update frees and takes large blocks again and again; fetching fresh pages from the kernel
    costs up to 40% of its time. Returns whether the allocator understood.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
