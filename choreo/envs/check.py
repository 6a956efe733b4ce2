"""`choreo env check`: says in words what of an environment fits an agent and what does not."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from choreo.envs.base import Environment, TimeStep
from choreo.envs.make import make
from choreo.envs.rendering.look import look
from choreo.envs.spaces import EnvSpec
from choreo.errors import EnvironmentFailed, EnvironmentMismatch, NotFinite, RendererUnavailable
from choreo.schema import counted

_SEEDS = (2**31 - 1, 1_999_999_973)  # as large as those of training can be
_REPEATED_STEPS = 50
_EPISODES = 3
_MAX_STEPS = 1000
_MAX_STEPS_DRAWN = 100  # drawing takes long where there is no graphics card


@dataclass
class EnvCheck:
    """What was found: sentences on what fits, sentences on what does not, and the numbers.

    `returns` are those of episodes with uniformly random actions, cut at 1000 agent steps;
    `images` are the first ones, uint8 (H, W, 3) by key.
    """

    id: str
    fits: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    spec: EnvSpec | None = None
    frames_per_second: float | None = None
    returns: list[float] = field(default_factory=list)
    images: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether an agent can use the environment."""
        return not self.problems


def check(id: str, **options: Any) -> EnvCheck:
    """Make the environment, run it with random actions and report; `options` are those of `make`.

    A mismatch, an error of the environment's own, NaN, missing determinism, missing renderer or a
    bad picture is a problem in the report; an unknown id or option raises `UsageError`.
    """
    result = EnvCheck(id)
    try:
        environment = make(id, **options)
    except (EnvironmentMismatch, EnvironmentFailed) as error:
        result.problems.append(str(error))
        return result
    result.spec = environment.spec
    result.fits.extend(_describe(environment.spec))
    try:
        _check_images(environment, result)
        _check_determinism(environment, result)
        _run_episodes(environment, result)
    except NotFinite as error:
        result.problems.append(f"It gave a value that is not a number: {error}.")
    except (EnvironmentMismatch, EnvironmentFailed, RendererUnavailable) as error:
        result.problems.append(str(error))
    finally:
        environment.close()
    return result


def _describe(spec: EnvSpec) -> list[str]:
    shown = ", ".join(f"'{key}' {array}" for key, array in spec.observations.items())
    bounds = ", ".join(
        f"[{low:g}, {high:g}]"
        for low, high in sorted(set(zip(spec.action_low, spec.action_high, strict=True)))
    )
    sentences = [
        f"Observations: {shown}{_describe_cameras(spec)}.",
        f"Actions: {counted(spec.action_size, 'continuous value')}; [-1, 1] is scaled to {bounds}.",
        f"Each action is held for {counted(spec.action_repeat, 'frame')}.",
    ]
    if spec.episode_steps is None:
        sentences.append("It has no time limit that is known; --time-limit sets one.")
    else:
        sentences.append(f"An episode is cut after {counted(spec.episode_steps, 'agent step')}.")
    if spec.step_seconds is not None:
        sentences.append(f"An agent step is {spec.step_seconds:g} simulated seconds.")
    if spec.coordinates:
        sentences.append(f"Named state coordinates: {', '.join(spec.coordinates)}.")
    else:
        sentences.append("It has no named state coordinates; reports use principal components.")
    return sentences


def _describe_cameras(spec: EnvSpec) -> str:
    return f"; cameras: {', '.join(spec.cameras)}" if spec.cameras else ""


def _check_images(environment: Environment, result: EnvCheck) -> None:
    found = look(environment)
    result.images.update(found.images)
    result.problems.extend(found.problems)
    if found.images and not found.problems:
        result.fits.append("Its images are not black, not constant, and change with the state.")


def _check_determinism(environment: Environment, result: EnvCheck) -> None:
    first = _record(environment, _SEEDS[0])
    other = _record(environment, _SEEDS[1])
    again = _record(environment, _SEEDS[0])
    if not _same(first, again):
        result.problems.append(
            "The same seed and actions gave another episode. Resume and comparisons need"
            " reset(seed) to determine everything: draw all randomness from the seeded generator"
            " and clear all state on reset."
        )
        return
    result.fits.append("The same seed and actions give the same episode, bit for bit.")
    if _same(first[:1], other[:1]):
        result.fits.append("Two seeds gave the same first observation: its start is fixed.")


def _record(environment: Environment, seed: int) -> list[TimeStep]:
    rng = np.random.default_rng(0)
    steps = [environment.reset(seed)]
    while len(steps) <= _REPEATED_STEPS and not steps[-1].is_last:
        steps.append(environment.step(_random_action(environment, rng)))
    return steps


def _same(left: list[TimeStep], right: list[TimeStep]) -> bool:
    return len(left) == len(right) and all(
        (a.reward, a.is_last, a.is_terminal) == (b.reward, b.is_last, b.is_terminal)
        and all(np.array_equal(a.observation[key], b.observation[key]) for key in a.observation)
        for a, b in zip(left, right, strict=True)
    )


def _run_episodes(environment: Environment, result: EnvCheck) -> None:
    rng = np.random.default_rng(1)
    most = _MAX_STEPS if environment.spec.obs == "states" else _MAX_STEPS_DRAWN
    frames, seconds, endings = 0, 0.0, set()
    for number in range(_EPISODES):
        step = environment.reset(_SEEDS[1] - number)
        total, steps = 0.0, 0
        start = time.perf_counter()
        while not step.is_last and steps < most:
            step = environment.step(_random_action(environment, rng))
            total += step.reward
            steps += 1
        seconds += time.perf_counter() - start
        environment.coordinates()  # raises where they are not what the spec says
        frames += steps * environment.spec.action_repeat
        endings.add("termination" if step.is_terminal else "time limit" if step.is_last else "us")
        result.returns.append(total)
    result.frames_per_second = frames / max(seconds, 1e-9)
    result.fits.append(_sentence_on_endings(endings, most))
    low, high = min(result.returns), max(result.returns)
    result.fits.append(
        f"{_EPISODES} random episodes returned {low:.4g} to {high:.4g}"
        f" at {result.frames_per_second:.0f} frames per second."
    )


def _sentence_on_endings(endings: set[str], most: int) -> str:
    if endings == {"us"}:
        return f"No random episode ended within {most} steps."
    return f"Random episodes ended by {' and '.join(sorted(endings - {'us'}))}."


def _random_action(environment: Environment, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-1, 1, environment.spec.action_size).astype(np.float32)
