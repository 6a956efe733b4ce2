"""Choreographies played in a simulator, step by step, and filmed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from choreo.agent import Agent, PolicyName
from choreo.envs import StepBatch, VectorEnv
from choreo.envs.spaces import EnvSpec
from choreo.errors import UsageError
from choreo.evaluation.choreography import Move, Score
from choreo.evaluation.rollouts import acting_seed
from choreo.record import episode_seed
from choreo.record.progress import Tell, silent
from choreo.viz.film import MOST_PICTURES, FilmForm, encode

FILM_SIZE = 256  # height and width of films in pixels [ours]
FILM_RATE = 25.0  # pictures a second at most; slower than that steps are all drawn [ours]
STEP_SECONDS = 0.05  # of an environment that does not tell its own [ours]
STAGE = "playing the score"


@dataclass(frozen=True)
class Performed:
    """What one step arrived at; step 0 is the start.

    move: number of the move that acted (at the start: that will act); skill: the skill that did,
    which a live switch or a meta-controller may have chosen, None where no skill acts; reward of
    the step, 0 at the start; coordinates (C,), the environment's named ones; observation, raw;
    action (A,) in [-1, 1] that led here, None at the start; frame (H, W, 3) uint8 where one was
    drawn; ended: whether the environment ended the episode here, after which nothing follows.
    """

    step: int
    move: int
    skill: int | None
    reward: float
    coordinates: np.ndarray
    observation: dict[str, np.ndarray]
    action: np.ndarray | None
    frame: np.ndarray | None
    ended: bool


class Performance(Iterator[Performed]):
    """Plays a score; every `next` takes one step. Between steps `switch` names another skill.

    The same score, agent and environment give the same steps bit for bit, in any process: policies
    act by their mean, and all other chance has the score's seed.
    """

    def __init__(
        self,
        agent: Agent,
        vector: VectorEnv,
        score: Score,
        picture_size: int | None = None,
        every: int = 1,
        policy: PolicyName = "skill",
    ) -> None:
        score.require_skills(agent)
        if vector.num != 1:
            raise UsageError(f"a score is played in 1 environment, got {vector.num}")
        self.picture_size, self.every = picture_size, every
        self._agent, self._vector, self._score = agent, vector, score
        self._policy: PolicyName = policy
        self._session = agent.session(1)
        self._session.seed_row(0, acting_seed(score.seed, 0))
        self._live: int | None = None
        self._seen: StepBatch | None = None
        self._step, self._over = 0, False

    @property
    def steps(self) -> int:
        """Steps of the whole score."""
        return self._score.steps

    def switch(self, skill: int | None) -> None:
        """Let this skill act from the next step on, in place of the score's; None: the score's.

        Raises UsageError for a skill that there is not.
        """
        if skill is not None:
            Score((Move(skill, 1),)).require_skills(self._agent)
        self._live = skill

    def __next__(self) -> Performed:
        if self._over:
            raise StopIteration
        return self._begin() if self._seen is None else self._take()

    def _begin(self) -> Performed:
        start = episode_seed(self._score.seed, "evaluation", 0)
        nothing = np.zeros((1, self._vector.spec.action_size), np.float32)
        self._seen = self._vector.step(nothing, np.ones(1, bool), np.array([start]))
        return self._arrived(None, self._skill() if self._policy == "skill" else None)

    def _take(self) -> Performed:
        assert self._seen is not None
        skill, last = self._skill(), self._seen
        given = None if skill is None else np.array([skill])
        action = self._session.act(last.observation, given, self._policy)
        if self._session.choice is not None:
            skill = int(self._session.choice[0])
        self._seen = self._vector.step(action, np.zeros(1, bool), np.zeros(1, np.int64))
        self._step += 1
        return self._arrived(action[0].copy(), skill)

    def _skill(self) -> int | None:
        """The skill that acts next; None where it is not the score that says so."""
        if self._policy != "skill":
            return None
        return self._live if self._live is not None else int(self._score.skill_at[self._step])

    def _arrived(self, action: np.ndarray | None, skill: int | None) -> Performed:
        seen, step = self._seen, self._step
        assert seen is not None
        ended = bool(seen.is_last[0])
        self._over = ended or step == self.steps
        return Performed(
            step=step,
            move=int(self._score.move_at[max(step - 1, 0)]),
            skill=skill,
            reward=float(seen.reward[0]) if step else 0.0,
            coordinates=self._vector.coordinates()[0],
            observation={key: value[0].copy() for key, value in seen.observation.items()},
            action=action,
            frame=self._draw() if step % self.every == 0 else None,
            ended=ended,
        )

    def _draw(self) -> np.ndarray | None:
        size = self.picture_size
        return None if size is None else self._vector.render(0, size, size)


def perform(
    agent: Agent,
    vector: VectorEnv,
    score: Score,
    picture_size: int | None = None,
    every: int = 1,
    policy: PolicyName = "skill",
) -> Performance:
    """Play a score in a vector of one environment: an iterator of its steps, the start first.

    With a `picture_size` (pixels) every `every`-th step is drawn. Another `policy`, such as
    "random", acts in place of the skills for as many steps. It ends with the score, or
    before where the environment ends the episode: give that the score's steps as its time limit.

    Raises:
        UsageError: a skill that the agent does not have, or more than one environment.
        RendererUnavailable: pictures are wanted and cannot be drawn here.
    """
    return Performance(agent, vector, score, picture_size, every, policy)


def perform_task(
    agent: Agent,
    vector: VectorEnv,
    seed: int,
    steps: int,
    picture_size: int | None = None,
    every: int = 1,
) -> Performance:
    """Play what was fine-tuned on a task; `Performed.skill` is the meta-controller's choice.

    Raises UsageError for an agent that was not fine-tuned; see `perform`.
    """
    if not agent.plays_task:
        raise UsageError(
            f"this agent for {agent.spec.id} was not fine-tuned, so that nobody chooses skills for "
            "a task; `choreo finetune` makes one that does"
        )
    score = Score((Move(0, steps),), seed)
    return Performance(agent, vector, score, picture_size, every, "task")


def film_pace(spec: EnvSpec, steps: int, most: int | None = None) -> tuple[int, float]:
    """Every how many steps to draw, and pictures a second: as fast as the simulated time goes.

    At most 25 pictures a second, and no more than `most` in all.
    """
    seconds = spec.step_seconds or STEP_SECONDS
    every = max(1, round(1 / (FILM_RATE * seconds)))
    if most is not None:
        every = max(every, -(-steps // most))
    return every, 1 / (seconds * every)


def open_stage(make: Callable[[int | None], VectorEnv], steps: int) -> VectorEnv:
    """An environment in which a score of so many steps can be played to its end.

    `make` takes a time limit in agent steps, None for the environment's own, which is replaced
    where it is shorter than the score and can be.
    """
    vector = make(None)
    limit = vector.spec.episode_steps
    if limit is None or limit >= steps:
        return vector
    try:
        longer = make(steps)
    except UsageError:  # its factory alone decides
        return vector
    vector.close()
    return longer


def film(
    agent: Agent,
    vector: VectorEnv,
    score: Score,
    form: FilmForm = "mp4",
    size: int = FILM_SIZE,
    tell: Tell = silent,
    note: Callable[[Performed], None] | None = None,
    policy: PolicyName = "skill",
) -> bytes:
    """Play a score and film it: the same bytes for the same score, agent and environment.

    `note` is called with every step. Another `policy`, such as "random" or "task", acts in place of
    the skills for as many steps. Raises as `perform`.
    """
    every, rate = film_pace(vector.spec, score.steps, MOST_PICTURES[form])
    performance = Performance(agent, vector, score, size, every, policy)
    return encode(_frames(performance, tell, note), rate, form)


def _frames(
    performance: Performance, tell: Tell, note: Callable[[Performed], None] | None
) -> Iterator[np.ndarray]:
    for item in performance:
        tell(STAGE, item.step, performance.steps)
        if note is not None:
            note(item)
        if item.frame is not None:
            yield item.frame
