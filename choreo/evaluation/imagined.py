"""Choosing a skill without trying it: the model imagines all of them, or looks at a goal. Ours."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from choreo.agent import Agent, Memory, RowStreams
from choreo.envs import StepBatch, VectorEnv
from choreo.errors import ChoreoError, UsageError
from choreo.evaluation.rollouts import acting_seed
from choreo.record import derive_seed, episode_seed
from choreo.world_model import State

HORIZON = 50  # imagined steps of every skill: as long as one acts in the paper's Meta-World test
GOAL_STEPS = 10  # for which the model looks at a goal

Reward = Callable[[dict[str, np.ndarray]], np.ndarray]
"""Maps decoded observations, arrays (N, shape) in the environment's units, to rewards (N,)."""

Choose = Callable[[State, int], int]
"""Maps the posterior state (one row) and the number of the episode to a skill."""


@dataclass
class Chosen:
    """Rewards of an episode, and the skills that were chosen in it."""

    rewards: list[float] = field(default_factory=list)
    skills: list[int] = field(default_factory=list)


@torch.no_grad()
def score_skills(
    agent: Agent,
    state: State,
    reward: Reward,
    horizon: int = HORIZON,
    generator: torch.Generator | None = None,
) -> np.ndarray:
    """Imagine every skill and return its mean reward per step, (num_skills,) float64.

    All skills start from the same model state (1, ...) and act with samples for `horizon` steps.

    Raises:
        UsageError: no steps, or a reward function that does not return one number for each row.
    """
    if horizon < 1:
        raise UsageError(f"skills are imagined for at least 1 step, got {horizon}")
    skills = torch.arange(agent.num_skills, device=agent.device)
    state = State(*(part.expand(agent.num_skills, *part.shape[1:]) for part in _parts(state)))
    total = np.zeros(agent.num_skills)
    for _ in range(horizon):
        action = agent.decide(state, "skill", skills, sample=True, generator=generator)
        state = agent.world_model.rssm.imagine_step(state, action, generator)
        total += _rewards_of(reward, decode(agent, state), agent.num_skills)
    return total / horizon


def best_skill(
    agent: Agent,
    rewards: Callable[[int], Reward],
    seed: int,
    horizon: int = HORIZON,
) -> Choose:
    """Choose the skill that scores best; `rewards` gives the reward function of an episode."""

    def choose(state: State, episode: int) -> int:
        stream = derive_seed(seed, "imagined skills", episode)
        generator = torch.Generator(agent.device).manual_seed(stream)
        return int(score_skills(agent, state, rewards(episode), horizon, generator).argmax())

    return choose


def skill_of_goal(
    agent: Agent, observation: Mapping[str, np.ndarray], seed: int = 0, steps: int = GOAL_STEPS
) -> int:
    """Number of the code nearest to h after looking at a goal, see `goal_state`."""
    return int(agent.skills.nearest_code(goal_state(agent, observation, seed, steps).deter))


@torch.no_grad()
def goal_state(
    agent: Agent, observation: Mapping[str, np.ndarray], seed: int = 0, steps: int = GOAL_STEPS
) -> State:
    """Model state (one row) after looking at a goal, a raw observation of every key.

    The goal is shown `steps` times with zero actions, as if the agent stood still there: after a
    single observation h does not depend on it yet.

    Raises UsageError where a key is missing or has another shape than the agent observes.
    """
    _check_goal(agent, observation)
    shown = {k: _tensor(agent, observation[k])[None] for k in agent.spec.observations}
    generator = torch.Generator(agent.device).manual_seed(seed)
    memory, first = agent.initial_memory(1), torch.ones(1, dtype=torch.bool, device=agent.device)
    for _ in range(max(steps, 2)):
        state = agent.observe(memory, shown, first, generator)
        memory, first = Memory(state, torch.zeros_like(memory.action)), torch.zeros_like(first)
    return memory.state


@torch.no_grad()
def decode(agent: Agent, state: State) -> dict[str, np.ndarray]:
    """Observations of model states (N, ...) by key: float32 vectors, uint8 images, each (N, ...).

    In the environment's units, as the means of the decoder.
    """
    means = agent.world_model.decode(state.feat)
    return {
        key: _to_image(mean) if agent.spec.observations[key].is_image else mean.cpu().numpy()
        for key, mean in means.items()
    }


def play_chosen(
    agent: Agent,
    vector: VectorEnv,
    choose: Choose,
    episodes: int,
    seed: int,
    goals: Sequence[np.ndarray] | None = None,
    skill_steps: int | None = None,
    steps: int | None = None,
) -> list[Chosen]:
    """Play episodes with skills chosen on the way and sampled actions; return them in order.

    A skill is chosen at the first observation and again every `skill_steps` steps. Episodes begin
    as those of `run_episodes` with the same seed; `steps` cuts them.
    """
    return _Game(agent, vector, choose, episodes, seed, goals, skill_steps, steps).play()


