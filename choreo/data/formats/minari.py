"""Local Minari data sets, of its HDF5 and its Arrow back end.

Spaces and Arrow tables are read by Minari's library, after a look at what they declare; HDF5 is
read here, so that only the arrays asked for are.
"""

import io
import json
import math
from collections.abc import Callable
from os.path import lexists
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from choreo.data.arrays import Array, Lazy
from choreo.data.episode import ACTION, REWARD, EpisodeData, Reading, from_transitions
from choreo.data.files import BadFile, check_size, plain_file, plain_files, read_json, reading
from choreo.data.formats.hdf5_tree import Hdf5File
from choreo.data.formats.source import Source, missing, need
from choreo.data.reading import renamed
from choreo.data.schema import Entry, check, text, whole
from choreo.envs.flatten import Leaf, leaves
from choreo.errors import UsageError

METADATA = "metadata.json"
MAIN = "main_data.hdf5"
BACK_ENDS = {"hdf5": "h5py", "arrow": "pyarrow"}
REMEDY = "Copy the data set again, or give one of a newer Minari, which stores the spaces"
COUNT = Entry("a whole number from 0 on", whole)
HEADER = {
    "observation_space": Entry("a space as text", text, needed=True),
    "action_space": Entry("a space as text", text, needed=True),
    "data_format": Entry("hdf5 or arrow", lambda v: v in tuple(BACK_ENDS), needed=True),
    "total_steps": COUNT,
    "total_episodes": COUNT,
    "action_repeat": Entry("a whole number from 1 on", lambda v: whole(v, 1)),
    "jpeg_encoding": Entry("true or false", lambda v: isinstance(v, bool)),
}
MOST_ENTRIES = 2**24  # numbers in the bounds of a space [ours]


class MinariSource(Source):
    """A data set's folder, or the folder `data` in it.

    A `Box` observation is the key "observation"; nested spaces become flat as `envs.flatten` says.
    """

    format = "minari"

    def __init__(self, path: Path, reading: Reading) -> None:
        super().__init__(path, reading)
        self._data = data_folder(self.path) or self.path
        self._metadata = check(
            read_json(self._data / METADATA, self._data), HEADER, self._data / METADATA, REMEDY
        )
        self._storage = self._open()
        self.format = f"minari ({self._metadata['data_format']})"
        self._numbers = self._episodes()
        self.names = [f"{self._file(n)}: episode {n}" for n in self._numbers]
        self._repeat = self._metadata.get("action_repeat")
        self._bounds = _bounds(self._storage.action_space, self._data / METADATA)
        self._leaves, self._refused = leaves(self._storage.observation_space, dot=".")
        if not self._numbers:
            raise BadFile(self._data / METADATA, "it tells of no episode", "Give another data set")

    def files(self) -> list[Path]:
        return plain_files(self._data, ("",))

    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        return self._bounds

    def action_repeat(self) -> int | None:
        return self._repeat

    def expected_steps(self) -> int:
        told = int(self._metadata.get("total_steps") or 0) + len(self._numbers)
        return min(told, self.bytes())

    def notes(self) -> list[str]:
        return [f"'{key}' left out: it {reason}" for key, reason in self._refused.items()]

    def read(self, index: int) -> EpisodeData:
        number = self._numbers[index]
        if self._metadata["data_format"] == "arrow":
            return self._episode(index, self._from_arrow(number), _plain)
        path = plain_file(self._file(number), self._data)
        with Hdf5File(need("h5py", "HDF5 data"), path) as file:
            found = file.tree(file.group(f"episode_{number}"), ("infos",))
            return self._episode(index, found, self._from_hdf5)

    def _episode(
        self, index: int, found: dict[str, Any], take: Callable[[Leaf, Any], Array]
    ) -> EpisodeData:
        """An episode of arrays that are nested as the spaces are."""
        with reading(self._file(self._numbers[index])):
            cut, end = (np.asarray(found[n], bool) for n in ("truncations", "terminations"))
            per_action = {
                ACTION: np.asarray(found["actions"]).reshape(len(found["rewards"]), -1),
                REWARD: np.asarray(found["rewards"]),
                "is_terminal": end,
                "is_last": cut | end,
            }
            wanted = {k: leaf for k, leaf in self._leaves.items() if self._asked(k)}
            seen = {key: take(leaf, found["observations"]) for key, leaf in wanted.items()}
        seen = renamed(seen, self.reading, self.names[index])
        return from_transitions(
            seen, per_action, self.names[index], self.reading, declared=tuple(seen)
        )

    def _asked(self, key: str) -> bool:
        told = (*self.reading.keep, *(other for _, other in self.reading.named))
        return self.reading.keys is None or key in (*self.reading.keys, *told)

    def _open(self) -> Any:
        """The library's view of the set, once what its metadata declare has been looked at."""
        path = self._data / METADATA
        for name in ("observation_space", "action_space"):
            with reading(path):
                _check_space(json.loads(self._metadata[name]), path, name)
        storage = need("minari.dataset.minari_storage", "A Minari data set")
        try:
            with reading(path):
                return storage.MinariStorage.read(self._data.resolve())
        except BadFile as error:
            if isinstance(error.__cause__, ImportError):  # of what one of its back ends needs
                back_end = BACK_ENDS[self._metadata["data_format"]]
                raise missing("This Minari data set", back_end) from error
            raise

    def _episodes(self) -> list[int]:
        """The numbers of the episodes that are there, as many as the metadata tell."""
        told = int(self._metadata.get("total_episodes") or 0)
        if self._metadata["data_format"] == "arrow":
            there = sum(1 for entry in self._data.iterdir() if entry.name.isdecimal())
        else:
            path = plain_file(self._data / MAIN, self._data)
            try:
                with Hdf5File(need("h5py", "HDF5 data"), path) as file:
                    there = sum(name.startswith("episode_") for name in file.names(file.root))
            except BadFile:
                return list(range(min(told, 1)))  # which fails with the file's name
        if there < told:
            raise BadFile(
                self._data / METADATA,
                f"it tells of {told} episodes, and {there} are there",
                "Copy the data set again",
            )
        return list(range(told))

    def _file(self, number: int) -> Path:
        """The file that an episode is in; of several, the first."""
        if self._metadata["data_format"] != "arrow":
            return self._data / MAIN
        folder = self._data / str(number)
        return next(iter(plain_files(folder, (".arrow",))), folder / "part-0.arrow")

    def _from_arrow(self, number: int) -> dict[str, Any]:
        """The arrays of an episode as the library reads them."""
        files = plain_files(self._data / str(number), ("",))
        size = sum(plain_file(file, self._data).stat().st_size for file in files)
        steps = self._steps_of(number)
        widths = sum(np.prod(leaf.shape) * 8 for leaf in self._leaves.values())
        check_size(self._file(number), "observations", int(steps * widths), size)
        with reading(self._file(number)):
            (found,) = self._storage.get_episodes([number])
            return found

    def _steps_of(self, number: int) -> int:
        """Rows of an episode's tables, as their headers tell."""
        dataset = need("pyarrow.dataset", "This Minari data set")
        with reading(self._file(number)):
            files = [str(f) for f in plain_files(self._data / str(number), (".arrow",))]
            return dataset.dataset(files, format="arrow").count_rows() if files else 0

    def _from_hdf5(self, leaf: Leaf, tree: Any) -> Lazy:
        """One observation of an episode, read when it is asked for."""
        for step in leaf.path:
            tree = tree[step if isinstance(step, str) else f"_index_{step}"]
        packed = self._storage.jpeg_encoding and _is_packed(leaf)
        dtype = np.dtype("uint8" if leaf.is_image else "float32")
        size = int(np.prod(leaf.shape)) * len(tree) * dtype.itemsize
        path = self._data / MAIN

        def read(rows: slice) -> np.ndarray:
            check_size(path, leaf.key, size, path.stat().st_size)
            with reading(path):
                return _unpacked(leaf, tree[rows]) if packed else leaf.convert(tree[rows])

        return Lazy((len(tree), *leaf.shape), dtype, read)


