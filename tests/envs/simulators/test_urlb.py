from typing import Any

import numpy as np
import pytest
from dm_control.suite import common, quadruped, walker

from choreo.envs.make import DOMAIN_TASKS, EXORL_TASKS, URLB_TASKS, make
from choreo.envs.simulators import urlb

SIZES = {"walker": (24, 6), "quadruped": (78, 12), "jaco": (55, 9), "jaco_fixed": (42, 9)}


@pytest.mark.parametrize("task", [*URLB_TASKS, *EXORL_TASKS])
def test_every_task_steps_with_rewards_between_0_and_1(task: str) -> None:
    env = make(task)
    domain = task.split("_")[0] if task not in EXORL_TASKS else "jaco_fixed"
    assert (env.spec.observations["observation"].shape[0], env.spec.action_size) == SIZES[domain]
    assert env.spec.episode_steps == (250 if "jaco" in task else 1000)
    rng = np.random.default_rng(0)
    step = env.reset(1)
    assert step.is_first and step.reward == 0
    for _ in range(10):
        step = env.step(rng.uniform(-1, 1, env.spec.action_size).astype(np.float32))
        assert 0 <= step.reward <= 1
    assert env.coordinates().shape == (len(env.spec.coordinates),)
    env.close()


def test_there_are_twelve_tasks_and_each_domain_stands_for_one() -> None:
    assert len(URLB_TASKS) == 12
    assert set(DOMAIN_TASKS.values()) <= {*URLB_TASKS, *EXORL_TASKS}
    assert make("walker").spec.id == "walker"


def turning_walker(momentum: float) -> Any:
    """Return a walker that stands at full height and turns as one stiff body."""
    physics: Any = urlb.PhysicsWithSpin.from_xml_string(*walker.get_model_and_assets())
    physics.forward()
    masses, centres = physics.model.body_mass[1:, None], physics.data.xipos[1:]
    arms = centres - (masses * centres).sum(0) / masses.sum()
    frames = physics.data.ximat[1:].reshape(-1, 3, 3)
    own = (frames[:, 1] ** 2 * physics.model.body_inertia[1:]).sum()
    inertia = own + (masses[:, 0] * (arms[:, 0] ** 2 + arms[:, 2] ** 2)).sum()
    physics.named.data.qvel["rooty"] = momentum / inertia
    physics.forward()
    return physics


@pytest.mark.parametrize(
    ("momentum", "reward"),
    [(0.0, 1 / 6), (-3.0, 1 / 6), (2.5, 3.5 / 6), (5.0, 1.0), (9.0, 1.0)],
)
def test_flip_pays_for_angular_momentum_up_to_five(momentum: float, reward: float) -> None:
    physics = turning_walker(momentum)
    assert physics.angular_momentum() == pytest.approx(momentum, abs=1e-6)
    assert urlb.Flip(random=0).get_reward(physics) == pytest.approx(reward, abs=1e-6)


def test_flip_pays_less_for_a_walker_that_lies_down() -> None:
    physics = turning_walker(5.0)
    physics.named.data.qpos["rootz"] -= 1.3 - 0.6  # the margin of the height reward: 0.1
    physics.forward()
    assert urlb.Flip(random=0).get_reward(physics) == pytest.approx((3 * 0.1 + 1) / 4, abs=1e-6)


def placed_quadruped(centre_height: float, roll: float) -> Any:
    """Return a quadruped with its centre of mass at a height, turned about its long axis."""
    model = quadruped.make_model(floor_size=10)
    physics: Any = quadruped.Physics.from_xml_string(model, common.ASSETS)
    root = physics.named.data.qpos["root"]
    root[3:] = (np.cos(roll / 2), np.sin(roll / 2), 0, 0)
    physics.forward()
    masses = physics.model.body_mass[1:]
    now = (masses * physics.data.xipos[1:, 2]).sum() / masses.sum()
    root[2] += centre_height - now
    physics.forward()
    return physics


@pytest.mark.parametrize(
    ("height", "roll", "stand", "jump"),
    [
        (0.6, 0.0, 1.0, 0.8),
        (1.0, 0.0, 1.0, 1.0),
        (1.7, 0.0, 1.0, 1.0),
        (0.6, np.pi / 2, 0.5, 0.4),
        (1.0, np.pi, 0.0, 0.0),
    ],
)
def test_stand_pays_for_uprightness_and_jump_for_height_times_that(
    height: float, roll: float, stand: float, jump: float
) -> None:
    physics = placed_quadruped(height, roll)
    assert urlb.Stand(random=0).get_reward(physics) == pytest.approx(stand, abs=1e-6)
    assert urlb.Jump(random=0).get_reward(physics) == pytest.approx(jump, abs=1e-6)


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("top_left", (-0.09, 0.09)),
        ("top_right", (0.09, 0.09)),
        ("bottom_left", (-0.09, -0.09)),
        ("bottom_right", (0.09, -0.09)),
    ],
)
def test_the_brick_lies_at_the_target_and_pays_within_five_centimetres(
    target: str, place: tuple[float, float]
) -> None:
    simulator = urlb.make_jaco("jaco", target)
    simulator.reset(0)
    environment: Any = simulator._environment
    physics, task = environment.physics, environment.task
    brick = physics.bind(task._target).xpos
    assert brick[:2] == pytest.approx(place, abs=2e-3)
    distance = np.linalg.norm(simulator.coordinates() - brick)
    expected = 1.0 if distance <= 0.05 else 0.1 ** (((distance - 0.05) / 0.05) ** 2)
    assert task.get_reward(physics) == pytest.approx(expected, rel=1e-6)


def test_exorls_target_is_a_point_that_is_not_observed() -> None:
    simulator = urlb.make_jaco("jaco", "bottom_right", fixed_site=True)
    simulator.reset(0)
    environment: Any = simulator._environment
    target = environment.physics.bind(environment.task._target).xpos
    assert target.tolist() == [0.09, -0.09, 0.001]
    assert not [key for key in environment.observation_spec() if "target" in key]


def test_a_diverged_simulation_cuts_its_episode(caplog: pytest.LogCaptureFixture) -> None:
    env, still = make("walker_run"), np.zeros(6, dtype=np.float32)
    before = env.reset(0)
    env.simulator._environment.physics.data.qvel[:] = 1e12  # type: ignore[attr-defined]
    cut = env.step(still)
    assert cut.is_last and not cut.is_terminal and "walker_run: the sim" in caplog.text
    np.testing.assert_equal(cut.observation, before.observation)
    assert np.isfinite(env.coordinates()).all()
    env.reset(0)
    assert not env.step(still).is_last
