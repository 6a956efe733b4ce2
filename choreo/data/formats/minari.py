"""Local Minari data sets, of its HDF5 and its Arrow back end, read and written by its library."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from choreo.data.episode import (
    ACTION,
    REWARD,
    BadEpisode,
    EpisodeData,
    Reading,
    flattened,
    from_transitions,
)
from choreo.data.formats.source import Source, missing, need
from choreo.errors import UsageError

METADATA = "metadata.json"
BACK_ENDS = {"hdf5": "h5py", "arrow": "pyarrow"}


class MinariSource(Source):
    """A data set's folder, or the folder `data` in it.

    A `Box` observation is the key "observation"; dicts keep their names, joined with "_".
    """

    format = "minari"

    def __init__(self, path: Path, reading: Reading) -> None:
        super().__init__(path, reading)
        self._data = data_folder(self.path) or self.path
        metadata = _metadata(self._data)
        storage = need("minari.dataset.minari_storage", "A Minari data set")
        try:
            self._storage: Any = storage.MinariStorage.read(self._data.resolve())
        except ImportError as error:  # of what one of its back ends needs
            raise missing("This Minari data set", BACK_ENDS[metadata["data_format"]]) from error
        except Exception as error:  # the library raises whatever its metadata bring about
            raise UsageError(
                f"{self._data} cannot be read by Minari ({error!r}). Copy the data set again."
            ) from error
        self.format = f"minari ({metadata.get('data_format')})"
        self._steps = int(metadata.get("total_steps", 0))
        self._episodes = int(metadata.get("total_episodes", 0))
        self.names = [f"{self.path}: episode {number}" for number in range(self._episodes)]
        self._repeat = metadata.get("action_repeat")
        self._bounds = _bounds(self._storage.action_space, self.path)
        if not self._episodes:
            raise UsageError(f"{path} is a Minari data set without episodes. Give another one.")

    def files(self) -> list[Path]:
        return sorted(path for path in self._data.rglob("*") if path.is_file())

    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        return self._bounds

    def action_repeat(self) -> int | None:
        return self._repeat

    def expected_steps(self) -> int:
        return self._steps + self._episodes

    def read(self, index: int) -> EpisodeData:
        name = self.names[index]
        try:
            (found,) = self._storage.get_episodes([index])
        except Exception as error:  # the library raises whatever its back ends raise
            raise BadEpisode(
                name, f"Minari cannot read it ({error!r})", "Copy the data set again"
            ) from error
        per_action = {
            ACTION: np.asarray(found["actions"]),
            REWARD: np.asarray(found["rewards"]),
            "is_terminal": np.asarray(found["terminations"]),
        }
        per_action[ACTION] = per_action[ACTION].reshape(len(per_action[REWARD]), -1)
        return from_transitions(flattened(found["observations"]), per_action, name, self.reading)


def data_folder(path: Path) -> Path | None:
    """Where a Minari data set keeps its data, None where `path` is none."""
    for folder in (path / "data", path):
        if (folder / METADATA).is_file():
            return folder
    return None


def _metadata(data: Path) -> dict[str, Any]:
    """The metadata; spaces must be in it, as making an environment to learn them runs its code."""
    path = data / METADATA
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}). Copy the data set again.") from error
    missing = {"observation_space", "action_space", "data_format"} - set(metadata)
    if missing:
        raise UsageError(
            f"{path} does not tell {sorted(missing)}. Give a data set of a newer Minari, which "
            "stores them."
        )
    return metadata


def _bounds(space: Any, path: Path) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """The bounds of a Box of actions; None where one of them is infinite."""
    from gymnasium.spaces import Box

    if not isinstance(space, Box) or not np.issubdtype(space.dtype, np.floating):
        raise UsageError(
            f"{path} has actions {space}. Agents act with continuous values; give a data set whose "
            "actions are one Box of floating-point values."
        )
    low, high = (np.asarray(ends, np.float64).ravel() for ends in (space.low, space.high))
    if not np.isfinite([low, high]).all():
        return None
    return tuple(low.tolist()), tuple(high.tolist())
