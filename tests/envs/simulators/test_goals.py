from typing import Any

import numpy as np
import pytest

from choreo.envs import make
from choreo.envs.make import GOAL_TASKS
from choreo.envs.simulators.goals import ANYWHERE, GOAL, MIDDLE, SLOPING, make_point_mass

CORNERS = {
    "top_left": (-GOAL, GOAL),
    "top_right": (GOAL, GOAL),
    "bottom_left": (-GOAL, -GOAL),
    "bottom_right": (GOAL, -GOAL),
}


@pytest.mark.parametrize("corner", CORNERS)
def test_reward_depends_on_the_distance_to_the_named_corner(corner: str) -> None:
    simulator = make_point_mass("x", corner)
    simulator.reset(0)
    environment: Any = simulator._environment
    physics = environment.physics
    rewards = {}
    for distance in (0.0, 0.05, 0.1, 0.15, 0.2):
        physics.data.qpos[:] = np.array(CORNERS[corner]) - [distance, 0]
        physics.forward()
        rewards[distance] = environment.task.get_reward(physics)
    assert rewards[0.0] == rewards[0.05] == 1.0
    assert rewards[0.1] == pytest.approx(0.1)
    assert rewards[0.15] == pytest.approx(1e-4)
    assert rewards[0.2] < 1e-8


def test_a_sloping_task_says_from_everywhere_where_its_goal_lies() -> None:
    simulator = make_point_mass("x", "top_left", margin=SLOPING)
    simulator.reset(0)
    environment: Any = simulator._environment
    rewards = []
    for place in ([-0.2, 0.2], [-0.2, -0.1], [0, 0], [0.2, -0.2]):
        environment.physics.data.qpos[:] = place
        environment.physics.forward()
        rewards.append(environment.task.get_reward(environment.physics))
    assert rewards[0] == 1.0 and rewards[1] == pytest.approx(0.1 ** (0.25 / 0.3) ** 2)
    assert rewards[1] > 1e-4 and rewards[2] == pytest.approx(0.254, abs=0.01)
    assert rewards[3] > 1e-4  # what counts as a reward that is found


@pytest.mark.parametrize(
    ("name", "reach"), [("point_mass", ANYWHERE), ("point_mass_reach_top_left", MIDDLE)]
)
def test_the_domain_starts_anywhere_and_a_task_in_the_middle(name: str, reach: float) -> None:
    environment = make(name)
    starts = []
    for seed in range(20):
        environment.reset(seed)
        starts.append(environment.coordinates())
    assert np.abs(starts).max() <= reach
    assert np.std(starts, axis=0).min() > reach / 4


def test_a_sparse_task_starts_out_of_reach_of_its_reward_and_a_sloping_one_does_not() -> None:
    for kind, low, high in (("reach", 0, 1e-8), ("go", 0.2, 0.4)):
        environment = make(f"point_mass_{kind}_top_left")
        environment.reset(0)
        assert low <= environment.step(np.zeros(2, np.float32)).reward <= high


def test_the_domain_and_every_task_fit_one_agent() -> None:
    specs = [make(name, action_repeat=4).spec for name in ("point_mass", *GOAL_TASKS)]
    assert all(not specs[0].compatible_with(spec) for spec in specs)
    assert specs[0].coordinates == ("x", "y")
    assert specs[0].episode_steps == 250