class _Game:
    """The state of `play_chosen`; a row of the vector takes the next episode when its own ends."""

    def __init__(
        self,
        agent: Agent,
        vector: VectorEnv,
        choose: Choose,
        episodes: int,
        seed: int,
        goals: Sequence[np.ndarray] | None,
        skill_steps: int | None,
        steps: int | None,
    ) -> None:
        self.agent, self.vector, self.choose = agent, vector, choose
        self.seed, self.goals, self.skill_steps, self.steps = seed, goals, skill_steps, steps
        self.played = [Chosen() for _ in range(episodes)]
        self.waiting = iter(range(episodes))
        self.rows: list[int | None] = [None] * vector.num  # the episode that each row plays
        self.seeds = np.zeros(vector.num, np.int64)
        self.streams = RowStreams.of(agent, vector.num)

    def play(self) -> list[Chosen]:
        num, agent = self.vector.num, self.agent
        memory, reset = agent.initial_memory(num), np.ones(num, bool)
        skills = torch.zeros(num, dtype=torch.int64, device=agent.device)
        for row in range(num):
            self._begin(row)
        while any(episode is not None for episode in self.rows):
            action = memory.action.cpu().numpy()
            step = self.vector.step(action, reset, self.seeds)
            shown = {key: _tensor(agent, value) for key, value in step.observation.items()}
            noise, first = self.streams.draw(), _tensor(agent, step.is_first)
            state = agent.observe(memory, shown, first, noise=noise)
            reset = self._advance(step, state, skills)
            action = agent.decide(state, "skill", skills, sample=True, noise=noise)
            memory = Memory(state, action)
        return self.played

    def _begin(self, row: int) -> None:
        episode = self.rows[row] = next(self.waiting, None)
        self.seeds[row] = episode_seed(self.seed, "evaluation", episode or 0)
        self.streams.begin(row, acting_seed(self.seed, episode or 0))
        if self.goals is not None:
            self.vector.set_goal(row, None if episode is None else self.goals[episode])

    def _advance(self, step: StepBatch, state: State, skills: Tensor) -> np.ndarray:
        """Note the rewards, choose skills where that is due; (N,) which rows begin anew."""
        reset = step.is_last.copy()
        for row, episode in enumerate(self.rows):
            if episode is None:
                continue
            own = self.played[episode]
            own.rewards += [] if step.is_first[row] else [float(step.reward[row])]
            done = len(own.rewards)
            if step.is_last[row] or done == self.steps:
                self._begin(row)
                reset[row] = True
            elif done % (self.skill_steps or done + 1) == 0:
                own.skills.append(self.choose(_row(state, row), episode))
                skills[row] = own.skills[-1]
        return reset


def _parts(state: State) -> tuple[Tensor, Tensor, Tensor]:
    return state.deter, state.stoch, state.logit


def _row(state: State, row: int) -> State:
    return State(*(part[row : row + 1] for part in _parts(state)))


def _tensor(agent: Agent, array: np.ndarray) -> Tensor:
    return torch.as_tensor(np.array(array), device=agent.device)


def _to_image(mean: Tensor) -> np.ndarray:
    return ((mean + 0.5) * 255).round().clamp(0, 255).byte().cpu().numpy()


def _rewards_of(reward: Reward, seen: dict[str, np.ndarray], count: int) -> np.ndarray:
    """Call a function that a user wrote; whatever it raises becomes a sentence."""
    try:
        given = np.asarray(reward(seen), np.float64)
    except ChoreoError:
        raise
    except Exception as error:
        shown = ", ".join(f"{key!r} {array.dtype}{array.shape}" for key, array in seen.items())
        raise UsageError(
            f"the reward function failed: {type(error).__name__}: {error} ({_where(error)}). It "
            f"was given a dict of decoded observations ({shown}); wanted {count} numbers"
        ) from error
    return _checked(given, count)


def _where(error: Exception) -> str:
    """File and line of the innermost call."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


def _checked(rewards: np.ndarray, count: int) -> np.ndarray:
    if rewards.shape != (count,) or not np.isfinite(rewards).all():
        raise UsageError(
            f"the reward function returned an array of shape {rewards.shape}; wanted one finite "
            f"number for each of the {count} rows that it was given"
        )
    return rewards


def _check_goal(agent: Agent, observation: Mapping[str, np.ndarray]) -> None:
    for key, array in agent.spec.observations.items():
        found = f"has shape {np.shape(observation[key])}" if key in observation else "is missing"
        if found != f"has shape {array.shape}":
            raise UsageError(f"{key!r} {found} in the goal; the agent observes {array}")
