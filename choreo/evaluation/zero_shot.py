"""Whether skills reach goals that nobody told them of: random skills, no adaptation."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from choreo.agent import Agent
from choreo.envs import VectorEnv
from choreo.errors import UsageError
from choreo.evaluation.rollouts import Episode, run_episodes
from choreo.evaluation.scores import Interval, wilson_interval
from choreo.record import derive_seed

EPISODES = 100  # [paper section 4.3]
FOUND_ABOVE = 1e-4  # an episode with a larger return has found the goal [paper]


@dataclass(frozen=True)
class ZeroShot:
    """Which episodes found the goal, by return, with the random skills they played."""

    returns: list[float]
    skills: list[list[int]]
    found_above: float
    steps: int
    frames: int

    @property
    def found(self) -> list[bool]:
        """Whether each episode found the goal."""
        return [value > self.found_above for value in self.returns]

    @property
    def fraction(self) -> float:
        """Share of the episodes that found it."""
        return sum(self.found) / len(self.found)

    @property
    def interval95(self) -> Interval:
        """Wilson's interval of the fraction."""
        return wilson_interval(sum(self.found), len(self.found))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "found": self.found,
            "mean": self.fraction,
            "interval95": list(self.interval95),
            "returns": self.returns,
            "skills": self.skills,
            "found_above": self.found_above,
            "episodes": len(self.found),
            "counted": "steps",
            "steps": self.steps,
            "frames": self.frames,
        }


def zero_shot(
    agent: Agent,
    vector: VectorEnv,
    seed: int,
    episodes: int = EPISODES,
    skill_steps: int | None = None,
    found_above: float = FOUND_ABOVE,
    steps: int | None = None,
) -> ZeroShot:
    """Play random skills with sampled actions and count the episodes that find the goal.

    Every episode draws one skill, or a new one every `skill_steps` steps. `steps` cuts episodes
    before the environment's own limit. Source: paper section 4.3.

    Raises:
        UsageError: `skill_steps` below 1, or an environment whose episodes might never end.
    """
    if skill_steps is not None and skill_steps < 1:
        raise UsageError(f"a skill lasts at least 1 step, got skill_steps={skill_steps}")
    skills = _draw(agent.num_skills, seed, episodes, _blocks(vector, skill_steps, steps))
    played = run_episodes(
        agent,
        vector,
        "skill",
        episodes=episodes,
        seed=seed,
        skills=skills,
        sample=True,
        steps=steps,
        skill_steps=skill_steps,
    )
    return _result(played, skills, found_above, vector.spec.action_repeat)


def _blocks(vector: VectorEnv, skill_steps: int | None, steps: int | None) -> int:
    """How many skills an episode plays at most."""
    limits = [limit for limit in (steps, vector.spec.episode_steps) if limit is not None]
    return 1 if skill_steps is None or not limits else -(-min(limits) // skill_steps)


def _draw(num_skills: int, seed: int, episodes: int, blocks: int) -> list[list[int]]:
    rng = np.random.default_rng(derive_seed(seed, "zero-shot skills"))
    return rng.integers(num_skills, size=(episodes, blocks)).tolist()


def _result(
    played: list[Episode], skills: list[list[int]], found_above: float, action_repeat: int
) -> ZeroShot:
    steps = sum(episode.length for episode in played)
    returns = [episode.return_ for episode in played]
    return ZeroShot(returns, skills, found_above, steps, steps * action_repeat)
