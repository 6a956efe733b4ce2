"""Everything that a worker can be asked for, by name."""

import os
from collections.abc import Callable
from typing import Any

from choreo.evaluation.choreography import Score
from choreo.studio import dreams, figures, growth
from choreo.studio.figures import Figure
from choreo.studio.wire import Message

NICE = 10  # so that what is measured while a run learns does not hold it up [ours]
FIGURES: dict[str, Figure] = {
    "map": figures.map_of,
    "film": figures.film_of_skill,
    "score": figures.film_of_score,
    "choices": figures.choices,
    "imagine": dreams.imagine_score,
    "dreamt": dreams.film_of_dream,
    "compare": dreams.compare,
    "compared": dreams.films_of_both,
    "prompt": dreams.rank,
    "frames": dreams.frames,
    "rewards": dreams.rewards,
}
"""Kept in the cache."""


def _check(message: Message) -> Any:
    return Score.from_json(message["params"]["score"]).to_json()


def _health(message: Message) -> Any:
    return growth.growth_of(message).to_json()


def _growth(message: Message) -> Any:
    os.nice(max(0, NICE - os.nice(0)))
    growth.measure_checkpoints(message)


WITHOUT_AGENT: dict[str, Callable[[Message], Any]] = {
    "check": _check,
    "health": _health,
    "growth": _growth,
}
"""Answered anew each time."""
