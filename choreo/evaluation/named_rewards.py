"""Rewards by name: those that the agent predicts, and tasks that judge a state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from choreo.agent import Agent
from choreo.envs import Environment, make
from choreo.envs.make import GOAL_DOMAIN, GOAL_TASKS, URLB_TASKS, list_environments
from choreo.errors import UsageError

PREDICTED = "predicted"
ABOUT = "the reward of the agent's own environment, as its model predicts it"
TASK_ABOUT = "the task's own reward for the imagined states, and actions of 0"

# Tasks whose rewards depend on what observations leave out, or on a target drawn for each episode.
LEFT_OUT = ("quadruped_jump", "dmc:quadruped-escape", "dmc:quadruped-fetch")
DRAWN_TARGETS = ("reacher",)


@dataclass(frozen=True)
class NamedReward:
    """A reward that skills can be ranked by."""

    name: str
    about: str


def named_rewards(agent: Agent) -> list[NamedReward]:
    """The rewards that this agent's skills can be ranked by.

    Tasks of its domain are among them where its observations tell the simulator's state.
    """
    return [NamedReward(PREDICTED, ABOUT), *(NamedReward(t, TASK_ABOUT) for t in _tasks(agent))]


class TaskJudge:
    """Rewards of a task for observations, from the simulator put into the states that they tell."""

    def __init__(self, agent: Agent, task: str) -> None:
        known = _tasks(agent)
        if task not in known:
            raise UsageError(
                f"there is no reward {task[:60]!r} for this agent; there is "
                f"{', '.join([PREDICTED, *known])}"
            )
        self._task = task
        self._environment: Environment = make(task, action_repeat=1)
        self._environment.reset(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._environment.close()

    def rewards(self, observations: Mapping[str, np.ndarray]) -> np.ndarray:
        """Rewards (N,) of one frame that reached each raw observation, (N, shape) by key."""
        environment = self._environment
        nothing, found = np.zeros(environment.spec.action_size, np.float32), []
        for row in range(len(next(iter(observations.values())))):
            told = environment.set_observed({key: v[row] for key, v in observations.items()})
            physics = environment.physics_state() if told else None
            if physics is None:
                raise UsageError(f"observations do not tell the state that {self._task} judges")
            found.append(environment.reward_at(physics, nothing)[0])
        return np.array(found)


def _tasks(agent: Agent) -> list[str]:
    """Tasks of the agent's domain, where its observations tell the state."""
    domain = _domain(agent.spec.id)
    if domain is None or "observation" not in agent.spec.observations:
        return []
    family, name = domain
    if family == "dmc":
        every = [task for task in list_environments()["dmc"] if task.startswith(f"dmc:{name}-")]
    else:
        every = [t for t in (*URLB_TASKS, *GOAL_TASKS) if t.startswith(f"{name}_")]
    usable = [task for task in every if task not in LEFT_OUT]
    return usable if usable and _tells(agent, usable[0]) else []


def _domain(id: str) -> tuple[str, str] | None:
    """Family and domain of an environment whose states can be told."""
    if id.startswith("dmc:"):
        name = id.removeprefix("dmc:").partition("-")[0]
        return None if name in DRAWN_TARGETS else ("dmc", name)
    names = ("walker", "quadruped", GOAL_DOMAIN)
    found = next((name for name in names if id == name or id.startswith(f"{name}_")), None)
    return None if found is None else ("own", found)


def _tells(agent: Agent, task: str) -> bool:
    """Whether the agent's vectors put the simulator of a task into a state."""
    environment = make(task, action_repeat=1)
    try:
        seen = environment.reset(0).observation
        same = seen["observation"].shape == agent.spec.observations["observation"].shape
        return same and environment.set_observed(seen)
    finally:
        environment.close()
