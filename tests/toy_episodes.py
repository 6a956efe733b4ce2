"""Environments whose observation, reward and picture tell the step, and tiny agents for them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from choreo.agent import Agent, AgentConfig
from choreo.envs import ArraySpec, Environment, EnvSpec, SerialVector, TimeStep
from choreo.evaluation.episode import Episode, thumbnails
from choreo.exploration import ExplorationConfig
from choreo.imagination import ImaginationConfig
from choreo.skills import SkillConfig
from choreo.world_model import ModelConfig

ACTIONS, SKILLS = 2, 4


class CountingEnvironment(Environment):
    """Shows [step, last action]; every episode has LIMIT steps, or never ends.

    Its end is real where REAL, else one by time.
    """

    LIMIT = 8
    REAL = False

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
        return TimeStep({"observation": observation}, reward, first, last, last and self.REAL)

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


class PictureEnvironment(CountingEnvironment):
    """Shows a bright square that moves by its action over a grey that is the step's number.

    Further cameras show the square darker. With `vectors` the counting observation is there too.
    """

    LIMIT = 130
    SIZE, SQUARE = 64, 12

    def __init__(
        self, vectors: bool = False, cameras: Sequence[str] = ("image",), **options: Any
    ) -> None:
        super().__init__(**options)
        own = self.spec.observations if vectors else {}
        seen = dict.fromkeys(cameras, ArraySpec((3, self.SIZE, self.SIZE), "uint8"))
        self.spec = replace(self.spec, observations={**own, **seen}, obs="pixels")
        self.place = np.zeros(2)

    def reset(self, seed: int) -> TimeStep:
        self.place = np.random.default_rng(seed).uniform(10, 40, 2)
        return self._show(super().reset(seed))

    def step(self, action: np.ndarray) -> TimeStep:
        self.place = (self.place + 2 * action).clip(0, self.SIZE - self.SQUARE)
        return self._show(super().step(action))

    def _show(self, step: TimeStep) -> TimeStep:
        top, left = self.place.astype(int)
        seen = step.observation if "observation" in self.spec.observations else {}
        for number, key in enumerate(self.spec.images):
            picture = np.full((3, self.SIZE, self.SIZE), self.count, np.uint8)
            picture[:, top : top + self.SQUARE, left : left + self.SQUARE] = 250 - 50 * number
            seen = {**seen, key: picture}
        return replace(step, observation=seen)


class CountingVector(SerialVector):
    """A vector that lets tests look at its environments."""

    def __init__(self, environments: Sequence[CountingEnvironment]) -> None:
        super().__init__(list(environments))
        self.environments = list(environments)


def make_counting(num: int, **options: Any) -> CountingVector:
    return CountingVector([CountingEnvironment(**options) for _ in range(num)])


def make_pictured(num: int, **options: Any) -> CountingVector:
    return CountingVector([PictureEnvironment(**options) for _ in range(num)])


def tiny_config() -> AgentConfig:
    small: dict[str, Any] = {"layers": 1, "units": 16}
    return AgentConfig(
        model=ModelConfig(deter=16, hidden=16, variables=4, classes=4, image_depth=2, **small),
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
    images: np.ndarray | None = None,
    image_steps: Sequence[int] | np.ndarray | None = None,
) -> Episode:
    """An episode made by hand; its length is that of what is given (T + 1)."""
    points = np.asarray(coordinates, np.float64)
    size = max(len(points), 0 if codes is None else len(codes))
    size = max(size, 0 if observations is None else len(observations))
    size = max(size, 0 if images is None else len(images))
    seen = np.zeros((size, 1), np.float32) if observations is None else observations
    pictured = {} if images is None else {"image": images}
    kept = np.arange(size) if image_steps is None else np.asarray(image_steps, np.int64)
    return Episode(
        observations={} if pictured else {"observation": seen.astype(np.float32)},
        actions=np.zeros((size - 1, ACTIONS), np.float32),
        rewards=np.zeros(size - 1, np.float32),
        coordinates=points,
        codes=np.zeros(size, np.int64) if codes is None else np.asarray(codes, np.int64),
        skill=skill,
        start=start,
        ended=True,
        thumbnails={key: thumbnails(value) for key, value in pictured.items()},
        images={key: value[kept] for key, value in pictured.items()},
        image_steps=kept if pictured else np.zeros(0, np.int64),
        distances=np.zeros(size),
    )
