"""What a worker can compute for the page; the figures themselves are those of `evaluation`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from choreo.errors import RendererUnavailable
from choreo.evaluation import measure_health, run_episodes
from choreo.evaluation.atlas import axes_of, make_atlas
from choreo.evaluation.choreography import Score
from choreo.evaluation.conditions import CONDITIONS, usual_steps
from choreo.evaluation.dreamt_atlas import data_axes, dreamt_atlas
from choreo.evaluation.performance import (
    STEP_SECONDS,
    Performance,
    Performed,
    film,
    film_pace,
    perform_task,
)
from choreo.record.progress import Tell
from choreo.report import verdicts
from choreo.studio.wire import Message
from choreo.viz.film import encode, encode_video

if TYPE_CHECKING:
    from choreo.studio.desk import Opened

EPISODES = 2  # of every skill of the map: fewer than in the report, to be there sooner [ours]
VECTORS = 16  # environments that the map is played in, as in the report
DRAWN = 256  # height and width of films in pixels [ours]
SMALL = 96  # of those on the wall [ours]
FILM_FRAMES = 125  # of a film of the wall at most [ours]
TASK_STEPS = (
    500  # in which the choice of skills is shown, where the environment has no limit [ours]
)
NOTHING = "There is neither a simulator nor recorded experience to imagine skills from."
UNPLAYED = "Without a simulator nothing was played: the map shows what the model imagines."


@dataclass(frozen=True)
class Made:
    """A result as JSON, and files by the ending of their names; "file:" names one in the result."""

    result: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)


Figure = Callable[["Opened", Message, bytes, Tell], Made]


def map_of(opened: "Opened", _: Message, __: bytes, tell: Tell) -> Made:
    """All skills at a glance under three conditions, with what the report says of them."""
    if not opened.simulates:
        return _imagined_map(opened, tell)
    agent, num = opened.agent, min(opened.agent.num_skills, VECTORS)
    with opened.vector(num) as vector:
        report = measure_health(agent, vector, EPISODES, replay=opened.replay(), tell=tell)
    told, axes = report.to_json(), axes_of(report)
    switching = told["switching"]
    sentences = (
        verdicts.summary_verdict(report),
        verdicts.coverage_verdict(report),
        verdicts.hit_verdict(report),
        verdicts.predictability_verdict(report),
        verdicts.switch_verdict(report),
        *verdicts.model_verdicts(report.model_error),
    )
    return Made({
        "maps": {name: make_atlas(report, agent, name, axes).to_json() for name in CONDITIONS},
        "reading": axes.to_json(),
        "coverage": told["coverage"],
        "hit_rate": told["hit_rate"],
        "switching": {
            "skills": switching["skills"],
            "hits": switching["after"],
            "chance": switching["chance"],
            "mean": switching["trained"],
        },
        "verdicts": [verdict.sentence for verdict in sentences],
    })  # fmt: skip


def _imagined_map(opened: "Opened", tell: Tell) -> Made:
    """Without a simulator: where the model expects the skills to end up."""
    replay = opened.replay()
    if replay is None:
        return Made({"maps": {}, "why_not": NOTHING})
    axes = data_axes(opened.agent, replay)
    maps = {
        name: dreamt_atlas(opened.agent, replay, name, 0, axes, tell).to_json()
        for name in ("trained", "untrained")
    }
    return Made({"maps": maps, "reading": axes.to_json(), "why_not": UNPLAYED})


def film_of_skill(opened: "Opened", message: Message, _: bytes, tell: Tell) -> Made:
    """One skill under one condition, from the first start."""
    params, vector = message["params"], opened.one()
    agent, policy = opened.actor(message)
    steps = usual_steps(vector.spec)
    every = max(1, -(-steps // FILM_FRAMES))
    episode = run_episodes(
        agent,
        vector,
        policy,
        1,
        0,
        [params["skill"]],
        steps=steps,
        frames_every=every,
        frame_size=(DRAWN, DRAWN),
        tell=lambda taken: tell("filming", taken, steps),
    )[0]
    rate = 1 / (every * (vector.spec.step_seconds or STEP_SECONDS))
    small = _smaller(episode.frames[::2])
    files = {
        ".mp4": encode_video(episode.frames, rate),
        ".webp": encode(small, rate / 2, "webp"),
    }
    return Made({"webp": "file:.webp", "mp4": "file:.mp4", "return": episode.return_}, files)


def _smaller(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    pictures = [Image.fromarray(frame) for frame in frames]
    for picture in pictures:
        picture.thumbnail((SMALL, SMALL), Image.Resampling.BILINEAR)
    return [np.asarray(picture) for picture in pictures]


def film_of_score(opened: "Opened", message: Message, _: bytes, tell: Tell) -> Made:
    """A score as a film to keep: the same bytes that `choreo play` writes."""
    params = message["params"]
    score, (agent, policy) = Score.from_json(params["score"]), opened.actor(message)
    content = film(agent, opened.one(), score, params["format"], tell=tell, policy=policy)
    ending = f".{params['format']}"
    return Made({"url": f"file:{ending}"}, {ending: content})


def choices(opened: "Opened", _: Message, __: bytes, tell: Tell) -> Made:
    """What the meta-controller chooses over an episode, with film and reward."""
    vector = opened.one()
    steps = min(opened.agent.spec.episode_steps or TASK_STEPS, TASK_STEPS)
    every, rate = film_pace(vector.spec, steps)
    try:
        items = _played(perform_task(opened.agent, vector, 0, steps, DRAWN, every), tell)
    except RendererUnavailable:
        items = _played(perform_task(opened.agent, vector, 0, steps), tell)
    frames = [item.frame for item in items if item.frame is not None]
    files = {".mp4": encode_video(frames, rate)} if frames else {}
    result = {
        "skills": [item.skill for item in items[1:]],
        "reward": [item.reward for item in items[1:]],
        "film": "file:.mp4" if files else None,
    }
    return Made(result, files)


def _played(performance: Performance, tell: Tell) -> list[Performed]:
    items = []
    for item in performance:
        tell("playing the task", item.step, performance.steps)
        items.append(item)
    return items
