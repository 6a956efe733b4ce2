"""States are read, and rewards asked for, as dm_control keeps them."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from choreo.envs import make
from choreo.envs.simulators import physics_states
from choreo.errors import UsageError


class Physics:
    """Notes down what is done to it."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def set_state(self, state: np.ndarray) -> None:
        self.done.append(("state", *state))

    def set_control(self, action: np.ndarray) -> None:
        self.done.append(("control", *action))

    def forward(self) -> None:
        self.done.append("forward")


@pytest.mark.parametrize(("discount", "terminal"), [(None, False), (1.0, False), (0.0, True)])
def test_a_task_is_asked_once_all_is_set(discount: float | None, terminal: bool) -> None:
    physics = Physics()

    def get_reward(_: Physics) -> float:
        assert physics.done == [("state", 1.0, 2.0), ("control", 3.0), "forward"]
        return 0.5

    task = SimpleNamespace(get_reward=get_reward, get_termination=lambda _: discount)
    environment = SimpleNamespace(physics=physics, task=task)
    found = physics_states.reward_at(environment, np.array([1.0, 2.0]), np.array([3.0]))
    assert found == (0.5, terminal)


def test_without_physics_there_is_nothing_to_read() -> None:
    assert physics_states.read(object()) is None
    assert physics_states.reward_at(object(), np.zeros(1), np.zeros(1)) is None
    environment = make("gym:Pendulum-v1")
    assert environment.physics_state() is None
    with pytest.raises(UsageError, match="cannot be computed"):
        environment.reward_at(np.zeros(1), np.zeros(1))


def test_a_state_is_a_copy_and_the_episode_is_lost() -> None:
    environment = make("point_mass")
    environment.reset(0)
    state = environment.physics_state()
    assert state is not None
    before = state.copy()
    environment.step(np.ones(2, np.float32))
    np.testing.assert_array_equal(state, before)
    environment.reward_at(state, np.zeros(2))
    with pytest.raises(ValueError, match="no open episode"):
        environment.step(np.ones(2, np.float32))


def test_rewards_summed_over_frames_are_refused() -> None:
    environment = make("point_mass", action_repeat=2)
    environment.reset(0)
    with pytest.raises(UsageError, match="sums its reward over 2 frames"):
        environment.reward_at(np.zeros(4), np.zeros(2))
