"""A classifier must find what is there, and must not find what is not."""

from dataclasses import replace

import numpy as np
import pytest
from toy_episodes import episode_of

from choreo.errors import UsageError
from choreo.evaluation.predictability import measure_predictability
from choreo.evaluation.rollouts import Episode

SKILLS, STARTS, STEPS = 4, 6, 40


def episodes(centre_of_skill: float, centre_of_episode: float) -> list[Episode]:
    """Noise around a centre of the skill plus one of the episode."""
    rng = np.random.default_rng(0)
    skills = rng.normal(size=(SKILLS, 3)) * centre_of_skill
    made = []
    for start in range(STARTS):
        for skill in range(SKILLS):
            own = rng.normal(size=3) * centre_of_episode
            states = skills[skill] + own + rng.normal(size=(STEPS + 1, 3))
            made.append(episode_of(skill, start, observations=states * [1, 1000, 0.001]))
    return made


def test_skills_that_are_apart_are_told_apart() -> None:
    result = measure_predictability(episodes(20.0, 0.0), SKILLS)
    assert result.accuracy > 0.99
    assert min(result.per_skill) > 0.97


def test_skills_that_do_not_differ_give_chance() -> None:
    result = measure_predictability(episodes(0.0, 0.0), SKILLS)
    assert result.accuracy == pytest.approx(1 / SKILLS, abs=0.06)


def test_episodes_that_differ_by_chance_do_not_leak() -> None:
    # Every episode has a place of its own: a split by steps would name nearly all of them.
    made = episodes(0.0, 50.0)
    result = measure_predictability(made, SKILLS)
    assert result.accuracy < 0.6


def test_one_start_is_not_enough() -> None:
    with pytest.raises(UsageError, match="at least 2 episodes"):
        measure_predictability([episode_of(k, 0, codes=[0, 0]) for k in range(3)], 3)


def test_skills_are_named_from_one_picture() -> None:
    # Each skill has its square somewhere else; no image itself has to be kept.
    made = []
    for start in range(2):
        for skill in range(SKILLS):
            images = np.random.default_rng(start).integers(0, 60, (STEPS, 3, 64, 64), np.uint8)
            images[:, :, 16 * skill : 16 * skill + 16, 20:30] += 150
            made.append(episode_of(skill, start, images=images, image_steps=[]))
    assert measure_predictability(made, SKILLS).accuracy > 0.99
    moved = [replace(e, skill=((e.skill or 0) + e.start) % SKILLS) for e in made]
    assert measure_predictability(moved, SKILLS).accuracy < 0.01
