"""Real and dream: one skill from one start, in the simulator and in the model's imagination."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from choreo.agent import Agent, PolicyName
from choreo.envs import VectorEnv
from choreo.evaluation.axes import Axes
from choreo.evaluation.imagining import (
    draw_observations,
    imagine,
    one_skill,
    start_of_observation,
)
from choreo.evaluation.model_error import LEAST_VARIANCE, Spread
from choreo.evaluation.performance import Performed, perform
from choreo.record.progress import Tell, silent
from choreo.replay import Replay

WINDOW = 10  # steps over which errors are compared, so that no single step decides [ours]
VISIBLE = 0.1  # of the data's variance: a smaller error is no departure [ours]
ROWS = 2000  # recorded steps that variances are taken from [ours]
PICTURES = 200  # of them with images [ours]
STAGE = "playing the skill"

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class RealAndDream:
    """What a skill did in T steps, and what the model dreamt of from the same start on.

    The dream sees the first observation alone, and acts for itself. real, dream: places (T + 1, 2)
    on `axes`; error, lazy (T + 1,): squared errors of the dream and of a guess that nothing
    changes, as shares of the data's variance, averaged over what is observed; leaves: the first
    step from which on, for 10 steps on average, the dream's error is above that of the lazy guess
    and above a tenth of the variance, None where there is none; rewards (T,), received and
    predicted; frames: pictures of every `every`-th state, where they can be drawn; ended: whether
    the environment ended the episode.
    """

    skill: int
    seed: int
    axes: Axes
    real: np.ndarray
    dream: np.ndarray
    error: np.ndarray
    lazy: np.ndarray
    leaves: int | None
    reward: np.ndarray
    dreamt_reward: np.ndarray
    frames: list[np.ndarray]
    dreamt_frames: list[np.ndarray]
    every: int
    ended: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the pictures."""
        return {
            "skill": self.skill,
            "seed": self.seed,
            "axes": list(self.axes.names),
            "round": list(self.axes.round),
            "kind": self.axes.kind,
            "real": {"path": self.real.tolist(), "reward": self.reward.tolist()},
            "dream": {"path": self.dream.tolist(), "reward": self.dreamt_reward.tolist()},
            "error": self.error.tolist(),
            "lazy": self.lazy.tolist(),
            "leaves": self.leaves,
            "ended": self.ended,
        }


def real_and_dream(
    agent: Agent,
    vector: VectorEnv,
    skill: int,
    seed: int,
    steps: int,
    axes: Axes,
    spread: Spread | None = None,
    picture_size: int | None = None,
    every: int = 1,
    tell: Tell = silent,
    policy: PolicyName = "skill",
) -> RealAndDream:
    """Play a skill for `steps` steps or until the environment ends it, and dream of the same.

    Errors are in units of `spread`, the variances of the data (`recorded_spread`, or
    `measure_spread` of a report's episodes); without it, of what was just played. Where dreams
    cannot be placed on `axes`, both lie on their fallback. With a `picture_size` (pixels) every
    `every`-th state is drawn, the simulator's where agents see no images and it can be put there.
    With the `policy` "random" both take the same random actions in place of the skill's.

    Raises as `perform`.
    """
    score = one_skill(skill, steps, seed)
    items: list[Performed] = []
    for item in perform(agent, vector, score, picture_size, every, policy):
        tell(STAGE, item.step, steps)
        items.append(item)
    seen = _stack([item.observation for item in items])
    start = start_of_observation(agent, items[0].observation, seed)
    taken = _actions(items) if policy == "random" else None
    dream = imagine(agent, one_skill(skill, len(items) - 1, seed), start, vector, tell, taken)
    spread = spread or spread_of(agent, seen)
    lazy = {key: np.repeat(value[:1], len(value), axis=0) for key, value in seen.items()}
    error, lazy_error = (errors(agent, guess, seen, spread) for guess in (dream.observations, lazy))
    shown, dreamt = axes.place(dream.observations, dream.coordinates)
    real = shown.of_steps(seen, np.array([item.coordinates for item in items]))
    assert real is not None
    drawn = None
    if picture_size is not None:
        drawn = draw_observations(agent, dream.observations, vector, picture_size, every)
    return RealAndDream(
        skill=skill,
        seed=seed,
        axes=shown,
        real=real,
        dream=dreamt,
        error=error,
        lazy=lazy_error,
        leaves=leaves(error, lazy_error),
        reward=np.array([item.reward for item in items[1:]]),
        dreamt_reward=dream.reward,
        frames=[item.frame for item in items if item.frame is not None],
        dreamt_frames=drawn or [],
        every=every,
        ended=items[-1].ended,
    )


def errors(agent: Agent, guess: Arrays, truth: Arrays, spread: Spread) -> np.ndarray:
    """Squared errors of raw observations, each (T, shape), as shares of the variance, (T,).

    The mean over all vectors' varying dimensions; of images over all pixels; of both of the two.
    Only what `truth` holds counts.
    """
    parts = []
    images = [key for key in agent.spec.images if key in truth]
    vectors = [k for k in agent.spec.observations if k in truth and k not in images]
    if vectors and spread.varies.any():
        squares = (_flat(guess, vectors) - _flat(truth, vectors)) ** 2
        parts.append((squares[:, spread.varies] / spread.vectors[spread.varies]).mean(1))
    if images:
        gaps = (_flat(guess, images) - _flat(truth, images)) / 255
        parts.append((gaps**2).mean(1) / max(spread.images, LEAST_VARIANCE))
    return np.mean(parts, axis=0) if parts else np.zeros(len(next(iter(truth.values()))))


def leaves(error: np.ndarray, lazy: np.ndarray) -> int | None:
    """The step at which a dream leaves reality, see `RealAndDream`; from errors (T + 1,)."""
    width = max(1, min(WINDOW, len(error) - 1))
    for step in range(1, len(error) - width + 1):
        own, other = (values[step : step + width].mean() for values in (error, lazy))
        if own > max(other, VISIBLE):
            return step
    return None


def spread_of(agent: Agent, observations: Arrays) -> Spread:
    """Variances of raw observations, each (T, shape)."""
    images = list(agent.spec.images)
    vectors = [key for key in agent.spec.observations if key not in images]
    own = _flat(observations, vectors).var(0) if vectors else np.zeros(0)
    pixels = (_flat(observations, images) / 255).var(0).mean() if images else 0.0
    return Spread(own, float(pixels))


def recorded_spread(agent: Agent, replay: Replay) -> Spread:
    """Variances of the recorded experience, from evenly spaced steps of all that is held."""
    wanted = PICTURES if agent.spec.images else ROWS
    starts, stops = replay.bounds()
    each = max(1, wanted // replay.streams)
    places = [
        (stream, int(index))
        for stream, (start, stop) in enumerate(zip(starts, stops))
        for index in np.unique(np.linspace(start, stop - 1, each).astype(np.int64))
        if stop > start
    ]
    streams, indices = np.array(places, np.int64).reshape(-1, 2).T
    seen = replay.gather(streams, indices, 1)
    return spread_of(agent, {key: seen[key][:, 0] for key in agent.spec.observations})


def _stack(observations: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.stack([one[key] for one in observations]) for key in observations[0]}


def _actions(items: list[Performed]) -> np.ndarray:
    return np.stack([item.action for item in items if item.action is not None])


def _flat(observations: Arrays, keys: list[str]) -> np.ndarray:
    parts = [observations[key].reshape(len(observations[key]), -1) for key in keys]
    return np.concatenate(parts, axis=1).astype(np.float64)
