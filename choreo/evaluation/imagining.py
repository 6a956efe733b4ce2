"""What the model expects: scores and skills imagined from a start, without a simulator."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from choreo.agent import Agent, RowStreams
from choreo.envs import VectorEnv
from choreo.errors import UsageError
from choreo.evaluation.choreography import Move, Score
from choreo.evaluation.imagined import decode
from choreo.evaluation.performance import FILM_SIZE, film_pace
from choreo.evaluation.pictures import side_by_side
from choreo.evaluation.rollouts import acting_seed
from choreo.record import derive_seed, episode_seed
from choreo.record.progress import Tell, silent
from choreo.replay import Replay
from choreo.viz.drawing import enlarge
from choreo.viz.film import MOST_PICTURES, FilmForm, encode
from choreo.world_model import State

MOST_IMAGINED = 5000  # steps of a score that is imagined, whose pictures are held [ours]
DECODED = 256  # states that are decoded at once [ours]
STAGE = "imagining the score"

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Start:
    """Where imagination begins: the model's state (one row) after it saw a raw observation."""

    state: State
    observation: dict[str, np.ndarray]


@dataclass(frozen=True)
class Imagined:
    """What the model expects of T steps of a score, at T + 1 states.

    observations: decoded, by key, in the environment's units, each (T + 1, shape); reward (T,), as
    the agent's reward head predicts it on arrival; skills (T,); actions (T, A); codes (T + 1,),
    nearest to each state; coordinates (T + 1, C), the environment's named ones where a simulator
    could be put into the decoded states, else None.
    """

    observations: dict[str, np.ndarray]
    reward: np.ndarray
    skills: np.ndarray
    actions: np.ndarray
    codes: np.ndarray
    coordinates: np.ndarray | None = None

    @property
    def steps(self) -> int:
        """Imagined steps, T."""
        return len(self.reward)


def start_of_reset(agent: Agent, vector: VectorEnv, seed: int) -> Start:
    """The state in which a score with this seed is performed first; resets the environment."""
    num = vector.num
    begin = np.full(num, episode_seed(seed, "evaluation", 0))
    nothing = np.zeros((num, vector.spec.action_size), np.float32)
    seen = vector.step(nothing, np.ones(num, bool), begin)
    observation = {key: value[0].copy() for key, value in seen.observation.items()}
    return start_of_observation(agent, observation, seed)


def start_of_observation(agent: Agent, observation: Arrays, seed: int) -> Start:
    """The state after the first observation of an episode, raw, by key."""
    stream = RowStreams.of(agent, 1)
    stream.begin(0, acting_seed(seed, 0))
    shown = {
        key: torch.as_tensor(np.array(observation[key])[None], device=agent.device)
        for key in agent.spec.observations
    }
    first = torch.ones(1, dtype=torch.bool, device=agent.device)
    state = agent.observe(agent.initial_memory(1), shown, first, noise=stream.draw())
    return Start(state, {key: np.array(observation[key]) for key in agent.spec.observations})


def start_of_replay(agent: Agent, replay: Replay, seed: int) -> Start:
    """The first observation of a recorded episode, which the seed draws.

    Raises UsageError for experience that holds no step.
    """
    places = _episode_starts(replay)
    rng = np.random.default_rng(derive_seed(seed, "recorded start"))
    stream, index = places[int(rng.integers(len(places)))]
    steps = replay.read(stream, index, index + 1)
    return start_of_observation(agent, {k: steps[k][0] for k in agent.spec.observations}, seed)


def _episode_starts(replay: Replay) -> list[tuple[int, int]]:
    """Stream and index of the first step of every held episode, or of what is held first."""
    starts, stops = replay.bounds()
    found, held = [], []
    for stream, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist())):
        flags = replay.column("is_first", stream, start, stop)
        found += [(stream, start + int(place)) for place in np.flatnonzero(flags)]
        held += [(stream, start)] if stop > start else []
    if not held:
        raise UsageError("the run holds no experience yet, so there is nothing to begin from")
    return found or held


@torch.no_grad()
def imagine(
    agent: Agent,
    score: Score,
    start: Start,
    vector: VectorEnv | None = None,
    tell: Tell = silent,
    actions: np.ndarray | None = None,
) -> Imagined:
    """Imagine a score from a start: policies act by their mean, states are drawn by its seed.

    `actions` (T, A) in [-1, 1] are taken in place of those of the skills. With a `vector` whose
    simulator can be put into decoded states, their coordinates are read there; its episode is lost.

    Raises UsageError for a skill that the agent does not have, or more than 5,000 steps.
    """
    score.require_skills(agent)
    if score.steps > MOST_IMAGINED:
        raise UsageError(
            f"the score lasts {score.steps} steps; imagined are at most {MOST_IMAGINED}"
        )
    generator = _generator(agent, score.seed, "imagined score")
    state, states, taken = start.state, [start.state], []
    for step, number in enumerate(score.skill_at.tolist()):
        tell(STAGE, step, score.steps)
        if actions is None:
            skill = torch.full((1,), number, device=agent.device)
            action = agent.decide(state, "skill", skill)
        else:
            action = torch.as_tensor(actions[step : step + 1], device=agent.device)
        state = agent.world_model.rssm.imagine_step(state, action, generator)
        states.append(state)
        taken.append(action)
    tell(STAGE, score.steps, score.steps)
    observations, reward, codes = _read(agent, _join(states))
    return Imagined(
        observations=observations,
        reward=reward[1:],
        skills=score.skill_at,
        actions=torch.cat(taken).cpu().numpy(),
        codes=codes,
        coordinates=None if vector is None else read_coordinates(vector, observations),
    )


