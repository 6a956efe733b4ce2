"""Episodes of one policy, played for looking at and not for training."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from choreo.agent import Agent, PolicyName, Session
from choreo.envs import StepBatch, VectorEnv
from choreo.errors import UsageError
from choreo.evaluation.episode import Episode, KeepImages, thumbnails
from choreo.export import Exported
from choreo.record import derive_seed, episode_seed

FRAME_SIZE = (128, 128)  # height and width in pixels [ours]

Actor = Agent | Exported
"""Who plays: an agent, or what was exported of one, which has no codebook to name states with."""

Skills = Sequence[int] | Sequence[Sequence[int]]
"""A skill number for each episode, or several, played one after the other."""


def run_episodes(
    agent: Actor,
    vector: VectorEnv,
    policy: PolicyName,
    episodes: int,
    seed: int,
    skills: Skills | None = None,
    sample: bool = False,
    steps: int | None = None,
    frames_every: int | None = None,
    starts: Sequence[int] | None = None,
    skill_steps: int | None = None,
    frame_size: tuple[int, int] = FRAME_SIZE,
    goals: Sequence[np.ndarray] | None = None,
    keep_images: KeepImages | None = None,
    tell: Callable[[int], None] | None = None,
    towards: torch.Tensor | None = None,
) -> list[Episode]:
    """Play `episodes` episodes, `vector.num` at once, and return them in order.

    Episode i begins with the seed that `seed` and its start number give, i unless `starts` says
    otherwise, whatever the policy; so policies meet the same starts. Acting has its own session
    and leaves training untouched. Every episode has a random stream of its own, which its start
    decides; so it is the same whatever is played beside it, but for the rounding of products that
    are computed for all rows together.

    Args:
        agent: who acts, and whose codebook, if it has one, names the states it passes.
        vector: environments that fit the agent; they are reset.
        policy: "skill" needs `skills`; with "random" the skills are merely noted down.
        episodes: how many to play.
        seed: decides all chance.
        skills: numbers of the commanded skills, one per episode, or with `skill_steps` several.
        sample: draw actions instead of taking the policies' means.
        steps: cut episodes there (agent steps); needed where the environment has no time limit.
        frames_every: keep a picture every so many steps.
        starts: start number of each episode.
        skill_steps: steps after which an episode goes on to its next skill.
        frame_size: height and width of the pictures in pixels.
        goals: the goal of each episode, for environments that take goals.
        keep_images: called with every episode that is over; the images it names are kept, all
            others are let go. None keeps none and holds none while episodes last.
        towards: model state h (1, D) that `Episode.distances` are measured to, in place of the
            commanded skill's decoded code.
        tell: told how many steps were taken so far, after every step of the vector.

    Raises:
        UsageError: a skill out of range, episodes that would never end, or goals that the
            environment does not take.
        RendererUnavailable: pictures are wanted and cannot be drawn here.
    """
    _check(agent, vector, policy, episodes, skills, steps)
    plans = _plans(episodes, skills, starts, goals)
    player = _Player(agent, vector, policy, plans, seed, sample, steps, skill_steps)
    player.frames_every, player.frame_size = frames_every, frame_size
    player.keep_images, player.tell, player.towards = keep_images, tell, towards
    return player.play()


@dataclass(frozen=True)
class _Plan:
    """One episode to play."""

    number: int
    start: int
    skills: tuple[int, ...]
    goal: np.ndarray | None = None


@dataclass
class _Recording:
    """One episode that is being played; lists grow by an entry per step."""

    plan: _Plan
    observations: list[dict[str, np.ndarray]] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    coordinates: list[np.ndarray] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    joints: list[float] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    thumbnails: list[dict[str, np.ndarray]] = field(default_factory=list)
    images: list[dict[str, np.ndarray]] = field(default_factory=list)
    frames: list[np.ndarray] = field(default_factory=list)

    @property
    def steps(self) -> int:
        return len(self.actions)

    def finish(self, ended: bool, terminal: bool) -> Episode:
        plan = self.plan
        return Episode(
            observations=_stack(self.observations),
            actions=np.stack(self.actions),
            rewards=np.array(self.rewards, np.float32),
            coordinates=np.stack(self.coordinates),
            codes=np.array(self.codes, np.int64),
            skill=plan.skills[0] if plan.skills else None,
            start=plan.start,
            ended=ended,
            terminal=terminal,
            frames=self.frames,
            thumbnails=_stack(self.thumbnails),
            images=_stack(self.images),
            image_steps=np.arange(len(self.images)),
            distances=np.array(self.distances, np.float32),
            joints_at_limits=np.array(self.joints),
            choices=np.array(self.choices[: len(self.actions)], np.int64),
            values=np.array(self.values),
        )


def _stack(steps: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays of every step as one array per key, (T + 1, shape)."""
    return {key: np.stack([step[key] for step in steps]) for key in (steps[0] if steps else ())}


