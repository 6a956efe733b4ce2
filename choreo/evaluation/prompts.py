"""Prompts: every skill scored in imagination by how well it meets a goal or earns a reward."""

import io
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from choreo.agent import Agent
from choreo.envs import VectorEnv
from choreo.errors import UsageError
from choreo.evaluation.axes import Axes
from choreo.evaluation.dream import errors
from choreo.evaluation.imagined import HORIZON, goal_state
from choreo.evaluation.imagining import ImaginedSkills, Start, imagine_skills, read_coordinates
from choreo.evaluation.model_error import Spread
from choreo.evaluation.named_rewards import PREDICTED, TaskJudge
from choreo.replay import Replay

LATE = 0.5  # share of the imagined steps after which a skill should be at its goal [ours]
MOST_PIXELS = 2**25  # of an uploaded picture [ours]
FRAMES = 24  # recorded frames to choose from [ours]

Observation = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Ranked:
    """A skill and its score, the best first: its imagined return.

    For a reward the sum over the imagined steps. For goals minus the mean distance over the later
    half of them, and `distance` is that of the nearest moment: on the map in deviations of the
    data, for observations as share of the data's variance. code_distance: from the skill's code to
    the model's state after looking at the goal, where it can be looked at. imagined: whether the
    score is of imagination, not of what was played for the map. path: imagined, on the map.
    """

    skill: int
    score: float
    distance: float | None = None
    code_distance: float | None = None
    imagined: bool = True
    path: list[list[float]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Goal(Protocol):
    """What skills are ranked by."""

    def judge(
        self, agent: Agent, imagined: ImaginedSkills, vector: VectorEnv | None
    ) -> "Judged": ...


@dataclass(frozen=True)
class Judged:
    """Rewards (H, K) of every imagined step and skill; `near`: they are minus distances."""

    rewards: np.ndarray
    near: bool
    imagined: bool = True
    code_distance: np.ndarray | None = None


@dataclass(frozen=True)
class Point:
    """A place on the map; `ends` (K, 2) is where skills ended up when they were played.

    The ends are what skills are ranked by where imagined states do not tell their place.
    """

    axes: Axes
    x: float
    y: float
    ends: np.ndarray | None = None

    def judge(self, agent: Agent, imagined: ImaginedSkills, vector: VectorEnv | None) -> Judged:
        """Minus distances in deviations of the data; raises UsageError where none can be told."""
        place, places = np.array([self.x, self.y]), _places(self.axes, imagined, vector)
        if places is None and self.ends is not None:
            gaps = np.broadcast_to(self.axes.gap(self.ends, place), imagined.reward.shape)
            return Judged(-gaps, near=True, imagined=False)
        if places is None:
            raise UsageError(
                f"imagined states of {agent.spec.id} do not tell {' and '.join(self.axes.names)}, "
                "so that no skill can be scored by a place on this map. Give a frame of recorded "
                "experience or a reward"
            )
        return Judged(-self.axes.gap(places, place), near=True)


@dataclass(frozen=True)
class Frame:
    """An observation, raw, by key; of agents that see pictures some of the keys may be missing."""

    observation: Observation
    spread: Spread

    def judge(self, agent: Agent, imagined: ImaginedSkills, vector: VectorEnv | None) -> Judged:
        """Minus squared errors as share of the variance."""
        steps, count = imagined.reward.shape
        seen = {k: _flat_rows(imagined.observations[k]) for k in self.observation}
        goal = {
            key: np.broadcast_to(value, (steps * count, *value.shape))
            for key, value in self.observation.items()
        }
        found = errors(agent, seen, goal, self.spread).reshape(steps, count)
        return Judged(-found, near=True, code_distance=_code_distances(agent, self.observation))


@dataclass(frozen=True)
class Reward:
    """A reward function by its name, see `choreo.evaluation.named_rewards`."""

    name: str

    def judge(self, agent: Agent, imagined: ImaginedSkills, vector: VectorEnv | None) -> Judged:
        """Rewards that the agent predicts, or those of a task for the imagined states."""
        if self.name == PREDICTED:
            return Judged(imagined.reward, near=False)
        steps, count = imagined.reward.shape
        rows = {key: _flat_rows(value) for key, value in imagined.observations.items()}
        with TaskJudge(agent, self.name) as judge:
            return Judged(judge.rewards(rows).reshape(steps, count), near=False)


def prompt(
    agent: Agent,
    start: Start,
    goal: Goal,
    seed: int = 0,
    steps: int = HORIZON,
    vector: VectorEnv | None = None,
    axes: Axes | None = None,
) -> list[Ranked]:
    """Imagine every skill from a start for `steps` steps and rank them by a goal, best first.

    A `vector` whose simulator can be put into imagined states tells their coordinates; its episode
    is lost. With `axes` every skill has its imagined path.

    Raises UsageError for a goal that this agent cannot be given.
    """
    imagined = imagine_skills(agent, start, steps, seed)
    judged = goal.judge(agent, imagined, vector)
    scores = judged.rewards.sum(0)
    if judged.near:
        scores = judged.rewards[int(LATE * steps) :].mean(0)
    places = None if axes is None else _places(axes, imagined, vector)
    codes = judged.code_distance
    return [
        Ranked(
            skill=skill,
            score=float(scores[skill]),
            distance=float(-judged.rewards[:, skill].max()) if judged.near else None,
            code_distance=None if codes is None else float(codes[skill]),
            imagined=judged.imagined,
            path=[] if places is None else places[:, skill].tolist(),
        )
        for skill in np.argsort(-scores, kind="stable").tolist()
    ]


@dataclass(frozen=True)
class Recorded:
    """A step of recorded experience; `number` names it for good."""

    number: int
    stream: int
    index: int
    observation: dict[str, np.ndarray]


def recorded_frames(agent: Agent, replay: Replay, count: int = FRAMES) -> list[Recorded]:
    """Evenly spaced steps of what is held, at most `count`."""
    starts, stops = replay.bounds()
    each = -(-count // replay.streams)
    numbers = [
        int(index) * replay.streams + stream
        for stream, (start, stop) in enumerate(zip(starts, stops))
        if stop > start
        for index in np.unique(np.linspace(start, stop - 1, each).round().astype(np.int64))
    ]
    return [recorded_frame(agent, replay, number) for number in sorted(numbers)[:count]]


def recorded_frame(agent: Agent, replay: Replay, number: int) -> Recorded:
    """The recorded step of a number; raises UsageError where it is not held."""
    index, stream = divmod(number, replay.streams)
    try:
        steps = replay.read(stream, index, index + 1)
    except IndexError as error:
        raise UsageError(f"frame {number} of the recorded experience is not held") from error
    return Recorded(number, stream, index, {k: steps[k][0] for k in agent.spec.observations})


def picture_goal(agent: Agent, data: bytes, spread: Spread) -> Frame:
    """A picture (PNG, JPEG, WebP, GIF) as a goal: its middle square, at the size the agent sees.

    Raises UsageError for an agent that sees no picture in colour or grey, or what is no picture.
    """
    images = agent.spec.images
    if not images:
        raise UsageError(
            f"this agent for {agent.spec.id} sees numbers and no pictures, so that a picture tells "
            "it nothing. Give a place on the map, a recorded frame or a reward, or train one with "
            "--obs pixels"
        )
    key, array = next(iter(images.items()))
    channels, size = array.shape[0], array.shape[-1]
    if channels not in (1, 3):
        raise UsageError(
            f"this agent sees {channels} channels at once, which no single picture has. Give a "
            "recorded frame"
        )
    picture = _upright(_opened(data)).convert("RGB" if channels == 3 else "L")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    small = picture.resize((size, size), Image.Resampling.BOX, box=box)
    pixels = np.asarray(small).reshape(size, size, channels).transpose(2, 0, 1)
    return Frame({key: np.ascontiguousarray(pixels)}, spread)


def _upright(picture: Image.Image) -> Image.Image:
    """As a person sees it: turned as the camera noted, and of 16 bits a value the upper 8."""
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8))
    return ImageOps.exif_transpose(picture)


