"""How an agent acts and which parts learn: the two phases of a run."""

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np

from choreo.adaptation import AdaptationConfig
from choreo.agent import PolicyName, Session
from choreo.envs.vector import StepBatch


class Phase(abc.ABC):
    """Chooses actions for the collector and says which parts of the learner rest."""

    has_task = False
    """Whether the returns of evaluations say how well the phase goes."""

    @abc.abstractmethod
    def evaluated(self, frames: int) -> PolicyName:
        """The policy that evaluations during training run; "skill" is random skills."""

    @abc.abstractmethod
    def act(self, session: Session, step: StepBatch, frames: int) -> np.ndarray:
        """Actions (N, A) after `step`; `frames` counts what was collected before."""

    @abc.abstractmethod
    def resting(self, batch: Mapping[str, np.ndarray], frames: int) -> tuple[str, ...]:
        """Names of the learner's parts that do not learn from this batch."""

    @abc.abstractmethod
    def state(self) -> dict[str, Any]:
        """What the phase remembers, as JSON."""

    @abc.abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Remember what `state` gave."""


class Exploring(Phase):
    """Pre-training: random actions at first, then the explorer's samples."""

    def __init__(self, random_frames: int, model_first: int = 0) -> None:
        self.random_frames, self.model_first = random_frames, model_first
        self.updates = 0

    def evaluated(self, frames: int) -> PolicyName:
        return "explore"

    def act(self, session: Session, step: StepBatch, frames: int) -> np.ndarray:
        policy: PolicyName = "random" if frames < self.random_frames else "explore"
        return session.act(step.observation, policy=policy, sample=True, is_first=step.is_first)

    def resting(self, batch: Mapping[str, np.ndarray], frames: int) -> tuple[str, ...]:
        self.updates += 1
        return ("exploration", "skills") if self.updates <= self.model_first else ()

    def state(self) -> dict[str, Any]:
        return {"updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        self.updates = int(state["updates"])


SEARCHING: dict[str, tuple[PolicyName, ...]] = {
    "skills": ("skill",),
    "explorer": ("explore",),
    "random": ("random",),
    "turns": ("explore", "skill"),
}
"""Who acts until the reward is found, an episode each, by `AdaptationConfig.search_with`."""


class Adapting(Phase):
    """Fine-tuning: random skills until the reward is found, then the samples of the task's policy.

    Until then neither selector nor skill policy learns, the world model does (paper section 3.3);
    `search_with` may put the explorer's samples or random actions in place of the skills, or beside
    them: turns change where an episode of the first environment begins. Without
    `explores_by_skills` the task's policy, the explorer's or a fresh one, acts throughout and rests
    for as long.
    """

    has_task = True

    def __init__(
        self,
        random_frames: int,
        config: AdaptationConfig,
        codes: int,
        rng: np.random.Generator,
        explores_by_skills: bool = True,
    ) -> None:
        self.random_frames, self.config, self.codes, self.rng = random_frames, config, codes, rng
        self.explores_by_skills = explores_by_skills
        self.found = False
        self.episodes = 0  # of the first environment, in which somebody searches
        self.skill: np.ndarray | None = None  # (N,), the random skill of every environment
        self.age: np.ndarray | None = None  # (N,), for how many steps it has been kept

    def evaluated(self, frames: int) -> PolicyName:
        begun = not self.explores_by_skills or self._adapts(frames)
        return "task" if begun or self.config.before_reward == "selector" else "skill"

    def _adapts(self, frames: int) -> bool:
        return self.found and frames >= self.random_frames

    def act(self, session: Session, step: StepBatch, frames: int) -> np.ndarray:
        if not self.explores_by_skills or self._adapts(frames):
            return session.act(step.observation, policy="task", sample=True, is_first=step.is_first)
        self.episodes += int(step.is_first[0])
        turns = SEARCHING[self.config.search_with]
        searching = turns[(self.episodes - 1) % len(turns)]
        skill = self._random_skill(step.is_first) if searching == "skill" else None
        return session.act(step.observation, skill, searching, sample=True, is_first=step.is_first)

    def _random_skill(self, is_first: np.ndarray) -> np.ndarray:
        """A new skill at the start of an episode and every `skill_steps` steps in it."""
        drawn = self.rng.integers(self.codes, size=len(is_first))
        if self.skill is None or self.age is None:
            self.skill, self.age = drawn, np.zeros_like(drawn)
        renew = is_first | (self.age >= self.config.skill_steps)
        self.skill = np.where(renew, drawn, self.skill)
        self.age = np.where(renew, 0, self.age) + 1
        return self.skill

    def resting(self, batch: Mapping[str, np.ndarray], frames: int) -> tuple[str, ...]:
        self.found = self.found or bool((batch["reward"] > self.config.reward_threshold).any())
        return () if self._adapts(frames) else ("adaptation",)

    def state(self) -> dict[str, Any]:
        skill, age = (None if x is None else x.tolist() for x in (self.skill, self.age))
        return {"found": self.found, "episodes": self.episodes, "skill": skill, "age": age}

    def restore(self, state: dict[str, Any]) -> None:
        self.found = bool(state["found"])
        self.episodes = int(state.get("episodes", 0))  # older runs know no turns
        if state["skill"] is not None:
            self.skill, self.age = (np.array(state[key], np.int64) for key in ("skill", "age"))
