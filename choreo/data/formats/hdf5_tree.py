"""The arrays of an HDF5 file, without a step out of it and without a byte more than it holds."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from choreo.data.arrays import Lazy, Tree
from choreo.data.files import BadFile, check_size, reading
from choreo.data.observations import NUMBERS

DEPTH = 8  # groups within groups that are followed [ours]
ENTRIES = 10_000  # arrays of one episode [ours]
REMEDY = "Write the file anew with the arrays themselves in it"


class Hdf5File:
    """An open file; whatever is in it is reached by its own links alone.

    Args:
        h5py: the library.
        path: a plain file.
    """

    def __init__(self, h5py: Any, path: Path) -> None:
        self._h5py, self.path = h5py, path
        self._size = path.stat().st_size
        with reading(path):
            self.root = h5py.File(path, "r")

    def __enter__(self) -> "Hdf5File":
        return self

    def __exit__(self, *_: object) -> None:
        self.root.close()

    def child(self, group: Any, name: str, depth: int = DEPTH) -> Any:
        """An entry of a group, None where there is none.

        Raises:
            BadFile: it lies in another file, or behind links in a circle.
        """
        with reading(self.path):
            if not self.has(group, name):
                return None
            link = group.get(name, getlink=True)
            if isinstance(link, self._h5py.HardLink):
                return group[name]
            if isinstance(link, self._h5py.ExternalLink) or not depth:
                raise BadFile(self.path, f"'{name}' is a link out of the file", REMEDY)
            found = self.root if link.path.startswith("/") else group
            for part in filter(None, link.path.split("/")):
                found = self.child(found, part, depth - 1)
                if not self.is_group(found):
                    break
            return found

    def has(self, group: Any, name: str) -> bool:
        """Whether there is an entry of that name, which is not followed."""
        with reading(self.path):
            return bool(group.id.links.exists(name.encode()))

    def is_group(self, entry: Any) -> bool:
        """Whether an entry is a group."""
        return isinstance(entry, self._h5py.Group)

    def group(self, name: str) -> Any:
        """A group directly below the root or two steps down, by its path.

        Raises:
            BadFile: there is none.
        """
        found = self.root
        for part in filter(None, name.split("/")):
            found = self.child(found, part)
            if not self.is_group(found):
                raise BadFile(self.path, f"'{name}' is no group")
        return found

    def names(self, group: Any) -> list[str]:
        """The names in a group."""
        with reading(self.path):
            return list(group)

    def tree(self, group: Any, skip: tuple[str, ...] = (), depth: int = DEPTH) -> Tree:
        """The arrays of a group, nested as its groups are; none is read yet.

        Raises:
            BadFile: one lies outside of the file, or declares more than the file can hold.
        """
        found: Tree = {}
        names = [name for name in self.names(group) if name not in skip]
        if len(names) > ENTRIES or not depth:
            raise BadFile(self.path, f"'{group.name}' is too wide or too deep to be an episode")
        for name in names:
            entry = self.child(group, name)
            if self.is_group(entry):
                found[name] = self.tree(entry, (), depth - 1)
            elif isinstance(entry, self._h5py.Dataset):
                found[name] = self.array(entry)
        return found

    def flag(self, dataset: Any, name: str) -> np.ndarray:
        """An array with a number for each row, read now.

        Raises:
            BadFile: it is something else, or see `tree`.
        """
        array = self.array(dataset) if isinstance(dataset, self._h5py.Dataset) else None
        if array is None or np.ndim(array) == 0 or array.dtype.kind not in NUMBERS:
            raise BadFile(self.path, f"its '{name}' holds no number for each row")
        return np.asarray(array)

    def array(self, dataset: Any) -> Any:
        """An array that is read when it is asked for; single values are read now.

        Raises:
            BadFile: see `tree`.
        """
        name = str(dataset.name)
        with reading(self.path):
            if dataset.is_virtual or dataset.external:
                raise BadFile(self.path, f"'{name}' is kept in another file", REMEDY)
            shape, dtype = tuple(dataset.shape or ()), dataset.dtype
            stored = min(dataset.id.get_storage_size(), self._size)
            packed = math.prod(dataset.chunks or ())
        declared = max(math.prod(shape), packed) * dtype.itemsize

        def read(rows: Any) -> Any:
            check_size(self.path, name, declared, stored)
            with reading(self.path):
                return dataset[rows]

        return Lazy(shape, dtype, read) if shape else np.asarray(read(()))
