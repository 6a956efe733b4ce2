"""From the named arrays of a `dm_env.Environment` to one vector and images."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from dm_env import specs

from choreo.envs.flatten import flat_key
from choreo.envs.rendering import images
from choreo.envs.simulators.values import Declared, to_vector
from choreo.envs.spaces import ArraySpec
from choreo.errors import EnvironmentMismatch

_VECTOR = "observation"


class _Slot(NamedTuple):
    """Where an array lies in the flat vector; `key` is None for an observation without name."""

    key: str | None
    place: slice
    declared: Declared


class Layout:
    """Puts vectors end to end in their own order, as "observation", and turns images about.

    An image without a name is "observation" too. Raises `EnvironmentMismatch` for arrays that no
    agent can take.
    """

    def __init__(self, id: str, spec: Any) -> None:
        entries: dict[str | None, Any] = {None: spec}
        if isinstance(spec, Mapping):
            entries = dict(spec.items())
        for key, array in entries.items():
            _check_array(id, key, array)
        self._images = {
            _VECTOR if key is None else flat_key((key,), dot="."): _Picture(
                key, images.channels_last(array.shape), _declared(id, key, array)
            )
            for key, array in entries.items()
            if _is_image(array)
        }
        self._slots = _slots(id, {k: a for k, a in entries.items() if not _is_image(a)})
        self._size = self._slots[-1].place.stop if self._slots else 0
        self.observations = self._describe(id, entries)

    def read(self, raw: Any, first: bool = False) -> dict[str, np.ndarray]:
        """Return the arrays of one time step, freshly allocated; `first` looks at their range.

        Raises `EnvironmentMismatch` where they are not what was declared.
        """
        shown = {}
        if self._size:
            vector = shown[_VECTOR] = np.empty(self._size, dtype=np.float32)
            for key, place, declared in self._slots:
                vector[place] = to_vector(declared.name, _taken(raw, key, declared, first))
        for name, (key, last, declared) in self._images.items():
            shown[name] = images.channel_first(_taken(raw, key, declared, first), last)
        return shown

    def parts(self, vector: np.ndarray) -> dict[str | None, np.ndarray]:
        """Return the arrays by their own names, flat, that a vector (D,) was put together from."""
        return {key: vector[place] for key, place, _ in self._slots}

    def _describe(self, id: str, entries: dict[str | None, Any]) -> dict[str, ArraySpec]:
        if self._size and _VECTOR in self._images:
            raise EnvironmentMismatch(
                f"{id}: an image is called '{_VECTOR}', which is the name of all its vectors put"
                " together. Give the image another name."
            )
        shown = {_VECTOR: ArraySpec((self._size,), "float32")} if self._size else {}
        for name, (key, last, _) in self._images.items():
            shown[name] = images.image_spec(entries[key].shape, last)
        if not shown:
            raise EnvironmentMismatch(f"{id} shows no observation at all.")
        return shown


class _Picture(NamedTuple):
    """An image by its own name, whether its channels come last, and what it declares."""

    key: str | None
    last: bool
    declared: Declared


def _taken(raw: Any, key: str | None, declared: Declared, first: bool) -> np.ndarray:
    if key is not None and key not in raw:
        raise EnvironmentMismatch(
            f"{declared.name} is declared, and what was given has none of that name"
        )
    return declared.take(raw if key is None else raw[key], first)


def _declared(id: str, key: str | None, array: specs.Array) -> Declared:
    name = f"{id}: {_name(key)}"
    bounded = isinstance(array, specs.BoundedArray)
    bounds = (array.minimum, array.maximum) if bounded else (None, None)
    return Declared(name, tuple(array.shape), np.dtype(array.dtype), *bounds)


def _name(key: str | None) -> str:
    return "its observation" if key is None else f"the observation '{key}'"


def _slots(id: str, entries: dict[str | None, Any]) -> list[_Slot]:
    slots: list[_Slot] = []
    start = 0
    for key, array in entries.items():
        stop = start + math.prod(array.shape)
        slots.append(_Slot(key, slice(start, stop), _declared(id, key, array)))
        start = stop
    return slots


def _is_image(array: Any) -> bool:
    return len(array.shape) == 3 and array.dtype == np.uint8


def _check_array(id: str, key: str | None, array: Any) -> None:
    name = _name(key)
    if not isinstance(array, specs.Array):
        raise EnvironmentMismatch(
            f"{id}: {name} is a {type(array).__name__}; wanted one array per name, without nesting."
        )
    if array.dtype.kind not in "fiub":
        raise EnvironmentMismatch(f"{id}: {name} has dtype {array.dtype}; wanted numbers.")
    if len(array.shape) > 3 and array.dtype == np.uint8:
        raise EnvironmentMismatch(
            f"{id}: {name} has shape {array.shape}; wanted one image (H, W, C), not a stack."
        )
    if images.looks_like_one(array.shape) and array.dtype != np.uint8:
        raise EnvironmentMismatch(f"{id}: {images.wrong_dtype(name, array.shape, array.dtype)}")
