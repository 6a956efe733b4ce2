"""What the model imagines, for the page: scores, skills beside what they do, and goals."""

from typing import TYPE_CHECKING, Any

import numpy as np

from choreo.agent import Agent
from choreo.envs.vector import VectorEnv
from choreo.errors import RendererUnavailable, UsageError
from choreo.evaluation.atlas import thinned
from choreo.evaluation.axes import Axes
from choreo.evaluation.choreography import Score
from choreo.evaluation.dream import RealAndDream, real_and_dream, recorded_spread
from choreo.evaluation.dreamt_atlas import data_axes
from choreo.evaluation.imagining import (
    Imagined,
    Start,
    draw_observations,
    imagine,
    random_actions,
    start_of_replay,
    start_of_reset,
)
from choreo.evaluation.named_rewards import named_rewards
from choreo.evaluation.performance import STEP_SECONDS, film_pace
from choreo.evaluation.prompts import (
    Frame,
    Goal,
    Point,
    Reward,
    picture_goal,
    prompt,
    recorded_frame,
    recorded_frames,
)
from choreo.record.progress import Tell
from choreo.replay import Replay
from choreo.studio.figures import DRAWN, Made
from choreo.studio.live import jpeg
from choreo.studio.wire import Message
from choreo.viz.film import encode_video

if TYPE_CHECKING:
    from choreo.studio.desk import Opened

FILM_FRAMES = 200  # of what is imagined, at most [ours]
COMPARED = 100  # steps of a skill beside its dream, unless it is said [ours]
SMALL = 128  # pixels of a recorded frame [ours]
UNDRAWN = (
    "What this agent imagines cannot be drawn: it sees numbers, and no simulator can be put into "
    "the state that they tell. The map shows the path instead"
)
NOTHING = (
    "there is no recorded experience to begin from. Open the run folder, not a checkpoint that was "
    "taken out of it"
)


def _imagined(opened: "Opened", message: Message, tell: Tell) -> Imagined:
    score, vector = Score.from_json(message["params"]["score"]), opened.simulator()
    agent, policy = opened.actor(message)
    actions = random_actions(agent, score) if policy == "random" else None
    start = _start(opened, agent, vector, score.seed)
    return imagine(agent, score, start, vector, tell, actions)


def imagine_score(opened: "Opened", message: Message, _: bytes, tell: Tell) -> Made:
    """What the model expects of a score; its film is made when it is asked for."""
    agent, axes = opened.agent, opened.axes(message)
    imagined = _imagined(opened, message, tell)
    path = None if axes is None else axes.of_steps(imagined.observations, imagined.coordinates)
    return Made({
        "path": None if path is None else thinned(path),
        "skills": None if opened.actor(message)[1] == "random" else imagined.skills,
        "codes": imagined.codes,
        "reward": imagined.reward if agent.plays_task else None,
        "film": "job:film.mp4",
        "axes": None if axes is None else list(axes.names),
        "round": [False, False] if axes is None else list(axes.round),
    })  # fmt: skip


def film_of_dream(opened: "Opened", message: Message, _: bytes, tell: Tell) -> Made:
    """The pictures of an imagined score."""
    imagined = _imagined(opened, message, tell)
    every, rate = film_pace(opened.agent.spec, imagined.steps, FILM_FRAMES)
    tell("drawing", 0, 1)
    frames = draw_observations(
        opened.agent, imagined.observations, opened.simulator(), DRAWN, every
    )
    if not frames:
        raise RendererUnavailable(UNDRAWN)
    return Made({"film": "file:.mp4"}, {".mp4": encode_video(frames, rate)})


def compare(opened: "Opened", message: Message, _: bytes, tell: Tell) -> Made:
    """A skill in the simulator, and the same skill imagined from the same start."""
    result = _compared(opened, message, None, tell).to_json()
    result["real"]["films"] = "job:real.mp4"
    result["dream"]["film"] = "job:dream.mp4"
    return Made(result)


def films_of_both(opened: "Opened", message: Message, _: bytes, tell: Tell) -> Made:
    """The pictures of a skill, and of its dream where that can be drawn."""
    both = _compared(opened, message, DRAWN, tell)
    rate = 1 / (both.every * (opened.agent.spec.step_seconds or STEP_SECONDS))
    files = {f"-{name}.mp4": frames for name, frames in _of_both(both) if frames}
    result = {name: f"file:-{name}.mp4" if frames else None for name, frames in _of_both(both)}
    return Made(result, {name: encode_video(frames, rate) for name, frames in files.items()})


