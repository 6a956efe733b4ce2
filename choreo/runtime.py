"""The machine a run is on: device, threads and the memory allocator."""

import ctypes
import logging
import os
import sys
from pathlib import Path
from typing import Literal

import torch

from choreo.errors import UsageError

log = logging.getLogger(__name__)

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


def thread_count(threads: int) -> int:
    """How many CPU threads an option of that many is (0: one per core).

    More than there are cores would get in each other's way: they are as many as cores then.
    """
    return min(threads or usable_cores(), usable_cores())


def set_threads(threads: int) -> int:
    """Let the networks use `thread_count(threads)` CPU threads and return the number."""
    count = thread_count(threads)
    torch.set_num_threads(count)
    return count


def keep_memory() -> bool:
    """See to a memory allocator that keeps what is freed instead of handing it to the kernel.

    An update frees and takes large blocks again and again; fetching fresh pages from the kernel
    costs up to 40% of its time. Allocators that do so by themselves (tcmalloc, jemalloc; preloaded)
    are left alone, glibc's is told to. A line of the log says which it is. Returns whether memory
    is kept.
    """
    own = _preloaded_allocator()
    kept = own is not None or _tell_glibc()
    found = own or ("glibc's, told to keep" if kept else "the system's, which may not keep")
    log.info("memory allocator: %s freed memory" if own is None else "memory allocator: %s", found)
    return kept


def _preloaded_allocator() -> str | None:
    """The allocator of this process that keeps memory by itself, if it has one."""
    try:
        libraries = Path("/proc/self/maps").read_text()
    except OSError:
        return None
    return next((name for name in ("tcmalloc", "jemalloc") if f"lib{name}" in libraries), None)


def _tell_glibc() -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