class _Player:
    """Plays planned episodes: a row of the vector takes the next one when its own has ended."""

    frames_every: int | None = None
    frame_size: tuple[int, int] = FRAME_SIZE
    keep_images: KeepImages | None = None
    tell: Callable[[int], None] | None = None
    towards: torch.Tensor | None = None

    def __init__(
        self,
        agent: Actor,
        vector: VectorEnv,
        policy: PolicyName,
        plans: list[_Plan],
        seed: int,
        sample: bool,
        steps: int | None,
        skill_steps: int | None,
    ) -> None:
        self.vector, self.sample, self.codebook = vector, sample, agent.skills
        self.policy: PolicyName = policy
        self.seed, self.steps, self.skill_steps = seed, steps, skill_steps
        self.session = agent.session(vector.num)
        self.queue = deque(plans)
        self.rows: list[_Recording | None] = [None] * vector.num
        self.seeds = np.zeros(vector.num, np.int64)
        self.done: dict[int, Episode] = {}
        if agent.skills is not None:
            with torch.no_grad():
                self.decoded = agent.skills.decoded_codes()  # (K, D)

    def play(self) -> list[Episode]:
        reset, taken = np.ones(self.vector.num, bool), 0
        actions = np.zeros((self.vector.num, self.vector.spec.action_size), np.float32)
        for row in range(self.vector.num):
            self._begin(row)
        while any(recording is not None for recording in self.rows):
            step = self.vector.step(actions, reset, self.seeds)
            actions = self._act(step)
            self._note(step)
            self._judge()
            taken += sum(recording is not None for recording in self.rows)
            reset = self._end(step, actions)
            if self.tell is not None:
                self.tell(taken)
        return [self.done[number] for number in sorted(self.done)]

    def _begin(self, row: int) -> None:
        """Give the row its next episode; with none left it goes on without being recorded."""
        plan = self.queue.popleft() if self.queue else None
        self.rows[row] = None if plan is None else _Recording(plan)
        start = 0 if plan is None else plan.start
        self.seeds[row] = episode_seed(self.seed, "evaluation", start)
        self.session.seed_row(row, acting_seed(self.seed, start))
        if plan is not None and plan.goal is not None:
            self.vector.set_goal(row, plan.goal)

    def _act(self, step: StepBatch) -> np.ndarray:
        skills = np.array([self._skill(recording) for recording in self.rows], np.int64)
        return self.session.act(
            step.observation,
            skill=skills if self.policy == "skill" else None,
            policy=self.policy,
            sample=self.sample,
            is_first=step.is_first,
        )

    def _skill(self, recording: _Recording | None) -> int:
        if recording is None or not recording.plan.skills:
            return 0
        skills = recording.plan.skills
        block = 0 if self.skill_steps is None else recording.steps // self.skill_steps
        return skills[min(block, len(skills) - 1)]

    @torch.no_grad()
    def _judge(self) -> None:
        """Write down choices, values, the nearest codes, and how far the commanded ones are."""
        session, values = self.session, None
        if isinstance(session, Session) and self.policy == "task":
            expected = session.value
            values = None if expected is None else expected.tolist()
        for row, recording in enumerate(self.rows):
            if recording is not None and self.session.choice is not None:
                recording.choices.append(int(self.session.choice[row]))
            if recording is not None and values is not None:
                recording.values.append(values[row])
        if self.codebook is None or not isinstance(self.session, Session):
            return
        deter = self.session.deter
        codes = self.codebook.nearest_code(deter).cpu().numpy()
        commanded = [self._skill(recording) for recording in self.rows]
        aims = self.decoded[commanded] if self.towards is None else self.towards
        gaps = torch.linalg.vector_norm(aims - deter, dim=-1).tolist()
        for row, recording in enumerate(self.rows):
            if recording is not None:
                recording.codes.append(int(codes[row]))
                recording.distances += gaps[row : row + 1] if recording.plan.skills else []

    def _note(self, step: StepBatch) -> None:
        """Write down what every recorded row has arrived at."""
        coordinates, joints = self.vector.coordinates(), self.vector.joints_at_limits()
        seen, images = _apart(step.observation)
        small = {key: thumbnails(value) for key, value in images.items()}
        for row, recording in enumerate(self.rows):
            if recording is None:
                continue
            if not step.is_first[row]:
                recording.rewards.append(float(step.reward[row]))
            recording.observations.append(_row(seen, row))
            recording.coordinates.append(coordinates[row])
            recording.joints.append(float(joints[row]))
            if images:
                recording.thumbnails.append(_row(small, row))
            if images and self.keep_images is not None:
                recording.images.append(_row(images, row))
            if self.frames_every and recording.steps % self.frames_every == 0:
                recording.frames.append(self.vector.render(row, *self.frame_size))

    def _end(self, step: StepBatch, actions: np.ndarray) -> np.ndarray:
        """Finish what has ended, begin anew there, note the action elsewhere; (N,) who resets."""
        reset = step.is_last.copy()
        for row, recording in enumerate(self.rows):
            if recording is None:
                continue
            if step.is_last[row] or recording.steps == self.steps:
                self.done[recording.plan.number] = self._finish(recording, step, row)
                self._begin(row)
                reset[row] = True
            else:
                recording.actions.append(actions[row].copy())
        return reset

    def _finish(self, recording: _Recording, step: StepBatch, row: int) -> Episode:
        episode = recording.finish(bool(step.is_last[row]), bool(step.is_terminal[row]))
        return (
            episode if self.keep_images is None else episode.with_images(self.keep_images(episode))
        )