def _of_both(both: RealAndDream) -> tuple[tuple[str, list[np.ndarray]], ...]:
    return ("real", both.frames), ("dream", both.dreamt_frames)


def _compared(opened: "Opened", message: Message, size: int | None, tell: Tell) -> RealAndDream:
    params, replay = message["params"], opened.replay()
    steps, vector = params["steps"] or COMPARED, opened.one()
    agent, policy = opened.actor(message)
    return real_and_dream(
        agent,
        vector,
        params["skill"],
        params["seed"],
        steps,
        _axes(opened, message),
        None if replay is None else recorded_spread(opened.agent, replay),
        size,
        film_pace(vector.spec, steps, FILM_FRAMES)[0],
        tell,
        policy,
    )


def rank(opened: "Opened", message: Message, data: bytes, tell: Tell) -> Made:
    """All skills by how well they meet a goal in imagination."""
    agent, vector = opened.actor(message)[0], opened.simulator()
    goal, asked = _goal(opened, message, data), dict(message["params"])
    tell("imagining every skill", 0, 1)
    axes = opened.axes(message)
    ranking = prompt(agent, _start(opened, agent, vector, 0), goal, vector=vector, axes=axes)
    asked.pop("mapped", None)
    return Made({"ranking": [one.to_json() for one in ranking], "goal": asked, "film": None})


def _goal(opened: "Opened", message: Message, data: bytes) -> Goal:
    params, agent = message["params"], opened.agent
    if params["kind"] == "point":
        return Point(_axes(opened, message), params["x"], params["y"], opened.ends(message))
    if params["kind"] == "reward":
        return Reward(params["name"])
    replay = _experience(opened)
    spread = recorded_spread(agent, replay)
    if params["kind"] == "picture":
        return picture_goal(agent, data, spread)
    return Frame(recorded_frame(agent, replay, params["frame"]).observation, spread)


def frames(opened: "Opened", _: Message, __: bytes, tell: Tell) -> Made:
    """Some steps of the recorded experience, to choose a goal from."""
    if opened.replay() is None:
        return Made({"frames": [], "why_not": f"T{NOTHING[1:]}."})
    found = recorded_frames(opened.agent, _experience(opened))
    seen = {key: np.stack([one.observation[key] for one in found]) for key in found[0].observation}
    pictures = _drawn(opened.agent, seen, opened.simulator(), size=SMALL)
    shown = [
        {
            "frame": one.number,
            "picture": f"file:-{place}.jpg" if pictures else None,
            "label": f"step {one.index:,}",
        }
        for place, one in enumerate(found)
    ]
    files = {f"-{place}.jpg": jpeg(picture) for place, picture in enumerate(pictures or [])}
    why = None if pictures else "Recorded states of this environment cannot be drawn here."
    return Made({"frames": shown, "why_not": why}, files)


def rewards(opened: "Opened", _: Message, __: bytes, tell: Tell) -> Made:
    """The rewards that skills can be ranked by."""
    return Made({"rewards": [vars(reward) for reward in named_rewards(opened.agent)]})


def _axes(opened: "Opened", message: Message) -> Axes:
    """The axes of the map, or while that is not there, directions of the recorded data."""
    return opened.axes(message) or data_axes(opened.agent, _experience(opened))


def _experience(opened: "Opened") -> Replay:
    replay = opened.replay()
    if replay is None:
        raise UsageError(NOTHING)
    return replay


def _start(opened: "Opened", agent: Agent, vector: VectorEnv | None, seed: int) -> Start:
    if vector is not None:
        return start_of_reset(agent, vector, seed)
    return start_of_replay(agent, _experience(opened), seed)


def _drawn(
    agent: Agent,
    observations: dict[str, Any],
    vector: VectorEnv | None,
    every: int = 1,
    size: int = DRAWN,
) -> list[np.ndarray] | None:
    try:
        return draw_observations(agent, observations, vector, size, every)
    except RendererUnavailable:
        return None
