"""What a run writes down and how it is picked up again: checkpoints, metrics, random streams."""

from choreo.record.checkpoint import latest, list_checkpoints, load, load_state, save
from choreo.record.logger import Logger
from choreo.record.progress import Progress, Stopwatch
from choreo.record.rng import Streams, derive_seed
from choreo.record.run_folder import RunFolder, existing_run, is_claimed, open_run, versions
from choreo.record.sinks import WandbOptions

__all__ = [
    "Logger",
    "Progress",
    "RunFolder",
    "Stopwatch",
    "Streams",
    "WandbOptions",
    "derive_seed",
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
