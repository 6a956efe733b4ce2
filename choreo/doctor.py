"""What this machine offers and lacks: each finding with the advice that goes with it."""

import ctypes.util
import importlib.metadata
import os
import platform
import re
import resource
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

# Simulators break each other, so these two are only good together.
SIMULATOR_PAIR = {"mujoco": "3.3.0", "dm_control": "1.0.28"}
SHOWN_VERSIONS = ("choreo", "torch", "numpy", "gymnasium")
PYTHON_FIRST, PYTHON_LAST = (3, 11), (3, 13)
GIB = 2**30
# Room for a run's replay and checkpoints from states, and for one training process on the CPU.
DISK_WANTED, MEMORY_WANTED = 5 * GIB, 4 * GIB
RENDERER_NAMES = {"egl": "EGL", "osmesa": "OSMesa"}
# The library of each back end, and Debian's packages: the library's own, then its drivers.
RENDERER_PACKAGES = {
    "egl": ("EGL", ("libegl1", "libgl1-mesa-dri")),
    "osmesa": ("OSMesa", ("libosmesa6",)),
}
KEEP_PAGES = "MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_TOP_PAD_=268435456"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what was found, whether it will do, and what to do about it."""

    name: str
    value: str
    ok: bool
    advice: str = ""


def diagnose() -> list[Finding]:
    """Look at versions, simulators, device, renderer, threads, disk and memory (ours).

    Never raises: a check that fails is itself a finding. Takes a few seconds, because the renderer
    is tried in a process of its own. Disk is that of the working directory. Leaves the process
    with an allocator that keeps freed memory, as every command that trains does.
    """
    checks = (
        _python,
        _versions,
        _dependencies,
        _simulators,
        _device,
        _renderer,
        _threads,
        _disk,
        _memory,
        _page_allocator,
    )
    return [_guarded(check) for check in checks]


def _guarded(check: Callable[[], Finding]) -> Finding:
    """Run one check; turn whatever it raises into a finding, as a doctor outlives its patients."""
    try:
        return check()
    except Exception as error:
        name = check.__name__.strip("_").replace("_", " ")
        found = f"could not be examined: {type(error).__name__}: {error}"
        return Finding(name, found, False, "Run `make setup` again; if it stays, report this line.")


def _python() -> Finding:
    version = sys.version_info[:2]
    ok = PYTHON_FIRST <= version <= PYTHON_LAST
    advice = "" if ok else "Use Python 3.11, 3.12 or 3.13: make setup PYTHON=python3.12."
    return Finding("python", platform.python_version(), ok, advice)


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _versions() -> Finding:
    found = {name: _installed(name) for name in SHOWN_VERSIONS}
    missing = [name for name, version in found.items() if version is None]
    text = ", ".join(f"{name} {version or 'missing'}" for name, version in found.items())
    advice = f"Install {', '.join(missing)}: make setup." if missing else ""
    return Finding("versions", text, not missing, advice)


def _misfit(requirement: Requirement) -> str | None:
    """Return in words how the installed version misses a requirement, or None when it fits."""
    version = _installed(requirement.name)
    if version is None:
        return f"{requirement.name} is missing"
    if requirement.specifier.contains(version, prereleases=True):
        return None
    return f"{requirement.name} {version} is not {requirement.specifier}"


def _dependencies() -> Finding:
    declared = [Requirement(text) for text in importlib.metadata.requires("choreo") or []]
    wanted = [r for r in declared if r.marker is None or r.marker.evaluate({"extra": ""})]
    misfits = [text for text in map(_misfit, wanted) if text is not None]
    if not misfits:
        return Finding("dependencies", f"all {len(wanted)} present, in their range", True)
    advice = "Bring them into range: make setup, or pip install -c constraints.txt -e ."
    return Finding("dependencies", "; ".join(misfits), False, advice)


def _simulators() -> Finding:
    found = {name: _installed(name) for name in SIMULATOR_PAIR}
    text = ", ".join(f"{name} {version or 'missing'}" for name, version in found.items())
    wrong = [f"{name}=={v}" for name, v in SIMULATOR_PAIR.items() if found[name] != v]
    if not wrong:
        return Finding("simulators", text, True)
    # From Python 3.13 on dm_control asks for a package, labmaze, that cannot be installed there.
    alone = "--no-deps " if sys.version_info >= (3, 13) else ""
    advice = f"Only one pair works together: pip install {alone}{' '.join(wrong)}."
    return Finding("simulators", text, False, advice)


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        others = f", and {torch.cuda.device_count() - 1} more" * (torch.cuda.device_count() > 1)
        text = f"{properties.name}, {properties.total_memory / GIB:.0f} GiB{others}"
        return Finding("device", text, True)
    text = f"CPU ({_processor()})"
    if shutil.which("nvidia-smi") is None:
        return Finding("device", text, True, "Use --preset cpu: no CUDA device was found.")
    build = torch.version.cuda
    advice = (
        "There is an NVIDIA driver, but this torch is a CPU build: install a CUDA build of it."
        if build is None
        else f"torch was built for CUDA {build} and finds no device: check driver and permissions."
    )
    return Finding("device", text, False, advice)


def _processor() -> str:
    """Return the processor's model name, or its architecture where the system does not tell."""
    info = Path("/proc/cpuinfo")
    match = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.M) if info.exists() else None
    return match.group(1).strip() if match else platform.machine()


