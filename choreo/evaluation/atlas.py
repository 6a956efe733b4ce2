"""A map of skills: where each one ends up, how much it is used, how well it is met."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from choreo.agent import Agent
from choreo.evaluation.axes import ANGLES, Axes, Kind, make_axes
from choreo.evaluation.conditions import CONDITIONS
from choreo.evaluation.controls import untrained_agent
from choreo.evaluation.coverage import Projection
from choreo.evaluation.episode import Episode
from choreo.evaluation.health import SkillReport

RELATIVES = 3  # nearest other skills of each [ours]
POINTS = 100  # of a path at most [ours]
LATE = 0.75  # share of an episode after which a skill has got where it goes [ours]


@dataclass(frozen=True)
class SkillPlace:
    """One skill on the map.

    x, y: where it ends up, mean over the last quarter of all its episodes; path [x, y] of its first
    episode; use: share of all counted states whose nearest code is this skill's; idle: whether none
    is; hit_rate: share of its steps at its own code, None where episodes are too short; relatives:
    the nearest other skills, nearest first; named_right: share of its states from which a
    classifier names it; coverage: cells visited; return_mean: of an episode, by the environment's
    own rewards, with the lowest and highest; safety: figures of `choreo.evaluation.safety`.
    """

    skill: int
    x: float
    y: float
    use: float
    idle: bool
    hit_rate: float | None
    path: list[list[float]]
    relatives: list[int]
    named_right: float | None = None
    coverage: int | None = None
    return_mean: float | None = None
    return_low: float | None = None
    return_high: float | None = None
    safety: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Atlas:
    """All skills of one condition on two axes, which are the same for all conditions.

    `use_from` says what the codes were counted over, `chance` what guessing a skill would give;
    `reading` turns further observations into places; `imagined` says that nothing was played.
    """

    axes: tuple[str, str]
    kind: Kind
    condition: str
    environment: str
    skills: list[SkillPlace]
    use_from: str
    chance: float
    seed: int
    reading: Axes
    imagined: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values, without `reading`, which has a form of its own."""
        own = {name: value for name, value in vars(self).items() if name != "reading"}
        return {**own, "axes": list(self.axes), "skills": [asdict(place) for place in self.skills]}


def axes_of(report: SkillReport) -> Axes:
    """The axes of a report's map, from the episodes of all conditions."""
    every = [episode for name in CONDITIONS for episode in report.episodes[name]]
    named = report.projection.components is None
    return make_axes(report.projection.names if named else (), every)


def make_atlas(
    report: SkillReport, agent: Agent, condition: str = "trained", axes: Axes | None = None
) -> Atlas:
    """The map of one condition of a report; `axes` are those of `axes_of` unless given.

    Skills are relatives by where they end up in all coordinates, or where the map is an embedding,
    by their decoded codes.
    """
    axes = axes or axes_of(report)
    use, use_from = _use(report, condition)
    skills = range(report.settings.skills)
    own = [[e for e in report.episodes[condition] if e.skill == k] for k in skills]
    known = report.hit_rate[condition] is not None
    near = relatives(_positions(report, agent, condition, own))
    places = [
        SkillPlace(
            skill=k,
            **_where(axes, own[k]),
            use=float(use[k]),
            idle=bool(use[k] == 0),
            hit_rate=float(report.hits[condition][k, k]) if known else None,
            relatives=near[k],
            named_right=report.predictability[condition].per_skill[k],
            coverage=report.coverage.per_skill[condition][k],
            **_returns(own[k]),
            safety={name: v[condition][k] for name, v in report.safety.per_skill.items()},
        )
        for k in skills
    ]
    settings = report.settings
    return Atlas(
        axes=axes.names,
        kind=axes.kind,
        condition=condition,
        environment=settings.environment,
        skills=places,
        use_from=use_from,
        chance=report.chance,
        seed=settings.seed,
        reading=axes,
    )


def _use(report: SkillReport, condition: str) -> tuple[np.ndarray, str]:
    """Share of the states at every code, (K,), and what was counted."""
    use, source = report.code_use[condition], "episodes"
    if condition == "trained" and report.replay_code_use is not None:
        use, source = report.replay_code_use, "recorded experience"
    return use.counts / max(use.counts.sum(), 1), source


def _where(axes: Axes, episodes: Sequence[Episode]) -> dict[str, Any]:
    paths = [axes.of_episode(episode) for episode in episodes]
    ends = [axes.centre(late(path)) for path in paths]
    x, y = axes.centre(np.array(ends)).tolist()
    return {"x": x, "y": y, "path": thinned(paths[0])}


def thinned(path: np.ndarray) -> list[list[float]]:
    """At most 100 evenly spaced points of a path (T, 2), the first and the last among them."""
    rows = np.linspace(0, len(path) - 1, min(len(path), POINTS)).round().astype(np.int64)
    return path[rows].tolist()


def late(points: np.ndarray) -> np.ndarray:
    """The last quarter of the points (T + 1, C) of an episode."""
    return points[min(int(LATE * len(points)), len(points) - 1) :]


def _returns(episodes: Sequence[Episode]) -> dict[str, Any]:
    values = [episode.return_ for episode in episodes]
    mean, low, high = float(np.mean(values)), min(values), max(values)
    return {"return_mean": mean, "return_low": low, "return_high": high}


def _positions(
    report: SkillReport, agent: Agent, condition: str, own: Sequence[Sequence[Episode]]
) -> np.ndarray:
    """What relatives are near in, (K, C)."""
    if report.projection.components is None or condition == "random":
        return ends(report.projection, own)
    shown = untrained_agent(agent, report.settings.seed) if condition == "untrained" else agent
    with torch.no_grad():
        return shown.skills.decoded_codes().cpu().numpy()


def ends(projection: Projection, own: Sequence[Sequence[Episode]]) -> np.ndarray:
    """Where every skill ends up in all coordinates, standardised, (K, C); angles are two each."""
    means = [[late(_unrolled(projection, e)).mean(0) for e in each] for each in own]
    places = np.array([np.mean(each, axis=0) for each in means])
    return (places - places.mean(0)) / np.maximum(places.std(0), 1e-8)


def _unrolled(projection: Projection, episode: Episode) -> np.ndarray:
    """Points of an episode with cosine and sine in place of every angle, (T + 1, C)."""
    points = projection(episode)
    turns = np.array([name in ANGLES for name in projection.names])
    angles = points[:, turns]
    return np.concatenate([points[:, ~turns], np.cos(angles), np.sin(angles)], axis=1)


def relatives(positions: np.ndarray) -> list[list[int]]:
    """The nearest other rows of (K, C), nearest first."""
    gaps = np.linalg.norm(positions[:, None] - positions, axis=-1)
    np.fill_diagonal(gaps, np.inf)
    count = min(RELATIVES, len(positions) - 1)
    return np.argsort(gaps, axis=1, kind="stable")[:, :count].tolist()
