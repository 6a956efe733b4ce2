"""A first look at an environment's images, so that no run learns from black or fallen pictures."""

from dataclasses import dataclass

import numpy as np

from choreo.envs.base import Environment
from choreo.envs.simulated import SimulatedEnvironment

_SEEDS = (1_999_999_943, 1_999_999_927)  # as large as those of training can be
_STEPS = 10


@dataclass
class Look:
    """The first image of each key as uint8 (H, W, 3), and sentences on what is wrong with them."""

    images: dict[str, np.ndarray]
    problems: list[str]


def look(environment: Environment) -> Look:
    """Test the images of an environment: not black, not constant, not upside down, not frozen.

    Plays a few random steps from two seeds; reset the environment before using it further. Which
    way up is only known of pictures that are drawn here, not of an environment's own images.
    Raises `RendererUnavailable`.
    """
    keys = environment.spec.images
    if not keys:
        return Look({}, [])
    seen = [step for seed in _SEEDS for step in _play(environment, seed)]
    problems = []
    for key in keys:
        problem = _find_problem(key, [observation[key] for observation in seen])
        if problem is not None:
            problems.append(problem)
    if isinstance(environment, SimulatedEnvironment):
        problems += environment.find_upside_down()
    return Look({key: as_picture(seen[0][key]) for key in keys}, problems)


def as_picture(image: np.ndarray) -> np.ndarray:
    """Return an image (C, H, W) as (H, W, 3): the last three channels, or fewer as grey."""
    channels = image[-3:] if len(image) >= 3 else np.repeat(image[-1:], 3, axis=0)
    return np.ascontiguousarray(channels.transpose(1, 2, 0))


def _play(environment: Environment, seed: int) -> list[dict[str, np.ndarray]]:
    """Return the first observation of an episode and the one after a few random steps."""
    rng = np.random.default_rng(seed)
    first = step = environment.reset(seed)
    for _ in range(_STEPS):
        if step.is_last:
            break
        action = rng.uniform(-1, 1, environment.spec.action_size).astype(np.float32)
        step = environment.step(action)
    return [first.observation, step.observation]


def _find_problem(key: str, images: list[np.ndarray]) -> str | None:
    if not any(image.any() for image in images):
        return (
            f"The image '{key}' is black. Choose another camera (option cameras), or another back"
            " end with MUJOCO_GL=egl or MUJOCO_GL=osmesa."
        )
    if all(image.min() == image.max() for image in images):
        return (
            f"The image '{key}' has the same colour everywhere. Choose a camera that shows the"
            " robot (option cameras)."
        )
    if all(np.array_equal(image, images[0]) for image in images):
        return (
            f"The image '{key}' is the same in different states: nothing that moves is in it, or"
            " it is not drawn anew. Choose a camera that shows the robot (option cameras)."
        )
    return None
