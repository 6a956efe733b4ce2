"""Small environments for tests, named `toy_envs:NAME`; each is a Gymnasium environment."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

UNIT = spaces.Box(-1, 1, (2,), np.float32)
Step = tuple[Any, float, bool, bool, dict[str, Any]]


class Point(gymnasium.Env):
    """A point on a plane pushed by its action; the reward is for standing near the middle."""

    rewarded = True
    steps_per_episode = 20

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-10, 10, (4,), np.float32)
        self.action_space = UNIT
        self.state = np.zeros(4)
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.state = np.concatenate([self.np_random.uniform(-1, 1, 2), np.zeros(2)])
        self.steps = 0
        return self.state.copy(), {}

    def step(self, action: np.ndarray) -> Step:
        self.steps += 1
        self.state[2:] = 0.9 * self.state[2:] + 0.1 * np.asarray(action, np.float64)
        self.state[:2] += 0.1 * self.state[2:]
        reward = max(0.0, 1 - float(np.abs(self.state[:2]).max())) if self.rewarded else 0.0
        return self._seen(), reward, False, self.steps >= self.steps_per_episode, {}

    def _seen(self) -> np.ndarray:
        return self.state.copy()


class Echo(gymnasium.Env):
    """Shows the action that led here and how often it was stepped; the reward is action + steps.

    An episode lasts 5 to 9 steps, as its seed says; odd ones end terminal, even ones by time.
    """

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-100, 100, (3,), np.float32)
        self.action_space = UNIT
        self.steps, self.length = 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.steps, self.length = 0, int(self.np_random.integers(5, 10))
        return np.zeros(3), {}

    def step(self, action: np.ndarray) -> Step:
        self.steps += 1
        over = self.steps >= self.length
        odd = self.length % 2 == 1
        seen = np.array([*action, self.steps], np.float64)
        return seen, float(action[0]) + self.steps, over and odd, over and not odd, {}


class Forgetful(Point):
    """Starts elsewhere every time, whatever the seed."""

    starts = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        Forgetful.starts += 1
        self.state[0] = Forgetful.starts
        return self.state.copy(), {}


class Broken(Point):
    """In step 7 of the sixth episode the reward or entry 1 of the observation is as given."""

    def __init__(self, observation: float = 0.0, reward: float = 0.0) -> None:
        super().__init__()
        self.observation, self.reward, self.episodes = observation, reward, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        self.episodes += 1
        return super().reset(seed=seed)

    def step(self, action: np.ndarray) -> Step:
        seen, reward, terminated, truncated, info = super().step(action)
        if self.episodes == 6 and self.steps == 7:
            reward += self.reward
        return seen, reward, terminated, truncated, info

    def _seen(self) -> np.ndarray:
        seen = super()._seen()
        if self.episodes == 6 and self.steps == 7:
            seen[1] += self.observation
        return seen


class Keys(Point):
    """The point with its position and velocity apart."""

    def __init__(self) -> None:
        super().__init__()
        box = spaces.Box(-10, 10, (2,), np.float32)
        self.observation_space = spaces.Dict({"position": box, "velocity": box})

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        return self._seen(), {}

    def _seen(self) -> Any:
        return {"position": self.state[:2].copy(), "velocity": self.state[2:].copy()}


class Seen(Point):
    """The point as a bright square of a picture of 64 x 64 pixels, which is all there is to see."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Box(0, 255, (64, 64, 3), np.uint8)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        return self._seen(), {}

    def _seen(self) -> np.ndarray:
        picture = np.full((64, 64, 3), (20, 60, 90), np.uint8)
        row, column = (28 + 20 * self.state[:2]).clip(0, 56).astype(int)
        picture[row : row + 8, column : column + 8] = (250, 180, 40)
        return picture


def point() -> gymnasium.Env:
    return Point()


def long_point() -> gymnasium.Env:
    env = Point()
    env.steps_per_episode = 10**9
    return env


def silent() -> gymnasium.Env:
    env = Point()
    env.rewarded = False
    return env


def echo() -> gymnasium.Env:
    return Echo()


def forgetful() -> gymnasium.Env:
    return Forgetful()


def gives_nan() -> gymnasium.Env:
    return Broken(observation=float("nan"))


def gives_huge_observation() -> gymnasium.Env:
    return Broken(observation=1e30)


class Drawn(Keys):
    """Position and velocity, and a grey picture of it."""

    render_mode = "rgb_array"

    def render(self) -> Any:
        return np.full((64, 64, 3), 120, np.uint8)


def drawn() -> gymnasium.Env:
    return Drawn()


class Shown(Drawn):
    """The same with a picture of where it is."""

    def render(self) -> Any:
        return Seen._seen(self)  # pyright: ignore[reportArgumentType]


def shown() -> gymnasium.Env:
    return Shown()


def gives_huge_reward() -> gymnasium.Env:
    return Broken(reward=1e30)


def seen() -> gymnasium.Env:
    return Seen()


def keys() -> gymnasium.Env:
    return Keys()
