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
from typing import NamedTuple

import torch

from choreo.native.cache import cache_folder, find, load, name_of

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


class Kernels(NamedTuple):
    """A loaded library and what it was made of: source, flags, compiler, processor, threads."""

    library: ctypes.CDLL
    identity: str


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None where they are turned off or cannot be built.

    CHOREO_NATIVE=0 turns them off. The first call builds them (two seconds) unless an earlier
    process has; one line of the log says what came of it, and whether they use several threads.
    """
    kernels = loaded()
    return None if kernels is None else kernels.library


def identity() -> str:
    """Which kernels compute here, or "none": the same numbers come from the same ones only."""
    kernels = loaded()
    return "none" if kernels is None else kernels.identity


@functools.cache
def loaded() -> Kernels | None:
    """As `library`, with what it was made of."""
    if os.environ.get("CHOREO_NATIVE", "1") == "0":
        log.info("native kernels: off (CHOREO_NATIVE=0), plain PyTorch instead")
        return None
    try:
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            raise FileNotFoundError("no C compiler: neither CC nor cc is a program")
        fingerprint = _fingerprint(compiler)
        path, content = _built(compiler, fingerprint)
        kernels = load(content)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        log.info("native kernels: none, plain PyTorch instead (%s)", error)
        return None
    # An OpenMP of their own does not know yet what PyTorch was told.
    threaded = kernels.choreo_threads(ctypes.c_long(torch.get_num_threads()))
    log.info("native kernels: %s%s", path, "" if threaded else f" ({ONE_THREAD})")
    return Kernels(kernels, fingerprint if threaded else f"{fingerprint}-one-thread")


def _built(compiler: str, fingerprint: str) -> tuple[Path, bytes]:
    """Path and bytes of the library, which is built where the cache has none.

    Where it cannot be kept, it is built for this process alone.
    """
    try:
        folder = cache_folder()
        found = find(folder, fingerprint)
        if found is not None:
            return found
        with _locked(folder / "build.lock"):  # so that processes that start together build once
            return find(folder, fingerprint) or _build(compiler, fingerprint, folder)
    except (OSError, RuntimeError) as error:
        with tempfile.TemporaryDirectory() as private:
            built = _build(compiler, fingerprint, Path(private))
        log.info("native kernels: built for this process alone (%s)", error)
        return built


def _build(compiler: str, fingerprint: str, place: Path) -> tuple[Path, bytes]:
    """With OpenMP, or without where that fails; raises OSError with the last reason."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        new = Path(folder) / "kernels.so"
        reason = None
        for threads in THREADS:
            command = [compiler, *FLAGS, threads, str(SOURCE), "-o", str(new), "-lm"]
            reason = _failure(command, new)
            if reason is None:
                content = new.read_bytes()
                path = place / name_of(content, fingerprint)
                new.chmod(0o600)
                new.replace(path)
                return path, content
        raise OSError(f"{compiler}: {reason}")


def _failure(command: list[str], result: Path) -> str | None:
    """Why a command made no library that can be loaded; None if it did."""
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if run.returncode != 0:
        return (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
    try:
        load(result.read_bytes())
    except OSError as error:
        return str(error)
    return None


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
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
