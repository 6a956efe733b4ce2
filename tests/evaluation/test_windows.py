"""Sequences for the model are complete, and what is kept of images is little and spread."""

import numpy as np
import pytest
from toy_episodes import ACTIONS, episode_of, make_agent, make_pictured

from choreo.evaluation.episode import Episode
from choreo.evaluation.windows import (
    IMAGE_BATCH,
    IMAGE_WINDOWS,
    LENGTH,
    batches,
    cut_windows,
    keep_windows,
    longest_run,
)


def pictured(length: int, kept: list[int], skill: int = 0, start: int = 0) -> Episode:
    """An episode whose images and actions tell their step."""
    images = np.arange(length + 1, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(images, (length + 1, 3, 64, 64))
    episode = episode_of(skill, start, images=images, image_steps=kept)
    episode.actions[:] = np.arange(length)[:, None]
    return episode


def test_windows_of_states_lie_end_to_end() -> None:
    states = np.arange(11.0)[:, None]
    windows = cut_windows([episode_of(0, observations=states)], 4)
    assert [window["observation"][:, 0].tolist() for window in windows] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
    ]


def test_windows_of_images_have_no_gap_and_the_right_actions() -> None:
    episode = pictured(20, [0, *range(4, 9), 12, 13, 20])
    windows = cut_windows([episode], 5)
    assert len(windows) == 1
    assert windows[0]["image"][:, 0, 0, 0].tolist() == [4, 5, 6, 7, 8]
    assert windows[0]["action"][:, 0].tolist() == [3, 4, 5, 6, 7]
    assert longest_run([episode]) == 5
    assert longest_run([pictured(20, [3, 9])]) == 0
    assert longest_run([episode_of(0, observations=np.zeros((9, 1)))]) == 9


@pytest.mark.parametrize(("skills", "per_skill"), [(64, 4), (16, 4), (4, 2)])
def test_about_as_many_windows_are_kept_whatever_the_number_of_skills(
    skills: int, per_skill: int
) -> None:
    keep = keep_windows(skills, per_skill)
    length, windows, chosen = 4 * LENGTH + 10, 0, set()
    for start in range(per_skill):
        for skill in range(skills):
            episode = episode_of(skill, start, codes=np.zeros(length + 1))
            episode.distances[:] = 1.0
            episode.distances[7] = 0.0
            kept = np.unique(keep(episode))
            assert {7, length} <= set(kept.tolist())
            full = len(kept) // LENGTH
            windows += full
            chosen |= {skill} if full else set()
    assert windows == IMAGE_WINDOWS
    assert len(chosen) >= min(skills, IMAGE_WINDOWS) / 2


def test_windows_come_from_all_of_an_episode() -> None:
    keep = keep_windows(skills=32, per_skill=1)
    length = 3 * LENGTH
    starts = set()
    for skill in range(32):
        kept = keep(episode_of(skill, codes=np.zeros(length + 1)))
        starts.add(int(kept[2]))  # after the two moments
    assert starts == {0, LENGTH, 2 * LENGTH}


def test_batches_of_images_are_small() -> None:
    agent = make_agent(make_pictured(1).spec)
    windows = cut_windows([pictured(40, list(range(40)))], 4)
    found = list(batches(agent, windows))
    assert [len(batch.action) for batch in found] == [IMAGE_BATCH, len(windows) - IMAGE_BATCH]
    assert found[0].action.shape == (IMAGE_BATCH, 4, ACTIONS)
    assert found[0].is_first[:, 0].all()
    assert not found[0].is_first[:, 1:].any()
