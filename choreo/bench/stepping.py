"""Environments stepped for some seconds; imports no torch, as it runs in processes of its own."""

import time
from typing import Any

import numpy as np

from choreo.bench.processes import Wait
from choreo.envs.rendering import backends
from choreo.envs.vector import VectorEnv, make_vector

WARM_UP_STEPS = 5


def frames_per_second(
    wait: Wait, env: str, count: int, options: dict[str, Any], backend: str | None, seconds: float
) -> float:
    """Frames per second of `count` environments together, over at least one step.

    `options` are those of `make`; `backend` draws, None where nothing is drawn.
    """
    if backend is not None:
        backends.use_backend(backend)
    with make_vector(env, count, count > 1, **options) as vector:
        play(vector, WARM_UP_STEPS, seconds)
        wait()
        start = time.perf_counter()
        steps = play(vector, None, seconds)
        return steps * count * vector.spec.action_repeat / (time.perf_counter() - start)


def play(vector: VectorEnv, most: int | None, seconds: float) -> int:
    """Step with random actions up to so many steps or seconds; return the steps without resets."""
    rng = np.random.default_rng(0)
    shape, seeds = (vector.num, vector.spec.action_size), np.arange(vector.num)
    reset, steps = np.ones(vector.num, dtype=bool), 0
    deadline = time.perf_counter() + seconds
    while (most is None or steps < most) and (steps == 0 or time.perf_counter() < deadline):
        actions = rng.uniform(-1, 1, shape).astype(np.float32)
        reset = vector.step(actions, reset, seeds).is_last
        steps += not reset.any()
    return steps
