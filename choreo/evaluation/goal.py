"""Whether the skill chosen for a picture of a goal comes near it, beside all others and chance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from choreo.agent import Agent
from choreo.envs import VectorEnv
from choreo.evaluation.episode import Episode, thumbnails
from choreo.evaluation.imagined import goal_state
from choreo.evaluation.rollouts import run_episodes
from choreo.record.progress import Tell, silent

EPISODES = 2  # of every skill [ours]
STEPS = 100  # of each, at most [ours]


@dataclass(frozen=True)
class Distance:
    """Mean distances to a goal over episodes: at the start, at the nearest moment and at the end.

    model: of the model's deterministic state to that after looking at the goal; picture: mean
    difference of grey levels, 16 x 16 areas, as a share of all levels.
    """

    model_start: float
    model_nearest: float
    model_end: float
    picture_start: float
    picture_nearest: float
    picture_end: float


@dataclass(frozen=True)
class GoalReport:
    """How near each skill comes to a goal; `code_distance` (K,) is what the choice was made by."""

    chosen: int
    code_distance: list[float]
    skills: list[Distance]
    random: Distance
    episodes: int
    steps: int

    @property
    def ranking(self) -> list[int]:
        """Skills as the model ranks them, the chosen one first."""
        return np.argsort(self.code_distance, kind="stable").tolist()

    @property
    def place(self) -> int:
        """Place of the chosen skill, from 1, by how near it really ended in the picture."""
        ends = [distance.picture_end for distance in self.skills]
        return 1 + sum(end < ends[self.chosen] for end in ends)

    def to_json(self) -> dict[str, Any]:
        """Plain values, skills as the model ranks them."""
        return {
            "chosen": self.chosen,
            "place_of_chosen": self.place,
            "ranking": [
                {"skill": k, "code_distance": self.code_distance[k], **asdict(self.skills[k])}
                for k in self.ranking
            ],
            "random": asdict(self.random),
            "episodes_per_skill": self.episodes,
            "steps": self.steps,
        }


def measure_goal(
    agent: Agent,
    vector: VectorEnv,
    goal: Mapping[str, np.ndarray],
    seed: int,
    steps: int | None = None,
    tell: Tell = silent,
) -> GoalReport:
    """Play every skill and random actions, and measure how near they come to a goal.

    `goal` is a raw observation (see `skill_of_goal`), of images only.

    Raises UsageError for a goal that the agent does not observe.
    """
    h = goal_state(agent, goal, seed).deter
    length = min(n for n in (steps or STEPS, vector.spec.episode_steps) if n is not None)
    skills = [skill for skill in range(agent.num_skills) for _ in range(EPISODES)]
    total = (len(skills) + EPISODES) * length

    def play(policy: str, numbers: list[int], before: int) -> list[Episode]:
        return run_episodes(
            agent,
            vector,
            policy,  # type: ignore[arg-type]
            len(numbers),
            seed,
            skills=numbers,
            sample=True,
            steps=length,
            starts=[n % EPISODES for n in range(len(numbers))],
            towards=h,
            tell=lambda taken: tell("looking for the goal", min(before + taken, total), total),
        )

    played = play("skill", skills, 0)
    random = play("random", [0] * EPISODES, len(skills) * length)
    with torch.no_grad():
        gaps = agent.skills.code_distances(h)[0].tolist()
    small = {key: thumbnails(value[None])[0] for key, value in goal.items()}
    own = [[e for e in played if e.skill == skill] for skill in range(agent.num_skills)]
    return GoalReport(
        chosen=int(np.argmin(gaps)),
        code_distance=gaps,
        skills=[_distance(episodes, small) for episodes in own],
        random=_distance(random, small),
        episodes=EPISODES,
        steps=length,
    )


def _distance(episodes: Sequence[Episode], goal: Mapping[str, np.ndarray]) -> Distance:
    values = []
    for episode in episodes:
        seen = [
            np.abs(episode.thumbnails[key].astype(np.float32) - goal[key]).mean(1) / 255
            for key in goal
        ]
        picture = np.mean(seen, axis=0)
        values.append([f(d) for d in (episode.distances, picture) for f in (_first, np.min, _last)])
    return Distance(*np.mean(values, axis=0).tolist())


def _first(values: np.ndarray) -> float:
    return float(values[0])


def _last(values: np.ndarray) -> float:
    return float(values[-1])
