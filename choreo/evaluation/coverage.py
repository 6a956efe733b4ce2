"""How much of the state space was visited: cells of one grid that all data share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from choreo.evaluation.episode import Episode

COMPONENTS = 3  # principal components for an environment without named coordinates [ours]
IMAGE_ROWS = 10_000  # observations with images that components are computed on [ours]

# Cells along each dimension, by the number of dimensions [ours].
BINS = {1: 50, 2: 20, 3: 10}
MORE_BINS = 6


@dataclass(frozen=True)
class Grid:
    """Equal cells between the edges `low` and `high`, both (C,)."""

    low: np.ndarray
    high: np.ndarray
    bins: int

    @staticmethod
    def around(points: np.ndarray) -> "Grid":
        """The grid that spans all of `points` (n, C)."""
        dimensions = points.shape[1]
        return Grid(points.min(0), points.max(0), BINS.get(dimensions, MORE_BINS))

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return self.bins ** len(self.low)

    def cell_of(self, points: np.ndarray) -> np.ndarray:
        """Number of the cell of each of `points` (n, C), (n,) int64."""
        width = np.where(self.high > self.low, self.high - self.low, 1.0)
        places = np.floor((points - self.low) / width * self.bins).astype(np.int64)
        places = places.clip(0, self.bins - 1)  # the upper edge belongs to the last cell
        return places @ (self.bins ** np.arange(len(self.low)))

    def visited(self, points: np.ndarray) -> int:
        """How many cells hold any of `points` (n, C)."""
        return len(np.unique(self.cell_of(points)))


@dataclass(frozen=True)
class Projection:
    """From an episode to points that a grid and a picture can use, (T + 1, C)."""

    names: tuple[str, ...]
    mean: np.ndarray | None = None
    scale: np.ndarray | None = None
    components: np.ndarray | None = None

    def __call__(self, episode: Episode) -> np.ndarray:
        if self.components is None:
            return episode.coordinates
        return (episode.flat_observations() - self.mean) / self.scale @ self.components


def make_projection(names: tuple[str, ...], episodes: Sequence[Episode]) -> Projection:
    """Named coordinates where there are some, else the first principal components.

    The components are those of the standardised observations of all `episodes` together; of images
    those of their grey thumbnails, on some 10,000 evenly spaced observations.
    """
    if names:
        return Projection(names)
    stride = _stride(episodes)
    data = np.concatenate([episode.flat_observations()[::stride] for episode in episodes])
    mean, scale = data.mean(0), data.std(0)
    scale = np.where(scale > 1e-8, scale, 1.0)
    rows = np.linalg.svd((data - mean) / scale, full_matrices=False)[2][:COMPONENTS]
    labels = tuple(f"component {n + 1}" for n in range(len(rows)))
    return Projection(labels, mean, scale, rows.T)


def _stride(episodes: Sequence[Episode]) -> int:
    """Every how many observations to use: all, or fewer where there are many images."""
    if not any(episode.thumbnails for episode in episodes):
        return 1
    return -(-sum(episode.length + 1 for episode in episodes) // IMAGE_ROWS)


def arrivals(projection: Projection, episodes: Sequence[Episode]) -> np.ndarray:
    """The points after every step of the episodes, (steps, C); starts do not count."""
    return np.concatenate([projection(episode)[1:] for episode in episodes])


@dataclass(frozen=True)
class Coverage:
    """Cells visited, by data set: by all skills together and by each skill alone."""

    cells: int
    visited: dict[str, int]
    per_skill: dict[str, list[int]]


def measure_coverage(
    groups: Mapping[str, Sequence[Episode]], projection: Projection, skills: int
) -> Coverage:
    """Cells that each data set visits; the edges of the grid are those of all sets together."""
    every = [episode for episodes in groups.values() for episode in episodes]
    grid = Grid.around(arrivals(projection, every))
    visited, per_skill = {}, {}
    for name, episodes in groups.items():
        visited[name] = grid.visited(arrivals(projection, episodes))
        per_skill[name] = [
            grid.visited(arrivals(projection, [e for e in episodes if e.skill == skill]))
            for skill in range(skills)
        ]
    return Coverage(grid.cells, visited, per_skill)