def _renderer() -> Finding:
    """Draw a frame with each OpenGL back end; one is enough, and states need none."""
    from choreo.envs.rendering.backends import BACKENDS, try_backend

    failures = {backend: try_backend(backend).failure for backend in BACKENDS}
    texts, advice = [], []
    for backend, failure in failures.items():
        name = RENDERER_NAMES[backend]
        texts.append(f"{name} draws" if failure is None else f"{name} does not ({failure})")
        if failure is not None:
            packages = _missing_packages(backend)
            advice.append(f"for {name} apt-get install {packages}" if packages else "")
    ok = None in failures.values()
    wanted = "; ".join(filter(None, advice))
    start = "One is enough; " if ok else "Training from states needs none; "
    return Finding("renderer", "; ".join(texts), ok, f"{start}{wanted}." if wanted else "")


def _missing_packages(backend: str) -> str:
    """Return Debian's packages for a back end that does not draw, without the library if there."""
    library, packages = RENDERER_PACKAGES[backend]
    there = ctypes.util.find_library(library) is not None
    return " ".join(packages[1:] if there else packages)


def _threads() -> Finding:
    import torch

    from choreo.runtime import usable_cores

    threads, cores = torch.get_num_threads(), usable_cores()
    text = f"{threads} for torch, {cores} cores usable"
    ok = threads <= cores
    advice = "" if ok else f"More threads than cores slow each other down: --threads {cores}."
    return Finding("threads", text, ok, advice)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    ok = free >= DISK_WANTED
    advice = (
        ""
        if ok
        else f"A run wants {DISK_WANTED / GIB:.0f} GiB: free some, or put --run-dir on another "
        "disk, or cap the replay."
    )
    return Finding("disk", f"{free / GIB:.1f} GiB free here", ok, advice)


def _available_memory() -> int:
    """Return the bytes a process may still take: the system's, or the container's if fewer."""
    info = Path("/proc/meminfo")
    if not info.exists():
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    match = re.search(r"^MemAvailable:\s+(\d+) kB", info.read_text(), re.M)
    system = int(match.group(1)) * 1024 if match else 0
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if not (limit.exists() and used.exists()) or limit.read_text().strip() == "max":
        return system
    return min(system, int(limit.read_text()) - int(used.read_text()))


def _memory() -> Finding:
    available = _available_memory()
    ok = available >= MEMORY_WANTED
    advice = (
        ""
        if ok
        else f"Training wants {MEMORY_WANTED / GIB:.0f} GiB: close other programs, or choose "
        "fewer environments or a smaller preset."
    )
    return Finding("memory", f"{available / GIB:.1f} GiB available", ok, advice)


def _share_of_fresh_pages(rounds: int = 4, size: int = 48 * 2**20) -> float:
    """Return which share of the pages of repeated large allocations come new from the system."""
    import torch

    for _ in range(12):  # an allocator that keeps memory first has to find room to keep
        torch.ones(size, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.ones(size, dtype=torch.uint8)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return min(faults * resource.getpagesize() / (rounds * size), 1.0)


def _page_allocator() -> Finding:
    """Measure whether freed memory is kept for the next tensor, as commands ask for at start."""
    from choreo.runtime import keep_memory

    keep_memory()
    share = _share_of_fresh_pages()
    if share < 0.5:
        return Finding("page allocator", "keeps freed memory for the next tensor", True)
    advice = f"Updates on the CPU spend much time on fresh memory; start with {KEEP_PAGES}."
    text = f"{share:.0%} of a large tensor's pages are fetched anew each time"
    return Finding("page allocator", text, False, advice)
