"""What a run was made on and by: processor, device, and the commit of the code."""

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
SECONDS = 10  # for git, which may lie on a slow disk


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Versions of packages by the names they are installed under; "not installed" where missing."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def hardware(cuda: bool = True) -> dict[str, Any]:
    """Processor, usable cores, and with `cuda` the name of the CUDA device, or None."""
    import torch  # here, so that reading a run needs no torch

    device = torch.cuda.get_device_name() if cuda and torch.cuda.is_available() else None
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "cuda_device": device,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit(folder: Path = PACKAGE) -> str | None:
    """Commit of the checkout that the code runs from, with "-dirty" where files differ from it.

    None for code that lies in no checkout, such as an installed wheel.
    """
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    """What a git command prints; None where it fails, or where there is no git."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env=variables | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
