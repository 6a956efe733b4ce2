"""From nested spaces to the keys that agents see: one rule for environments and for recorded data.

Entries of nested `Dict` and `Tuple` spaces get their names and places joined with "/", a single
space is "observation". `Box` becomes a float32 vector, whatever its rank, or stays a uint8 image;
`Discrete` and `MultiDiscrete` become one-hot vectors, `MultiBinary` zeros and ones.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from choreo.envs.rendering import images
from choreo.envs.spaces import RESERVED

OBSERVATION = "observation"  # the key of a space without entries
SEPARATOR = "/"
MOST_HOT = 4_096  # entries of a one-hot vector: more is a number and no choice [ours]

Path = tuple[str | int, ...]
Flat = spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary


@dataclass(frozen=True)
class Leaf:
    """One array that an agent sees: its key, where it lies in the nested observation, its space."""

    key: str
    path: Path
    space: Flat

    @property
    def is_image(self) -> bool:
        """Whether it is an image: uint8 of rank 3, or of rank 2 and no smaller than a picture."""
        shape, dtype = self.space.shape or (), self.space.dtype
        return dtype == np.uint8 and (len(shape) == 3 or _is_grey(shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one converted value: (D,), or that of the image with its channels: (H, W, C)."""
        if self.is_image:
            shape = self.space.shape or ()
            return shape if len(shape) == 3 else (*shape, 1)
        return (_width(self.space),)

    def pick(self, tree: Any) -> Any:
        """Its value in an observation that is nested as the space was."""
        for step in self.path:
            tree = tree[step]
        return tree

    def convert(self, values: Any) -> np.ndarray:
        """Values of the space (..., *space.shape) as float32 (..., D); images keep their dtype.

        Raises:
            ValueError: they have another shape, or name a choice that there is not.
        """
        values = np.asarray(values)
        rank = len(self.space.shape or ())
        lead = values.shape[: values.ndim - rank]
        if self.is_image:
            return values.reshape(*lead, *self.shape)
        if isinstance(self.space, spaces.Discrete | spaces.MultiDiscrete):
            return _one_hot(self.space, values.reshape(*lead, -1))
        return np.array(values, np.float32).reshape(*lead, *self.shape)


def flat_key(path: Path, dot: str = "_") -> str:
    """The key of an entry: the steps of its path joined with "/".

    "." becomes `dot`; the names of a step's other fields get "observation_" before them.
    """
    key = SEPARATOR.join(str(step).replace(".", dot) or OBSERVATION for step in path)
    return f"{OBSERVATION}_{key}" if key in RESERVED else key or OBSERVATION


def leaves(space: spaces.Space, dot: str = "_") -> tuple[dict[str, Leaf], dict[str, str]]:
    """The arrays of an observation space by key, and why the others cannot be seen, by key.

    A reason is a clause such as "holds text"; who reads the space decides whether it is an error.
    `dot` is what "." becomes in a key.
    """
    found: dict[str, Leaf] = {}
    refused: dict[str, str] = {}
    for path, entry in _entries(space, ()):
        key = flat_key(path, dot)
        if key in found or key in refused:
            refused[key] = f"is the key of two entries, the second {entry}"
            found.pop(key, None)
        elif reason := _refusal(key, entry):
            refused[key] = reason
        else:
            found[key] = Leaf(key, path, entry)
    return found, refused


def _entries(space: spaces.Space, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every space that is neither a `Dict` nor a `Tuple`, with its path."""
    if isinstance(space, spaces.Dict):
        for name, child in space.spaces.items():
            yield from _entries(child, (*path, name))
    elif isinstance(space, spaces.Tuple):
        for place, child in enumerate(space.spaces):
            yield from _entries(child, (*path, place))
    else:
        yield path, space


def _refusal(key: str, space: Any) -> str | None:
    """Why agents cannot see a space, None where they can."""
    if isinstance(space, spaces.Text):
        return "holds text"
    if not isinstance(space, Flat):
        return f"is a {type(space).__name__}, which has no fixed size"
    shape = space.shape or ()
    if _width(space) == 0:
        return f"has shape {shape}, which holds no number"
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        wide = _width(space) > MOST_HOT
        return f"counts to {_width(space)}; {MOST_HOT} are the most" if wide else None
    if space.dtype == np.uint8 and len(shape) > 3:
        return f"has shape {shape}; wanted one image (H, W, C), not a stack"
    if images.looks_like_one(shape) and space.dtype != np.uint8:
        return images.wrong_dtype("it", shape, space.dtype).removeprefix("it ").rstrip(".")
    return None


def _width(space: Flat) -> int:
    """Length of the vector that a space becomes."""
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(space.nvec.sum())
    return math.prod(space.shape or ())


def _is_grey(shape: tuple[int, ...]) -> bool:
    """Whether uint8 of this shape must be a picture without colours."""
    return len(shape) == 2 and images.looks_like_one((*shape, 1))


def _one_hot(space: spaces.Discrete | spaces.MultiDiscrete, values: np.ndarray) -> np.ndarray:
    """Choices (..., K) as one-hot vectors end to end (..., sum of counts)."""
    counts = np.atleast_1d(space.n if isinstance(space, spaces.Discrete) else space.nvec).ravel()
    firsts = np.atleast_1d(space.start).ravel()
    if values.shape[-1] != len(counts):
        raise ValueError(f"{values.shape[-1]} choices; {space} has {len(counts)}")
    chosen = values - firsts
    if not ((chosen >= 0) & (chosen < counts)).all():
        raise ValueError(f"the choice {values.flat[0]} is not in {space}")
    parts = [chosen[..., k, None] == np.arange(count) for k, count in enumerate(counts)]
    return np.concatenate(parts, axis=-1).astype(np.float32)
