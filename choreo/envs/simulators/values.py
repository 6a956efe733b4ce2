"""What a simulator gives, compared with what it declares, before anything of it is converted."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from choreo.envs.rendering import images
from choreo.envs.spaces import ROUNDING
from choreo.errors import EnvironmentMismatch


@dataclass(frozen=True)
class Declared:
    """Shape, dtype and bounds that an environment declares for one observation; None: no bounds."""

    name: str
    """How a sentence names it, with the environment: "my:Arm: the observation 'x'"."""
    shape: tuple[int, ...]
    dtype: np.dtype
    low: np.ndarray | float | None = None
    high: np.ndarray | float | None = None

    def take(self, value: Any, first: bool) -> np.ndarray:
        """Return the value as an array of the declared shape; `first` looks at its range too.

        Raises `EnvironmentMismatch` where it is not what was declared.
        """
        array = np.asarray(value)
        if array.shape != self.shape:
            self._refuse(f"has shape {array.shape} and declares {self.shape}")
        if array.dtype != self.dtype:
            self._check_dtype(array)
        if first and self.low is not None and self.high is not None:
            self._check_range(array)
        return array

    def _check_dtype(self, array: np.ndarray) -> None:
        if array.dtype.kind not in "fiub":
            self._refuse(f"is {array.dtype} and declares {self.dtype}")
        if self.dtype.kind == "f" or is_exact(array, self.dtype):
            return
        if self.dtype == np.uint8 and array.ndim > 1:
            text = images.wrong_dtype("its picture", array.shape, array.dtype)
            self._refuse(f"is {array.dtype} and declares uint8: {text.rstrip('.')}")
        self._refuse(f"is {array.dtype} and declares {self.dtype}, which cannot hold its values")

    def _check_range(self, array: np.ndarray) -> None:
        low, high = np.asarray(self.low), np.asarray(self.high)
        margin = ROUNDING * np.maximum(1, np.abs(np.where(np.isfinite(array), array, 0)))
        outside = np.isfinite(array) & ((array < low - margin) | (array > high + margin))
        if outside.any():
            found = float(array[outside].flat[0])
            self._refuse(
                f"holds {found:.6g}, outside of its declared bounds"
                f" {_span(low, outside)} to {_span(high, outside)}"
            )

    def _refuse(self, found: str) -> None:
        raise EnvironmentMismatch(
            f"{self.name} {found}. Let the environment declare what it gives, or give what it"
            " declares."
        )


def is_exact(array: np.ndarray, dtype: np.dtype) -> bool:
    """Return whether a dtype holds every value of an array."""
    with np.errstate(all="ignore"):
        return np.array_equal(array.astype(dtype).astype(array.dtype), array)


def to_vector(name: str, array: np.ndarray) -> np.ndarray:
    """Return a fresh float32 vector; whole numbers that it cannot hold are an error.

    Raises `EnvironmentMismatch`.
    """
    vector = np.array(array, np.float32).reshape(-1)
    if array.dtype.kind in "iu" and not is_exact(array, vector.dtype):
        raise EnvironmentMismatch(
            f"{name} holds whole numbers up to {int(np.abs(array).max())}, and an agent sees"
            " float32, which tells them apart up to 16777216. Scale it in the environment, or"
            " leave it out with the option keys."
        )
    return vector


def reward_of(id: str, value: Any) -> float:
    """Return a reward as a number; raises `EnvironmentMismatch` for anything else."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiub":
        raise EnvironmentMismatch(f"{id}: the reward is {_short(value)}; wanted one number.")
    return float(array.reshape(()))


def flag_of(id: str, name: str, value: Any) -> bool:
    """Return a flag of a step; raises `EnvironmentMismatch` for what is neither true nor false."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biu":
        raise EnvironmentMismatch(f"{id}: {name} is {_short(value)}; wanted True or False.")
    return bool(array.reshape(()))


def _short(value: Any) -> str:
    return repr(value) if len(repr(value)) < 80 else f"a {type(value).__name__}"


def _span(bound: np.ndarray, outside: np.ndarray) -> str:
    return f"{float(np.broadcast_to(bound, outside.shape)[outside].flat[0]):g}"
