"""Returns of a policy in the real environment, with how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from choreo.agent import Agent, PolicyName
from choreo.envs import VectorEnv
from choreo.evaluation.choices import Choices, measure_choices
from choreo.evaluation.critic import CriticCheck, check_critic
from choreo.evaluation.rollouts import Actor, Episode, run_episodes
from choreo.evaluation.scores import Interval, mean_interval
from choreo.record import derive_seed


@dataclass(frozen=True)
class Evaluation:
    """Episodes of one policy, or of several skills one after the other.

    `steps` and `frames` count all episodes together; `lengths` are in steps.
    """

    policy: PolicyName
    episodes: list[Episode]
    action_repeat: int
    num_skills: int = 0
    gamma: float | None = None

    @property
    def choices(self) -> Choices | None:
        """What the meta-controller chose; None for other policies."""
        return measure_choices(self.episodes, self.num_skills)

    @property
    def critic(self) -> CriticCheck | None:
        """What the task's critic expected beside what followed; None where it cannot be told."""
        return None if self.gamma is None else check_critic(self.episodes, self.gamma)

    @property
    def returns(self) -> list[float]:
        """Return of every episode."""
        return [episode.return_ for episode in self.episodes]

    @property
    def lengths(self) -> list[int]:
        """Steps of every episode."""
        return [episode.length for episode in self.episodes]

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(np.mean(self.returns))

    @property
    def interval95(self) -> Interval | None:
        """Student's t interval of the mean return; None for one episode."""
        return mean_interval(self.returns)

    @property
    def steps(self) -> int:
        """Decisions taken in all episodes."""
        return sum(self.lengths)

    @property
    def frames(self) -> int:
        """Simulator steps in all episodes: steps x action repeat."""
        return self.steps * self.action_repeat

    def of_skill(self, skill: int) -> "Evaluation":
        """The part of it that one skill played."""
        own = [episode for episode in self.episodes if episode.skill == skill]
        return Evaluation(self.policy, own, self.action_repeat, self.num_skills)

    def skills(self) -> list[int]:
        """Numbers of the skills that played; none for other policies."""
        return sorted({e.skill for e in self.episodes if e.skill is not None})

    def to_json(self) -> dict[str, Any]:
        """Plain values; with several skills, the same of every skill under `per_skill`.

        Where a meta-controller acted, `choices` has which skill it chose over time; `critic` what
        the task's critic expected, and what followed.
        """
        data = {"policy": self.policy, **self._summary()}
        skills = self.skills()
        if self.choices is not None:
            data["choices"] = self.choices.to_json()
        if (critic := self.critic) is not None:
            data["critic"] = critic.to_json()
        if len(skills) == 1:
            data["skill"] = skills[0]
        elif skills:
            data["per_skill"] = [{"skill": k, **self.of_skill(k)._summary()} for k in skills]
        return data

    def _summary(self) -> dict[str, Any]:
        interval = self.interval95
        return {
            "returns": self.returns,
            "mean": self.mean,
            "interval95": None if interval is None else list(interval),
            "lengths": self.lengths,
            "counted": "steps",
            "steps": self.steps,
            "frames": self.frames,
        }


def evaluate(
    agent: Actor,
    vector: VectorEnv,
    policy: PolicyName,
    episodes: int,
    seed: int,
    skills: Sequence[int] | None = None,
    sample: bool = False,
    steps: int | None = None,
    frames_every: int | None = None,
) -> Evaluation:
    """Play `episodes` episodes of a policy, or of every skill in `skills`, and score them.

    All skills meet the same starts, and so does every other policy with the same `seed`. See
    `run_episodes` for the arguments and errors.
    """
    numbers: list[int] | None = None
    starts = list(range(episodes))
    if policy == "skill" and skills is not None:
        numbers = [skill for skill in skills for _ in range(episodes)]
        starts = starts * len(skills)
    played = run_episodes(
        agent,
        vector,
        policy,
        episodes=len(starts),
        seed=seed,
        skills=numbers,
        sample=sample,
        steps=steps,
        frames_every=frames_every,
        starts=starts,
    )
    gamma = None
    if isinstance(agent, Agent) and agent.spec.id == vector.spec.id:  # not another task's rewards
        gamma = agent.config.imagination.gamma
    return Evaluation(policy, played, vector.spec.action_repeat, agent.num_skills, gamma)


def evaluate_random_skills(
    agent: Agent, vector: VectorEnv, episodes: int, seed: int, skill_steps: int
) -> Evaluation:
    """Play random skills, a new one every `skill_steps` steps, acting by the mean, and score them.

    The skills are the same whenever the seed is. The episodes need a time limit. Source: authors'
    code, which evaluates fine-tuning so until the reward is found.
    """
    limit = vector.spec.episode_steps
    assert limit is not None
    rng = np.random.default_rng(derive_seed(seed, "random skills"))
    skills = rng.integers(agent.num_skills, size=(episodes, -(-limit // skill_steps))).tolist()
    played = run_episodes(
        agent, vector, "skill", episodes, seed, skills=skills, skill_steps=skill_steps
    )
    return Evaluation("skill", played, vector.spec.action_repeat, agent.num_skills)