def data_folder(path: Path) -> Path | None:
    """Where a Minari data set keeps its data, None where `path` is none."""
    for folder in (path / "data", path):
        if lexists(folder / METADATA):
            return folder
    return None


def _plain(leaf: Leaf, tree: Any) -> np.ndarray:
    return leaf.convert(leaf.pick(tree))


def _is_packed(leaf: Leaf) -> bool:
    """Whether Minari packs pictures of this space as JPEG."""
    module = need("minari.dataset.minari_storage", "A Minari data set")
    return bool(module.is_image_space(leaf.space))


def _unpacked(leaf: Leaf, cells: Array) -> np.ndarray:
    """Pictures of a space from their JPEG files, of which one is in memory at a time."""
    pictures = np.empty((len(cells), *(leaf.space.shape or ())), np.uint8)
    for row in range(len(cells)):
        cell = np.asarray(np.asarray(cells[row : row + 1])[0])
        with Image.open(io.BytesIO(cell.tobytes()), formats=("JPEG",)) as picture:
            if picture.size != pictures.shape[2:0:-1]:
                raise ValueError(f"a picture of {picture.size} pixels in place of {pictures.shape}")
            pictures[row] = np.asarray(picture)
    return leaf.convert(pictures)


def _check_space(told: Any, path: Path, name: str) -> None:
    """Refuse spaces so large that to make them would take all memory."""
    waiting = [told]
    while waiting:
        space = waiting.pop()
        if isinstance(space, str) and space.startswith("{"):
            space = json.loads(space)
        if isinstance(space, dict):
            size = math.prod(n for n in _list(space.get("shape")) if isinstance(n, int))
            if abs(size) > MOST_ENTRIES:
                raise BadFile(path, f"its '{name}' has an entry of {abs(size):.3g} numbers", REMEDY)
            waiting += space.values()
        elif isinstance(space, list):
            waiting += [one for one in space if isinstance(one, dict | list | str)]


def _list(told: Any) -> list[Any]:
    return told if isinstance(told, list) else []


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
