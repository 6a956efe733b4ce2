"""MuJoCo states of dm_control environments: read them, and ask a task what it gives for one.

Fact from ExORL (github.com/denisyarats/exorl, replay_buffer.py; arXiv 2201.13425): the reward of a
task is computed again from the state that a step arrived at.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from dm_control import composer

from choreo.errors import UsageError

# Where a task of the suite puts what it draws on reset and does not keep in the state.
_PLACES = ("body_pos", "geom_pos", "site_pos")


def read(environment: Any) -> np.ndarray | None:
    """Return positions, velocities and activations (P,) float64; None without MuJoCo."""
    physics = getattr(environment, "physics", None)
    return None if physics is None else physics.get_state()


def reward_at(environment: Any, state: np.ndarray, action: np.ndarray) -> tuple[float, bool] | None:
    """Return the task's reward and termination in a state (P,) reached by an action (A,).

    A step of dm_control ends with positions and velocities worked out for its last state, so they
    are worked out here too. The action counts where a task looks at the control signal.
    """
    physics, task = getattr(environment, "physics", None), getattr(environment, "task", None)
    if physics is None or task is None:
        return None
    physics.set_state(state)
    physics.set_control(action)
    physics.forward()
    return float(task.get_reward(physics)), _terminates(task, physics)


def check_reward(id: str, environment: Any, reset: Callable[[int], None]) -> None:
    """Refuse a task that draws the place of something on reset which the state does not hold.

    Raises `UsageError`; the reward would be that of another target.
    """
    if getattr(environment, "physics", None) is None:
        return
    reset(0)
    first = _places(environment.physics)
    reset(1)
    second = _places(environment.physics)
    if any(not np.array_equal(first[name], second[name]) for name in _PLACES):
        raise UsageError(
            f"{id} draws a target for each episode that the physics state does not hold, so states"
            " do not tell its reward. Give a task whose target stays where it is"
        )


def _places(physics: Any) -> dict[str, np.ndarray]:
    return {name: np.array(getattr(physics.model, name)) for name in _PLACES}


def _terminates(task: Any, physics: Any) -> bool:
    """Whether the task ends the episode in this state for good, with a discount of 0."""
    if isinstance(task, composer.Task):
        return bool(task.should_terminate_episode(physics)) and task.get_discount(physics) == 0
    return task.get_termination(physics) == 0
