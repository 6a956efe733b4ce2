"""An environment whose observation, reward and picture tell the step, and a tiny agent for it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from choreo.agent import Agent, AgentConfig
from choreo.envs import ArraySpec, Environment, EnvSpec, SerialVector, TimeStep
from choreo.evaluation.rollouts import Episode
from choreo.exploration import ExplorationConfig
from choreo.imagination import ImaginationConfig
from choreo.skills import SkillConfig
from choreo.world_model import ModelConfig

ACTIONS, SKILLS = 2, 4


class CountingEnvironment(Environment):
    """Shows [step, last action]; every episode has LIMIT steps, or never ends."""

    LIMIT = 8

    def __init__(self, limited: bool = True, named: bool = True) -> None:
        self.limited = limited
        self.seeds: list[int] = []
        self.count = 0
        self.spec = EnvSpec(
            id="counting",
            observations={"observation": ArraySpec((1 + ACTIONS,), "float32")},
            action_size=ACTIONS,
            action_low=(-1.0,) * ACTIONS,
            action_high=(1.0,) * ACTIONS,
            action_repeat=2,
            episode_steps=self.LIMIT if limited else None,
            coordinates=("count", "half") if named else (),
            step_seconds=0.1,
        )

    def _step(self, action: np.ndarray, reward: float, first: bool) -> TimeStep:
        observation = np.array([self.count, *action], np.float32)
        last = self.limited and self.count == self.LIMIT
        return TimeStep({"observation": observation}, reward, first, last, False)

    def reset(self, seed: int) -> TimeStep:
        self.seeds.append(seed)
        self.count = 0
        return self._step(np.zeros(ACTIONS), 0.0, True)

    def step(self, action: np.ndarray) -> TimeStep:
        self.count += 1
        return self._step(action, float(self.count), False)

    def coordinates(self) -> np.ndarray:
        return np.array([self.count, self.count / 2])[: len(self.spec.coordinates)]

    def render(self, height: int, width: int) -> np.ndarray:
        return np.full((height, width, 3), self.count, np.uint8)

    def close(self) -> None:
        pass


class CountingVector(SerialVector):
    """A vector that lets tests look at its environments."""

    def __init__(self, environments: list[CountingEnvironment]) -> None:
        super().__init__(list(environments))
        self.environments = environments


def make_counting(num: int, **options: Any) -> CountingVector:
    return CountingVector([CountingEnvironment(**options) for _ in range(num)])


def tiny_config() -> AgentConfig:
    small: dict[str, Any] = {"layers": 1, "units": 16}
    return AgentConfig(
        model=ModelConfig(deter=16, hidden=16, variables=4, classes=4, **small),
        imagination=ImaginationConfig(horizon=3, **small),
        exploration=ExplorationConfig(**small),
        skills=SkillConfig(codes=SKILLS, code_size=4, **small),
    )


def make_agent(spec: EnvSpec | None = None, seed: int = 0) -> Agent:
    return Agent(spec or CountingEnvironment().spec, tiny_config(), "pretraining", seed)


def episode_of(
    skill: int,
    start: int = 0,
    coordinates: Sequence[Sequence[float]] | np.ndarray = ((0.0,),),
    codes: Sequence[int] | np.ndarray | None = None,
    observations: np.ndarray | None = None,
) -> Episode:
    """An episode made by hand; its length is that of what is given (T + 1)."""
    points = np.asarray(coordinates, np.float64)
    size = max(len(points), 0 if codes is None else len(codes))
    size = max(size, 0 if observations is None else len(observations))
    seen = np.zeros((size, 1), np.float32) if observations is None else observations
    return Episode(
        observations={"observation": seen.astype(np.float32)},
        actions=np.zeros((size - 1, ACTIONS), np.float32),
        rewards=np.zeros(size - 1, np.float32),
        coordinates=points,
        codes=np.zeros(size, np.int64) if codes is None else np.asarray(codes, np.int64),
        skill=skill,
        start=start,
        ended=True,
    )
