"""What the numbers of a run depend on beside its options, and whether it is still the same."""

import logging
import platform
from collections.abc import Mapping

import torch

from choreo import native

log = logging.getLogger(__name__)


def computed_with(device: torch.device, precision: str, mode: str) -> dict[str, str]:
    """What computes the updates of a run here; equal entries give equal bits."""
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else f"{platform.machine()} CPU"
    return {
        "torch": torch.__version__,
        "device": name,
        "kernels": "none" if cuda else native.identity(),
        "precision": precision,
        "mode": mode,
        "threads": "any" if cuda else str(torch.get_num_threads()),
    }


def warn_if_inexact(before: Mapping[str, str] | None, now: Mapping[str, str]) -> None:
    """Say of a resume that it is not exact, where another thing computes than before.

    Older checkpoints do not tell.
    """
    changed = [
        f"{name} {before[name]} before, {value} now"
        for name, value in now.items()
        if before is not None and before.get(name, value) != value
    ]
    if changed:
        log.warning(
            "this resume is not exact, the numbers go on otherwise than without the stop: %s",
            "; ".join(changed),
        )
