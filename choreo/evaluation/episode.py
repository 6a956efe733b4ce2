"""What happened in one episode, kept small: images are let go but for a few."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

THUMBNAIL = 16  # height and width of the grey pictures that figures are computed on [ours]


@dataclass(frozen=True)
class Episode:
    """What happened in T steps, at T + 1 observations.

    observations: raw vectors, each (T + 1, D); thumbnails: a small grey copy of every image, each
    (T + 1, 256) uint8; images: the raw images of the observations that `image_steps` (n,) numbers,
    each (n, C, H, W) uint8, the others were let go. actions (T, A), the one of index t taken at
    observation t; rewards (T,), received on arrival; coordinates (T + 1, C), the environment's
    named ones; joints_at_limits (T + 1,), share of the limited joints at a limit, NaN where the
    simulator does not know; choices (T,), the skills that a meta-controller chose, empty without
    one; values (T + 1,), the discounted return that the task's critic expected of each observation,
    empty without one; codes (T + 1,), the nearest code of the posterior h; distances (T + 1,), of h
    to the decoded code of the commanded skill, empty without one. `skill` is the (first) commanded
    one, `start` numbers the start of the episode: equal numbers began alike. `ended` is False where
    the episode was cut at a number of steps; `terminal` is True where its end was real, no limit of
    time. `frames` are pictures (H, W, 3), every few steps.
    """

    observations: dict[str, np.ndarray]
    actions: np.ndarray
    rewards: np.ndarray
    coordinates: np.ndarray
    codes: np.ndarray
    skill: int | None
    start: int
    ended: bool
    frames: list[np.ndarray] = field(default_factory=list)
    thumbnails: dict[str, np.ndarray] = field(default_factory=dict)
    images: dict[str, np.ndarray] = field(default_factory=dict)
    image_steps: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    distances: np.ndarray = field(default_factory=lambda: np.zeros(0))
    joints_at_limits: np.ndarray = field(default_factory=lambda: np.zeros(0))
    choices: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    values: np.ndarray = field(default_factory=lambda: np.zeros(0))
    terminal: bool = False

    @property
    def return_(self) -> float:
        """Sum of the rewards."""
        return float(self.rewards.sum(dtype=np.float64))

    @property
    def length(self) -> int:
        """Steps taken, T."""
        return len(self.rewards)

    def cut(self, steps: int) -> "Episode":
        """The first `steps` steps of this episode; itself when it has no more."""
        if steps >= self.length:
            return self
        kept = self.with_images(self.image_steps[self.image_steps <= steps])
        return replace(
            kept,
            observations=_first(self.observations, steps + 1),
            thumbnails=_first(self.thumbnails, steps + 1),
            actions=self.actions[:steps],
            rewards=self.rewards[:steps],
            coordinates=self.coordinates[: steps + 1],
            codes=self.codes[: steps + 1],
            distances=self.distances[: steps + 1],
            joints_at_limits=self.joints_at_limits[: steps + 1],
            choices=self.choices[:steps],
            values=self.values[: steps + 1],
            ended=False,
            terminal=False,
        )

    def with_images(self, steps: np.ndarray) -> "Episode":
        """The same episode with the images of these observations, as far as it has them, only."""
        kept = np.isin(self.image_steps, steps)
        images = {key: value[kept] for key, value in self.images.items()}
        return replace(self, images=images, image_steps=self.image_steps[kept])

    def image_at(self, step: int) -> dict[str, np.ndarray]:
        """The raw images of one observation, each (C, H, W), which must have been kept."""
        place = int(np.searchsorted(self.image_steps, step))
        assert self.image_steps[place] == step, f"the image of step {step} was not kept"
        return {key: value[place] for key, value in self.images.items()}

    def vectors(self) -> np.ndarray:
        """All vector observations as one per step, (T + 1, D) float64; D is 0 without any."""
        parts = [value.reshape(len(value), -1) for value in self.observations.values()]
        empty = np.zeros((self.length + 1, 0))
        return np.concatenate(parts or [empty], axis=1).astype(np.float64)

    def flat_observations(self) -> np.ndarray:
        """Each observation as one vector, (T + 1, D): vectors, then images as grey thumbnails.

        float64, or float32 where there are images, whose grey levels run from 0 to 1.
        """
        if not self.thumbnails:
            return self.vectors()
        greys = [value / np.float32(255) for value in self.thumbnails.values()]
        return np.concatenate([self.vectors().astype(np.float32), *greys], axis=1)


KeepImages = Callable[[Episode], np.ndarray]
"""Which images of an episode that is over to keep: numbers of observations (n,)."""


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Mean grey level of 16 x 16 equal areas of images (N, C, H, W) uint8, (N, 256) uint8."""
    grey = images.mean(1)  # (N, H, W)
    for axis in (1, 2):
        side = grey.shape[axis]
        edges = np.linspace(0, side, min(side, THUMBNAIL), endpoint=False).astype(np.int64)
        widths = np.diff(edges, append=side)
        shape = [-1 if n == axis else 1 for n in range(3)]
        grey = np.add.reduceat(grey, edges, axis=axis) / widths.reshape(shape)
    return grey.round().astype(np.uint8).reshape(len(images), -1)


def _first(arrays: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    return {key: value[:count] for key, value in arrays.items()}
