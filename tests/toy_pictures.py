"""Small environments that show images, named `toy_pictures:NAME`; nothing is drawn with OpenGL."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from toy_envs import Point

SIZE = 32


class Picture(Point):
    """The point as a bright square on a dark ground, channels last, with its velocity beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8),
                "velocity": spaces.Box(-10, 10, (2,), np.float32),
            }
        )

    def _seen(self) -> Any:
        return {"image": self.draw(), "velocity": self.state[2:].copy()}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        return self._seen(), {}

    def draw(self) -> np.ndarray:
        row, column = ((self.state[:2] + 2) / 4 * SIZE).clip(2, SIZE - 3).astype(int)
        image = np.full((SIZE, SIZE, 3), 20, np.uint8)
        image[row - 2 : row + 3, column - 2 : column + 3] = (220, 120, 60)
        return image


class Black(Picture):
    def draw(self) -> np.ndarray:
        return np.zeros((SIZE, SIZE, 3), np.uint8)


class Plain(Picture):
    def draw(self) -> np.ndarray:
        return np.full((SIZE, SIZE, 3), 100 + 10 * self.steps, np.uint8)


class Frozen(Picture):
    def draw(self) -> np.ndarray:
        return np.tile(np.arange(SIZE, dtype=np.uint8)[:, None, None], (1, SIZE, 3))


class Floating(Picture):
    """Images of floats, which are refused."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Box(0, 1, (SIZE, SIZE, 3), np.float32)

    def _seen(self) -> Any:
        return self.draw().astype(np.float32) / 255


class Unlike(Picture):
    """Every second one that is made has a larger image."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        Unlike.made += 1
        side = SIZE * (1 + Unlike.made % 2)
        image = spaces.Box(0, 255, (side, side, 3), np.uint8)
        self.observation_space = spaces.Dict({"image": image})

    def _seen(self) -> Any:
        times = self.observation_space["image"].shape[0] // SIZE  # type: ignore[index]
        return {"image": self.draw().repeat(times, 0).repeat(times, 1)}


class Robot(Picture):
    """Two cameras of different size and a vector, named as in robot logs."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Dict(
            {
                "images.front": spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8),
                "images.wrist": spaces.Box(0, 255, (2 * SIZE, 2 * SIZE, 3), np.uint8),
                "keys": spaces.Box(-10, 10, (2,), np.float32),
            }
        )

    def _seen(self) -> Any:
        image = self.draw()
        large = image.repeat(2, 0).repeat(2, 1)
        return {"images.front": image, "images.wrist": large, "keys": self.state[2:].copy()}


def robot() -> gymnasium.Env:
    return Robot()


def picture() -> gymnasium.Env:
    return Picture()


def black() -> gymnasium.Env:
    return Black()


def plain() -> gymnasium.Env:
    return Plain()


def frozen() -> gymnasium.Env:
    return Frozen()


def floating() -> gymnasium.Env:
    return Floating()


def unlike() -> gymnasium.Env:
    return Unlike()
