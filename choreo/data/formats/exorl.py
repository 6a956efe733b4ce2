"""ExORL's folder of episodes: `episode_NNNNNN_T.npz` with arrays of T + 1 rows.

Facts from ExORL (github.com/denisyarats/exorl, replay_buffer.py; arXiv 2201.13425): the numbers in
the name are the episode and its transitions T; row 0 is the reset; the action of row t led to the
observation of row t; reward and discount are (T + 1, 1); `physics` is the simulator's state.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from choreo.replay.segments import sync, writing

PHYSICS = "physics"
_NAME = re.compile(r"episode_(\d{6,})_(\d+)\.npz")


def episode_path(folder: Path, number: int, steps: int) -> Path:
    """Return where an episode of that number and that many transitions lies."""
    return folder / f"episode_{number:06d}_{steps}.npz"


def list_episodes(folder: Path) -> dict[int, int]:
    """Return the transitions of every whole episode in a folder, by its number and in order."""
    names = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return dict(sorted((int(name[1]), int(name[2])) for name in names if name))


def save_episode(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an episode whole or not at all, safe from a power cut; equal arrays give equal bytes.

    Raises:
        StorageError: the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path):
            with temporary.open("wb") as file:
                _save(file, arrays)
            sync(temporary)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _save(file: IO[bytes], arrays: Mapping[str, np.ndarray]) -> None:
    """As `numpy.savez_compressed` does, for arrays of any name: its own takes no "file"."""
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(values), allow_pickle=False)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left half written."""
    for path in folder.glob(".episode_*.tmp"):
        path.unlink(missing_ok=True)
