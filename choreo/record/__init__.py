"""What a run writes down and how it is picked up again: checkpoints, metrics, random streams."""

from typing import TYPE_CHECKING, Any

from choreo.record.checkpoint import latest, list_checkpoints, load, load_state, save
from choreo.record.run_folder import RunFolder, existing_run, is_claimed, open_run, versions

if TYPE_CHECKING:
    from choreo.record.logger import Logger
    from choreo.record.progress import Progress, Stopwatch
    from choreo.record.rng import Streams, derive_seed, episode_seed
    from choreo.record.sinks import WandbOptions

__all__ = [
    "Logger",
    "Progress",
    "RunFolder",
    "Stopwatch",
    "Streams",
    "WandbOptions",
    "derive_seed",
    "episode_seed",
    "existing_run",
    "is_claimed",
    "latest",
    "list_checkpoints",
    "load",
    "load_state",
    "open_run",
    "save",
    "versions",
]

_LATER = {
    "Logger": "logger",
    "Progress": "progress",
    "Stopwatch": "progress",
    "Streams": "rng",
    "WandbOptions": "sinks",
    "derive_seed": "rng",
    "episode_seed": "rng",
}
"""Names whose modules import torch or draw bars: not needed to read what a run says."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
