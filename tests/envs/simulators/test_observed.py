"""Simulators put into the state that an observation tells."""

import numpy as np
import pytest

from choreo.envs import make, make_vector

# What an observation does not tell, or tells only of forces: left out of the comparison.
FORCES = {"quadruped": slice(48, 51), "quadruped_jump": slice(48, 51), "dmc:reacher-easy": [2, 3]}
UNTOLD = {"quadruped": 3, "quadruped_jump": 3, "dmc:cheetah-run": 1}
IDS = (
    "walker", "walker_flip", "point_mass", "quadruped", "quadruped_jump", "dmc:cheetah-run",
    "dmc:hopper-hop", "dmc:pendulum-swingup", "dmc:cartpole-two_poles", "dmc:acrobot-swingup",
    "dmc:reacher-easy",
)  # fmt: skip


@pytest.mark.parametrize("id", IDS)
def test_a_state_shown_again_is_observed_as_before(id: str) -> None:
    environment, other = make(id), make(id)
    rng = np.random.default_rng(0)
    step = environment.reset(3)
    for _ in range(40):
        step = environment.step(rng.uniform(-1, 1, environment.spec.action_size))
    other.reset(8)
    assert other.set_observed(step.observation)
    simulator = other.simulator  # type: ignore[attr-defined]
    own = simulator._environment
    seen = simulator._layout.read(own.task.get_observation(own.physics))["observation"]
    wanted, ignored = step.observation["observation"].copy(), FORCES.get(id, [])
    if id.startswith("quadruped"):  # the toes feel what they stand on
        seen, wanted = seen[:54], wanted[:54]
    seen[ignored] = wanted[ignored] = 0
    np.testing.assert_allclose(seen, wanted, atol=2e-5)
    told = other.coordinates()
    assert np.isnan(told).sum() == UNTOLD.get(id, 0)
    known = ~np.isnan(told)
    np.testing.assert_allclose(told[known], environment.coordinates()[known], atol=1e-5)


@pytest.mark.parametrize("parallel", [False, True])
def test_a_vector_shows_a_state_and_then_begins_anew(parallel: bool) -> None:
    with make_vector("point_mass", 1, parallel) as vector:
        nothing, begin, seeds = np.zeros((1, 2), np.float32), np.ones(1, bool), np.array([4])
        first = vector.step(nothing, begin, seeds).observation["observation"].copy()
        assert vector.set_observed(0, {"observation": np.array([0.1, -0.2, 0, 0], np.float32)})
        np.testing.assert_allclose(vector.coordinates(), [[0.1, -0.2]], atol=1e-7)
        again = vector.step(nothing, begin, seeds).observation["observation"]
        np.testing.assert_array_equal(first, again)


def test_what_tells_no_state_is_left_alone() -> None:
    environment = make("point_mass")
    environment.reset(0)
    before = environment.coordinates()
    wrong = [{}, {"observation": np.zeros(3)}, {"observation": np.full(4, np.nan)}]
    assert not any(environment.set_observed(seen) for seen in wrong)
    np.testing.assert_array_equal(environment.coordinates(), before)
    gym = make("gym:Pendulum-v1")
    gym.reset(0)
    assert not gym.set_observed({"observation": np.zeros(3, np.float32)})
