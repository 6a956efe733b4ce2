"""Everything that a worker can be asked for, by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from choreo.evaluation.choreography import Score
from choreo.evaluation.runs.growth import measure_growth
from choreo.studio import dreams, figures
from choreo.studio.figures import Figure
from choreo.studio.wire import Message

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
    return measure_growth(Path(message["run"]["folder"])).to_json()


WITHOUT_AGENT: dict[str, Callable[[Message], Any]] = {"check": _check, "health": _health}
"""Answered anew each time."""
