"""The two axes of a map of skills, and how states come to lie on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from choreo.evaluation.coverage import IMAGE_ROWS
from choreo.evaluation.episode import Episode, thumbnails

Kind = Literal["coordinates", "embedding"]
TOLD = 0.9  # share of a coordinate's variance from which on an observation tells it [ours]
ANGLES = ("angle", "elbow", "pitch", "shoulder")  # coordinates that go round, in radians
FLOOR = 0.02  # of the largest deviation; smaller ones count as that large [ours]
RIDGE = 1e-6  # share of the data's variance that keeps the linear map small [ours]


@dataclass(frozen=True)
class Axes:
    """Two named coordinates of the environment, or two directions of the observations.

    columns: places of the two among the environment's coordinates; None for directions. mean,
    scale (D,), weights (D, 2) and offset (2,) give the place of an observation, flattened as
    `flatten` does: exactly for directions, else as well as a linear map can, of whose places
    `told` (2,) is the share of variance explained on held-out episodes. spread (2,): standard
    deviation of the data along both. round (2,): whether a coordinate is an angle, in radians.
    fallback: directions, for states whose coordinates are neither known nor told.
    """

    names: tuple[str, str]
    kind: Kind
    columns: tuple[int, int] | None
    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    offset: np.ndarray
    told: tuple[float, float]
    spread: np.ndarray
    round: tuple[bool, bool] = (False, False)
    fallback: "Axes | None" = None

    @property
    def readable(self) -> bool:
        """Whether observations alone tell the place."""
        return min(self.told) >= TOLD

    def of_coordinates(self, coordinates: np.ndarray) -> np.ndarray:
        """Places (T, 2) of the environment's coordinates (T, C), for axes that are coordinates."""
        assert self.columns is not None
        return coordinates[:, list(self.columns)]

    def of_flat(self, flat: np.ndarray) -> np.ndarray:
        """Places (T, 2) of flattened observations (T, D)."""
        return (flat - self.mean) / self.scale @ self.weights + self.offset

    def of_steps(
        self, observations: Mapping[str, np.ndarray], coordinates: np.ndarray | None
    ) -> np.ndarray | None:
        """Places (T, 2) of raw observations, each (T, shape), and coordinates (T, C) if known.

        None where the axes are coordinates, which are not known and which observations do not tell.
        """
        if self.columns is not None and coordinates is not None:
            places = self.of_coordinates(coordinates)
            if np.isfinite(places).all():
                return places
        return self.of_flat(flatten(observations)) if self.readable else None

    def place(
        self, observations: Mapping[str, np.ndarray], coordinates: np.ndarray | None
    ) -> tuple["Axes", np.ndarray]:
        """These axes and places (T, 2) on them, or where they are not told, those of `fallback`."""
        found = self.of_steps(observations, coordinates)
        if found is not None:
            return self, found
        other = self.fallback
        assert other is not None
        return other, other.of_flat(flatten(observations))

    def of_episode(self, episode: Episode) -> np.ndarray:
        """Places of an episode, (T + 1, 2)."""
        if self.columns is not None:
            return self.of_coordinates(episode.coordinates)
        return self.of_flat(episode.flat_observations())

    def centre(self, places: np.ndarray) -> np.ndarray:
        """Mean (2,) of places (n, 2); of angles the direction of their mean."""
        turned = np.arctan2(np.sin(places).mean(0), np.cos(places).mean(0))
        return np.where(self.round, turned, places.mean(0))

    def gap(self, places: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Distances (...) of places (..., 2) from another (2,), in deviations of the data."""
        apart = places - other
        turned = (apart + np.pi) % (2 * np.pi) - np.pi
        return np.linalg.norm(np.where(self.round, turned, apart) / self.spread, axis=-1)

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` takes."""
        own: dict[str, Any] = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
        }
        return own | {"fallback": None if self.fallback is None else self.fallback.to_json()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Axes":
        """The axes that `to_json` wrote."""
        columns, fallback = data["columns"], data["fallback"]
        arrays = ("mean", "scale", "weights", "offset", "spread")
        return Axes(
            names=(data["names"][0], data["names"][1]),
            kind=data["kind"],
            columns=None if columns is None else (columns[0], columns[1]),
            told=(data["told"][0], data["told"][1]),
            round=(data["round"][0], data["round"][1]),
            fallback=None if fallback is None else Axes.from_json(fallback),
            **{name: np.array(data[name], np.float64) for name in arrays},
        )


def flatten(observations: Mapping[str, np.ndarray]) -> np.ndarray:
    """Raw observations, each (T, shape), as `Episode.flat_observations` has them, (T, D)."""
    vectors = [v.reshape(len(v), -1) for v in observations.values() if v.dtype != np.uint8]
    images = [thumbnails(v) for v in observations.values() if v.dtype == np.uint8]
    kind = np.float32 if images else np.float64
    greys = [small / np.float32(255) for small in images]
    return np.concatenate([*(part.astype(kind) for part in vectors), *greys], axis=1)


def plane_of(names: Sequence[str]) -> tuple[str, str]:
    """The two coordinates that a map shows: x and y where there are such, else the first two."""
    return ("x", "y") if "x" in names and "y" in names else (names[0], names[1])


def make_axes(names: tuple[str, ...], episodes: Sequence[Episode]) -> Axes:
    """The axes for an environment with these coordinates, from episodes of all conditions.

    With fewer than two coordinates they are the first two principal components of the
    standardised observations, each with its largest entry positive.
    """
    if len(names) < 2:
        return _embedding(episodes)
    plane = plane_of(names)
    columns = (names.index(plane[0]), names.index(plane[1]))
    halves = [_rows(episodes[part::2] or episodes, columns) for part in (0, 1)]
    mean, scale, weights, offset = _linear(*halves[0])
    flat, places = halves[1]
    guessed = (flat - mean) / scale @ weights + offset
    left = ((guessed - places) ** 2).mean(0) / np.maximum(places.var(0), 1e-12)
    told = (float(1 - left[0]), float(1 - left[1]))
    both = np.concatenate([half[1] for half in halves])
    goes = [
        name in ANGLES and bool((np.abs(both[:, n]) < 3.2).all()) for n, name in enumerate(plane)
    ]
    return Axes(
        names=plane,
        kind="coordinates",
        columns=columns,
        mean=mean,
        scale=scale,
        weights=weights,
        offset=offset,
        told=told,
        spread=_spread(both.std(0)),
        round=(goes[0], goes[1]),
        fallback=_embedding(episodes),
    )


def _embedding(episodes: Sequence[Episode]) -> Axes:
    flat = np.concatenate([e.flat_observations()[:: _stride(episodes)] for e in episodes])
    mean, scale = flat.mean(0, np.float64), _scale(flat, episodes[0].vectors().shape[1])
    found = np.linalg.svd((flat - mean) / scale, full_matrices=False)[2][:2].T
    weights = np.zeros((len(mean), 2))
    signs = np.sign(found[np.abs(found).argmax(0), np.arange(found.shape[1])])
    weights[:, : found.shape[1]] = found * signs
    spread = ((flat - mean) / scale @ weights).std(0)
    names, offset, told = ("component 1", "component 2"), np.zeros(2), (1.0, 1.0)
    return Axes(names, "embedding", None, mean, scale, weights, offset, told, _spread(spread))


def _scale(flat: np.ndarray, vectors: int) -> np.ndarray:
    """Deviations (D,) of flat observations, of which the first are vectors and the others greys.

    What hardly varies counts little, or a decoder's error in it would outweigh everything.
    """
    scale = flat.std(0, np.float64)
    for part in (slice(0, vectors), slice(vectors, None)):
        scale[part] = np.maximum(scale[part], FLOOR * scale[part].max(initial=0.0))
    return np.where(scale > 1e-8, scale, 1.0)


def _rows(episodes: Sequence[Episode], columns: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Flat observations (n, D) and places (n, 2) of some 10,000 steps."""
    stride = _stride(episodes)
    flat = np.concatenate([episode.flat_observations()[::stride] for episode in episodes])
    places = np.concatenate([e.coordinates[::stride, list(columns)] for e in episodes])
    return flat.astype(np.float64), places


def _stride(episodes: Sequence[Episode]) -> int:
    return max(1, sum(episode.length + 1 for episode in episodes) // IMAGE_ROWS)


def _linear(flat: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, ...]:
    """Mean, scale, weights and offset of the least-squares map from rows to places."""
    mean, scale = flat.mean(0), flat.std(0)
    scale = np.where(scale > 1e-8, scale, 1.0)
    x, offset = (flat - mean) / scale, places.mean(0)
    left = x.T @ x + RIDGE * len(x) * np.eye(x.shape[1])
    return mean, scale, np.linalg.solve(left, x.T @ (places - offset)), offset


def _spread(values: np.ndarray) -> np.ndarray:
    return np.where(values > 1e-8, values, 1.0)
