"""Builds the kernels once per machine, when there is a compiler, and keeps them in the cache."""

import ctypes
import fcntl
import functools
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

log = logging.getLogger(__name__)

ONE_THREAD = "on one thread: the compiler had no OpenMP; once it has, delete that file"
SOURCE = Path(__file__).with_name("kernels.c")
# Sums may be reordered, so that they vectorise; the rest of -ffast-math is left out, because it
# would change how the whole process treats tiny numbers.
FLAGS = (
    "-O3", "-march=native", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math",
    "-fassociative-math", "-fno-signed-zeros",
)  # fmt: skip
THREADS = ("-fopenmp", "-fopenmp-simd")
"""Loops on all threads, or, where the compiler comes without OpenMP, on one."""


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None where they are turned off or cannot be built.

    CHOREO_NATIVE=0 turns them off. The first call builds them (two seconds) unless an earlier
    process has; one line of the log says what came of it, and whether they use several threads.
    """
    if os.environ.get("CHOREO_NATIVE", "1") == "0":
        log.info("native kernels: off (CHOREO_NATIVE=0), plain PyTorch instead")
        return None
    try:
        path = _built()
        kernels = ctypes.CDLL(str(path))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        log.info("native kernels: none, plain PyTorch instead (%s)", error)
        return None
    # An OpenMP of their own does not know yet what PyTorch was told.
    threaded = kernels.choreo_threads(ctypes.c_long(torch.get_num_threads()))
    log.info("native kernels: %s%s", path, "" if threaded else f" ({ONE_THREAD})")
    return kernels


def _built() -> Path:
    """Path of the library for this source, compiler and processor; builds it where it is absent."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise FileNotFoundError("no C compiler: neither CC nor cc is a program")
    folder = _cache_folder()
    path = folder / f"kernels-{_fingerprint(compiler)}.so"
    with _locked(folder / "build.lock"):
        if not path.exists():
            _build(compiler, path)
    return path


def _build(compiler: str, path: Path) -> None:
    """With OpenMP, or without where that fails; raises OSError with the compiler's last words."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        new = Path(folder) / path.name
        said = ""
        for threads in THREADS:
            command = [compiler, *FLAGS, threads, str(SOURCE), "-o", str(new), "-lm"]
            run = subprocess.run(command, capture_output=True, text=True, timeout=120)
            if run.returncode == 0:
                new.replace(path)
                return
            said = (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
        raise OSError(f"{compiler} does not compile them: {said}")


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root) / "choreo" / "native"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _fingerprint(compiler: str) -> str:
    """What the machine code depends on: source, flags, compiler and the processor's abilities."""
    version = subprocess.run(
        [compiler, "--version"], check=True, capture_output=True, timeout=30
    ).stdout
    flags = " ".join((*FLAGS, *THREADS)).encode()
    parts = (SOURCE.read_bytes(), flags, compiler.encode(), version, _cpu())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _cpu() -> bytes:
    """The lines of /proc/cpuinfo that name the first processor and what it can do."""
    keys = (b"model name", b"flags", b"Features", b"CPU part")
    lines = Path("/proc/cpuinfo").read_bytes().split(b"\n\n")[0].split(b"\n")
    return b"\n".join(line for line in lines if line.startswith(keys))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, so that processes that start together build once."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