def acting_seed(seed: int, start: int) -> int:
    """Seed of an episode's own stream for acting: all policies and skills meet the same chance."""
    return derive_seed(seed, "acting", start)


Arrays = dict[str, np.ndarray]


def _apart(observation: Arrays) -> tuple[Arrays, Arrays]:
    """Vectors and images of a batch of observations."""
    images = {key: value for key, value in observation.items() if value.dtype == np.uint8}
    return {key: value for key, value in observation.items() if key not in images}, images


def _row(arrays: Arrays, row: int) -> Arrays:
    """A copy of one row, so that the batch itself can be let go."""
    return {key: value[row].copy() for key, value in arrays.items()}


def _plans(
    episodes: int,
    skills: Skills | None,
    starts: Sequence[int] | None,
    goals: Sequence[np.ndarray] | None,
) -> list[_Plan]:
    if goals is not None and len(goals) != episodes:
        raise UsageError(f"{len(goals)} goals were given for {episodes} episodes; give as many")
    plans = []
    for number in range(episodes):
        own = () if skills is None else tuple(np.atleast_1d(skills[number]).tolist())
        start = number if starts is None else starts[number]
        plans.append(_Plan(number, start, own, None if goals is None else goals[number]))
    return plans


def _check(
    agent: Actor,
    vector: VectorEnv,
    policy: PolicyName,
    episodes: int,
    skills: Skills | None,
    steps: int | None,
) -> None:
    if episodes < 1 or (steps is not None and steps < 1):
        raise UsageError(
            f"{episodes} episodes of {steps} steps were asked for; at least 1 is wanted of each"
        )
    if steps is None and vector.spec.episode_steps is None:
        raise UsageError(
            f"{vector.spec.id} has no time limit, so an episode might never end; say after how "
            "many steps to cut it (steps)"
        )
    if policy == "skill" and skills is None:
        raise UsageError("acting with skills needs their numbers: pass one for every episode")
    if skills is not None:
        _check_skills(agent, skills, episodes)


def _check_skills(agent: Actor, skills: Skills, episodes: int) -> None:
    if len(skills) != episodes:
        raise UsageError(f"{len(skills)} skills were given for {episodes} episodes; give as many")
    numbers = np.concatenate([np.atleast_1d(skill) for skill in skills])
    if numbers.min() < 0 or numbers.max() >= agent.num_skills:
        wrong = numbers[(numbers < 0) | (numbers >= agent.num_skills)][0]
        raise UsageError(
            f"skill {wrong} does not exist: this agent has {agent.num_skills} skills, 0 to "
            f"{agent.num_skills - 1}"
        )
