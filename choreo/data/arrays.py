"""Arrays that are in a file still: form known, values read when they are asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Lazy:
    """An array of a file; `numpy.asarray` reads the rows that it stands for."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[slice], Any]
    """Gives some of its rows."""
    rows: slice | None = None
    """Which rows it stands for; None is all, also where it has no rows."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> "Lazy":
        first = 0 if self.rows is None else self.rows.start
        start, stop, _ = rows.indices(len(self))
        held = max(0, stop - start)
        taken = slice(first + start, first + start + held)
        return Lazy((held, *self.shape[1:]), self.dtype, self.read, taken)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = self.read(slice(None) if self.rows is None else self.rows)
        return np.asarray(values) if dtype is None else np.asarray(values, dtype)


Array = np.ndarray | Lazy
Tree = dict[str, Any]
"""Arrays by name, or further trees."""


def with_last(values: Array, after: Array) -> Lazy:
    """An array (T, ...) with the last row of another: (T + 1, ...)."""

    def read(rows: slice) -> np.ndarray:
        return np.concatenate([np.asarray(values), np.asarray(after[-1:])])[rows]

    return Lazy((len(values) + 1, *values.shape[1:]), values.dtype, read)


def rows_of(tree: Mapping[str, Any], start: int, stop: int, steps: int) -> Tree:
    """Rows `start` to `stop` of every array that has one per step, or one more.

    The last of `steps` comes with what follows it. Arrays of other lengths stay as they are.
    """
    end = None if stop == steps else stop
    cut: Tree = {}
    for name, values in tree.items():
        if isinstance(values, Mapping):
            cut[name] = rows_of(values, start, stop, steps)
        elif np.ndim(values) and len(values) in (steps, steps + 1):
            cut[name] = values[start:end]
        else:
            cut[name] = values
    return cut


def forms(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dtype and shape of one row of every array, by its path; nothing is read."""
    found: dict[str, str] = {}
    for name, values in tree.items():
        if isinstance(values, Mapping):
            found |= forms(values, f"{prefix}{name}/")
        elif np.ndim(values):
            found[f"{prefix}{name}"] = f"{values.dtype}{list(values.shape[1:])}"
    return found
