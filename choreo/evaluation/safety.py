"""How skills treat the body: actions at their limits, jerks, falls, early ends, joint limits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from choreo.evaluation.episode import Episode

AT_LIMIT = 0.99  # an action of [-1, 1] from here on is at its limit [ours]
FALLEN = 0.5  # share of the height at the start below which a body has fallen [ours]
HEIGHTS = ("height", "head_height")  # coordinates that say how high a body is

Figure = Callable[[Sequence[Episode]], float | None]
"""From the episodes of one skill to a figure, None where it cannot be known."""


@dataclass(frozen=True)
class Safety:
    """Figures by name, condition and skill; nothing here says what a body can bear.

    at_action_limits: share of steps with an action value within 1% of a limit. action_rate: mean
    change of an action value from one step to the next, as a share of its range; random actions
    make 1/3. early_ends: episodes that the environment ended before its time limit, per 1,000
    steps. falls: share of episodes in which a named height sank below half of that at the start.
    at_joint_limits: mean share of the limited joints that are within 1% of a limit.
    """

    per_skill: Mapping[str, Mapping[str, list[float | None]]]

    def mean(self, figure: str, condition: str) -> float | None:
        """Mean of a figure over the skills that have it; None where none has."""
        known = [value for value in self.per_skill[figure][condition] if value is not None]
        return float(np.mean(known)) if known else None

    def to_json(self) -> dict[str, Any]:
        """Plain values: per figure the mean of every condition, and all skills."""
        return {
            figure: {
                **{name: self.mean(figure, name) for name in conditions},
                "per_skill": {name: list(values) for name, values in conditions.items()},
            }
            for figure, conditions in self.per_skill.items()
        }


def measure_safety(
    groups: Mapping[str, Sequence[Episode]],
    skills: int,
    coordinates: Sequence[str],
    episode_steps: int | None,
) -> Safety:
    """Safety figures of every skill in every condition.

    `coordinates` names the episodes' coordinates, `episode_steps` is the environment's time limit.
    """
    figures = _figures(coordinates, episode_steps)
    own = {
        name: [[e for e in episodes if e.skill == skill] for skill in range(skills)]
        for name, episodes in groups.items()
    }
    return Safety(
        {
            figure: {name: [_known(measure, e) for e in own[name]] for name in own}
            for figure, measure in figures.items()
        }
    )


def _known(measure: Figure, episodes: Sequence[Episode]) -> float | None:
    return measure(episodes) if episodes else None


def _figures(coordinates: Sequence[str], episode_steps: int | None) -> dict[str, Figure]:
    height = next((coordinates.index(name) for name in HEIGHTS if name in coordinates), None)
    return {
        "at_action_limits": _at_action_limits,
        "action_rate": _action_rate,
        "early_ends": lambda episodes: _early_ends(episodes, episode_steps),
        "falls": lambda episodes: _falls(episodes, height),
        "at_joint_limits": _at_joint_limits,
    }


def _at_action_limits(episodes: Sequence[Episode]) -> float:
    actions = np.concatenate([episode.actions for episode in episodes])
    return float((np.abs(actions) >= AT_LIMIT).any(1).mean())


def _action_rate(episodes: Sequence[Episode]) -> float | None:
    changes = np.concatenate([np.abs(np.diff(episode.actions, axis=0)) for episode in episodes])
    return float(changes.mean() / 2) if len(changes) else None


def _early_ends(episodes: Sequence[Episode], limit: int | None) -> float:
    early = [e for e in episodes if e.ended and (limit is None or e.length < limit)]
    return 1000 * len(early) / sum(episode.length for episode in episodes)


def _falls(episodes: Sequence[Episode], height: int | None) -> float | None:
    if height is None:
        return None
    heights = [episode.coordinates[:, height] for episode in episodes]
    return float(np.mean([values.min() < FALLEN * values[0] for values in heights]))


def _at_joint_limits(episodes: Sequence[Episode]) -> float | None:
    shares = np.concatenate([episode.joints_at_limits for episode in episodes])
    return float(shares.mean()) if shares.size and np.isfinite(shares).all() else None
