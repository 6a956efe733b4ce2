"""Whether skills reach goals that nobody told them of: random or imagined skills, no adaptation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from choreo.agent import Agent, PolicyName
from choreo.envs import VectorEnv
from choreo.errors import UsageError
from choreo.evaluation.controls import untrained_agent
from choreo.evaluation.imagined import Choose, play_chosen
from choreo.evaluation.rollouts import run_episodes
from choreo.evaluation.scores import Interval, wilson_interval
from choreo.record import derive_seed

EPISODES = 100  # [paper section 4.3]
DENSE = 0.5  # share of rewarded steps above which a reward is no sparse goal's [ours]
FOUND_ABOVE = 1e-4  # an episode with a larger return has found the goal [paper]


@dataclass(frozen=True)
class ZeroShot:
    """Which episodes found the goal, by return, with the skills they played."""

    returns: list[float]
    skills: list[list[int]]
    found_above: float
    steps: int
    frames: int
    rewarded_steps: float = 0.0
    """Share of all steps that were rewarded."""

    @property
    def dense(self) -> bool:
        """Whether most steps are rewarded: then `found` says nothing of goals."""
        return self.rewarded_steps > DENSE

    @property
    def found(self) -> list[bool]:
        """Whether each episode found the goal."""
        return [value > self.found_above for value in self.returns]

    @property
    def fraction(self) -> float:
        """Share of the episodes that found it."""
        return sum(self.found) / len(self.found)

    @property
    def interval95(self) -> Interval:
        """Wilson's interval of the fraction."""
        return wilson_interval(sum(self.found), len(self.found))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "found": self.found,
            "mean": self.fraction,
            "interval95": list(self.interval95),
            "returns": self.returns,
            "skills": self.skills,
            "found_above": self.found_above,
            "rewarded_steps": self.rewarded_steps,
            "dense_reward": self.dense,
            "episodes": len(self.found),
            "counted": "steps",
            "steps": self.steps,
            "frames": self.frames,
        }


@dataclass(frozen=True)
class Trial:
    """How episodes are played: the protocol of the paper's section 4.3.

    `skill_steps` is how long a skill acts, None the whole episode; `steps` cuts episodes before
    the environment's own limit; `goals` are one for each episode, as the environment takes them.
    """

    episodes: int = EPISODES
    skill_steps: int | None = None
    steps: int | None = None
    goals: Sequence[np.ndarray] | None = None
    found_above: float = FOUND_ABOVE


Chooser = Callable[[Agent], Choose]
"""Gives an agent's way of choosing skills, see `choreo.evaluation.imagined`."""


def zero_shot(
    agent: Agent,
    vector: VectorEnv,
    seed: int,
    trial: Trial | None = None,
    policy: PolicyName = "skill",
    chooser: Chooser | None = None,
) -> ZeroShot:
    """Play skills with sampled actions and count the episodes that find the goal.

    Every episode draws one skill, or a new one every `skill_steps` steps; with a `chooser` the
    skills are chosen by what the agent imagines. Source: paper section 4.3; choosing is ours.

    Raises:
        UsageError: `skill_steps` below 1, an environment whose episodes might never end, or goals
            that it does not take.
    """
    trial = trial or Trial()
    _check(vector, trial)
    if chooser is not None and policy == "skill":
        return _zero_shot_chosen(agent, vector, seed, trial, chooser(agent))
    skills = _draw(agent.num_skills, seed, trial.episodes, _blocks(vector, trial))
    played = run_episodes(
        agent,
        vector,
        policy,
        episodes=trial.episodes,
        seed=seed,
        skills=skills,
        sample=True,
        steps=trial.steps,
        skill_steps=trial.skill_steps,
        goals=trial.goals,
    )
    _drop_goals(vector, trial)
    return _result([episode.rewards for episode in played], skills, trial, vector)


def zero_shot_controls(
    agent: Agent,
    vector: VectorEnv,
    seed: int,
    trial: Trial | None = None,
    chooser: Chooser | None = None,
) -> dict[str, ZeroShot]:
    """The same episodes played by what the agent is compared with.

    "untrained" is the same agent with fresh weights, choosing as the trained one does, "random"
    acts by chance; where skills are chosen, "random_skills" is the trained agent without choice.
    """
    controls = {
        "untrained": zero_shot(untrained_agent(agent, seed), vector, seed, trial, "skill", chooser),
        "random": zero_shot(agent, vector, seed, trial, "random"),
    }
    if chooser is not None:
        controls["random_skills"] = zero_shot(agent, vector, seed, trial)
    return controls


def _zero_shot_chosen(
    agent: Agent, vector: VectorEnv, seed: int, trial: Trial, choose: Choose
) -> ZeroShot:
    played = play_chosen(
        agent,
        vector,
        choose,
        trial.episodes,
        seed,
        trial.goals,
        trial.skill_steps,
        trial.steps,
    )
    _drop_goals(vector, trial)
    rewards = [np.array(chosen.rewards) for chosen in played]
    return _result(rewards, [chosen.skills for chosen in played], trial, vector)


def _check(vector: VectorEnv, trial: Trial) -> None:
    if trial.skill_steps is not None and trial.skill_steps < 1:
        raise UsageError(f"a skill lasts at least 1 step, got skill_steps={trial.skill_steps}")
    if trial.episodes < 1:
        raise UsageError(f"{trial.episodes} episodes were asked for; at least 1 is wanted")
    if trial.steps is None and vector.spec.episode_steps is None:
        raise UsageError(
            f"{vector.spec.id} has no time limit, so an episode might never end; say after how "
            "many steps to cut it (--time-limit)"
        )
    if trial.goals is not None and len(trial.goals) != trial.episodes:
        raise UsageError(
            f"{len(trial.goals)} goals were given for {trial.episodes} episodes; give as many"
        )


def _drop_goals(vector: VectorEnv, trial: Trial) -> None:
    """Let the environments draw their goals again."""
    if trial.goals is not None:
        for row in range(vector.num):
            vector.set_goal(row, None)


def _blocks(vector: VectorEnv, trial: Trial) -> int:
    """How many skills an episode plays at most."""
    limits = [n for n in (trial.steps, vector.spec.episode_steps) if n is not None]
    return 1 if trial.skill_steps is None else -(-min(limits) // trial.skill_steps)


def _draw(num_skills: int, seed: int, episodes: int, blocks: int) -> list[list[int]]:
    rng = np.random.default_rng(derive_seed(seed, "zero-shot skills"))
    return rng.integers(num_skills, size=(episodes, blocks)).tolist()


def _result(
    rewards: list[np.ndarray], skills: list[list[int]], trial: Trial, vector: VectorEnv
) -> ZeroShot:
    returns = [float(np.sum(own, dtype=np.float64)) for own in rewards]
    steps = sum(map(len, rewards))
    rewarded = float((np.concatenate(rewards) > 0).mean())
    frames = steps * vector.spec.action_repeat
    return ZeroShot(returns, skills, trial.found_above, steps, frames, rewarded)
