"""Sequences of episodes for the world model, and which images of an episode are worth keeping."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from choreo.agent import Agent
from choreo.evaluation.episode import Episode, KeepImages
from choreo.world_model import Batch

HORIZONS = (1, 5, 15, 45)
CONTEXT = 15  # steps the model sees before it predicts [ours]
LENGTH = CONTEXT + max(HORIZONS)
IMAGE_WINDOWS = 32  # sequences with images that are kept of every condition [ours]
IMAGE_BATCH = 8  # sequences with images that the model predicts at once [ours]

Window = Mapping[str, np.ndarray]
"""Observations by key and "action", each (T, shape), in the form of replay: the action led here."""


def cut_windows(episodes: Sequence[Episode], length: int) -> list[Window]:
    """Sequences of `length` steps, end to end; of images as many as were kept without a gap."""
    windows = []
    for episode in episodes:
        before = np.zeros_like(episode.actions[:1])
        actions = np.concatenate([before, episode.actions])  # (T + 1, A)
        for run in _runs(episode):
            for first in range(run[0], run[-1] + 2 - length, length):
                part = slice(first, first + length)
                seen = {key: value[part] for key, value in episode.observations.items()}
                windows.append({**seen, **_images(episode, part), "action": actions[part]})
    return windows


def longest_run(episodes: Sequence[Episode]) -> int:
    """Most observations in a row that an episode holds complete."""
    return max((len(run) for episode in episodes for run in _runs(episode)), default=0)


def _runs(episode: Episode) -> list[np.ndarray]:
    """Numbers of observations without a gap: all, or where there are images those that have them.

    Single moments are kept to be looked at and are left out.
    """
    if not episode.thumbnails:
        return [np.arange(episode.length + 1)]
    steps = episode.image_steps
    runs = np.split(steps, np.flatnonzero(np.diff(steps) != 1) + 1)
    return [run for run in runs if len(run) > 1]


def _images(episode: Episode, part: slice) -> dict[str, np.ndarray]:
    start = int(np.searchsorted(episode.image_steps, part.start))
    count = part.stop - part.start
    return {key: value[start : start + count] for key, value in episode.images.items()}


def keep_windows(skills: int, per_skill: int) -> KeepImages:
    """Keep the images of some 32 sequences spread evenly over episodes, and of two moments of all.

    The moments are that at which the model's state is nearest to the commanded skill's decoded
    code, and the last. `per_skill` episodes of each skill are planned.
    """
    planned = skills * per_skill
    chosen = np.linspace(0, planned - 1, min(planned, IMAGE_WINDOWS)).round().astype(np.int64)
    rank = {int(number): n for n, number in enumerate(chosen)}
    each = -(-IMAGE_WINDOWS // planned)

    def keep(episode: Episode) -> np.ndarray:
        number = episode.start * skills + (episode.skill or 0)
        moments = np.array([episode.distances.argmin(), episode.length])
        if number not in rank:
            return moments
        fits = max(1, (episode.length + 1) // LENGTH)
        starts = [(rank[number] + n) % fits * LENGTH for n in range(min(each, fits))]
        return np.concatenate([moments, *(np.arange(start, start + LENGTH) for start in starts)])

    return keep


def batches(agent: Agent, windows: Sequence[Window], size: int | None = None) -> Iterator[Batch]:
    """The windows as batches on the agent's device: all at once, or few where there are images."""
    size = size or (IMAGE_BATCH if agent.spec.images else len(windows))
    for first in range(0, len(windows), size):
        yield to_batch(agent, windows[first : first + size])


def to_batch(agent: Agent, windows: Sequence[Window]) -> Batch:
    """Windows of equal length as one batch, each starting from the model's zero state."""
    stacked = {key: np.stack([window[key] for window in windows]) for key in windows[0]}
    tensors = {key: torch.as_tensor(value).to(agent.device) for key, value in stacked.items()}
    shape = tensors["action"].shape[:2]
    flags = torch.zeros(shape, dtype=torch.bool, device=agent.device)
    first = flags.clone()
    first[:, 0] = True
    reward = torch.zeros(shape, device=agent.device)
    tensors |= {"is_first": first, "is_terminal": flags, "reward": reward}
    return Batch.from_tensors(tensors, list(agent.spec.observations))