def _opened(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP", "GIF"))
        if picture.width * picture.height > MOST_PIXELS:
            raise Image.DecompressionBombError
        picture.load()
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UsageError(
            f"the picture is too large; wanted are at most {MOST_PIXELS:,} pixels"
        ) from error
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise UsageError(
            f"this is no picture that can be read ({str(error)[:80]}); give PNG, JPEG or WebP"
        ) from error
    return picture


def _places(axes: Axes, imagined: ImaginedSkills, vector: VectorEnv | None) -> np.ndarray | None:
    """Places of all imagined states, (H, K, 2); None where they are not told."""
    rows = {key: _flat_rows(value) for key, value in imagined.observations.items()}
    known = None if axes.columns is None or vector is None else read_coordinates(vector, rows)
    places = axes.of_steps(rows, known)
    return None if places is None else places.reshape(*imagined.reward.shape, 2)


def _flat_rows(values: np.ndarray) -> np.ndarray:
    """(H, K, shape) as (H * K, shape)."""
    return values.reshape(-1, *values.shape[2:])


@torch.no_grad()
def _code_distances(agent: Agent, observation: Observation) -> np.ndarray | None:
    """Distance (K,) of the state after looking at a goal to every code; None for half a goal."""
    if agent.spec.observations.keys() - observation:
        return None
    state = goal_state(agent, observation)
    return agent.skills.code_distances(state.deter)[0].cpu().numpy()