@dataclass(frozen=True)
class ImaginedSkills:
    """Every skill imagined from one start for H steps; states 1 to H, K skills.

    observations: decoded, each (H, K, shape); reward (H, K), predicted; deter (H, K, D), the
    model's deterministic state.
    """

    observations: dict[str, np.ndarray]
    reward: np.ndarray
    deter: Tensor


@torch.no_grad()
def imagine_skills(agent: Agent, start: Start, steps: int, seed: int) -> ImaginedSkills:
    """Imagine all skills from one start, each for `steps` steps, acting by their mean.

    Raises UsageError for fewer than 1 step.
    """
    if not 1 <= steps <= MOST_IMAGINED:
        raise UsageError(f"skills are imagined for 1 to {MOST_IMAGINED} steps, got {steps}")
    count = agent.num_skills
    skills = torch.arange(count, device=agent.device)
    state = State(*(part.expand(count, *part.shape[1:]) for part in _parts(start.state)))
    generator, states = _generator(agent, seed, "imagined skills"), []
    for _ in range(steps):
        action = agent.decide(state, "skill", skills)
        state = agent.world_model.rssm.imagine_step(state, action, generator)
        states.append(state)
    joined = _join(states)
    observations, reward, _ = _read(agent, joined)
    shape = (steps, count)
    seen = {key: value.reshape(*shape, *value.shape[1:]) for key, value in observations.items()}
    return ImaginedSkills(seen, reward.reshape(shape), joined.deter.unflatten(0, shape))


def read_coordinates(vector: VectorEnv, observations: Arrays) -> np.ndarray | None:
    """The coordinates (T, C) of raw observations, each (T, shape), or None.

    None where the environment names none, or its simulator cannot be put into a state that an
    observation tells. The vector's first episode is lost.
    """
    if not vector.spec.coordinates:
        return None
    found = []
    for row in range(len(next(iter(observations.values())))):
        if not vector.set_observed(0, {key: value[row] for key, value in observations.items()}):
            return None
        found.append(vector.coordinates()[0])
    return np.array(found)


def draw_observations(
    agent: Agent,
    observations: Arrays,
    vector: VectorEnv | None,
    size: int,
    every: int = 1,
) -> list[np.ndarray] | None:
    """Pictures (H, W, 3) of every `every`-th of raw observations, each (T, shape), or None.

    Of an agent that sees images these are its own, enlarged to about `size` pixels; of another one
    the simulator's, `size` pixels high and wide, where it can be put into an observation's state.
    """
    images = {key: observations[key][::every] for key in agent.spec.images}
    if images:
        seen = side_by_side(images)
        return list(enlarge(seen, max(1, size // seen.shape[1])))
    if vector is None:
        return None
    count, frames = len(next(iter(observations.values()))), []
    for row in range(0, count, every):
        if not vector.set_observed(0, {key: value[row] for key, value in observations.items()}):
            return None
        frames.append(vector.render(0, size, size))
    return frames


def film_imagined(
    agent: Agent,
    imagined: Imagined,
    vector: VectorEnv | None,
    form: FilmForm = "mp4",
    size: int = FILM_SIZE,
) -> bytes:
    """Film what was imagined, in the same form and at the same pace as what is played.

    Raises UsageError where imagined states cannot be drawn, see `draw_observations`.
    """
    every, rate = film_pace(agent.spec, imagined.steps, MOST_PICTURES[form])
    frames = draw_observations(agent, imagined.observations, vector, size, every)
    if frames is None:
        raise UsageError(
            f"imagined states of {agent.spec.id} cannot be drawn: the agent sees numbers, and no "
            "simulator can be put into the state that they tell. Leave the film out, or play the "
            "score in the simulator"
        )
    return encode(frames, rate, form)


def random_actions(agent: Agent, score: Score) -> np.ndarray:
    """Uniform actions (T, A) in [-1, 1] for every step of a score, drawn by its seed."""
    rng = np.random.default_rng(derive_seed(score.seed, "random actions"))
    return rng.uniform(-1, 1, (score.steps, agent.spec.action_size)).astype(np.float32)


def one_skill(skill: int, steps: int, seed: int) -> Score:
    """The score of a single skill."""
    return Score((Move(skill, steps),), seed)


def _read(agent: Agent, states: State) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Decoded observations, predicted rewards (N,) and nearest codes (N,) of N states."""
    pieces, rewards, codes = [], [], []
    for first in range(0, len(states.deter), DECODED):
        piece = states[first : first + DECODED]
        pieces.append(decode(agent, piece))
        rewards.append(agent.world_model.predict_reward(piece.feat).cpu().numpy())
        codes.append(agent.skills.nearest_code(piece.deter).cpu().numpy())
    seen = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
    return seen, np.concatenate(rewards), np.concatenate(codes)


def _join(states: list[State]) -> State:
    """States of some steps, (N, ...) each, one after the other."""
    return State(*(torch.cat(parts) for parts in zip(*map(_parts, states))))


def _parts(state: State) -> tuple[Tensor, Tensor, Tensor]:
    return state.deter, state.stoch, state.logit


def _generator(agent: Agent, seed: int, name: str) -> torch.Generator:
    return torch.Generator(agent.device).manual_seed(derive_seed(seed, name))
