import numpy as np
import pytest

from choreo.envs.simulators import dmc
from choreo.envs.simulators.coordinates import suite_coordinates, wrapped_angle

DOMAINS = {
    "acrobot": "swingup",
    "ball_in_cup": "catch",
    "cartpole": "swingup",
    "cheetah": "run",
    "fish": "swim",
    "hopper": "hop",
    "humanoid": "walk",
    "pendulum": "swingup",
    "swimmer": "swimmer6",
}


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_name_has_a_value(domain: str) -> None:
    simulator = dmc.suite_simulator("here", domain, DOMAINS[domain])
    simulator.reset(0)
    values = simulator.coordinates()
    assert values.shape == (len(suite_coordinates(domain).names),) and np.isfinite(values).all()


def read(domain: str, task: str, **positions: float) -> list[float]:
    simulator = dmc.suite_simulator("here", domain, task)
    simulator.reset(0)
    physics = simulator._environment.physics  # type: ignore[attr-defined]
    physics.data.qpos[:], physics.data.qvel[:] = physics.model.qpos0, 0
    for joint, value in positions.items():
        physics.named.data.qpos[joint] = value
    physics.forward()
    return simulator.coordinates().tolist()


def test_point_mass_is_where_its_joints_say() -> None:
    assert read("point_mass", "easy", root_x=0.1, root_y=-0.2) == pytest.approx([0.1, -0.2])


def test_walker_pitch_is_the_angle_of_its_hinge() -> None:
    assert read("walker", "run", rooty=0.4) == pytest.approx([1.3, 0.4, 0.0])
    assert read("walker", "run", rooty=-2.5, rootz=0.2) == pytest.approx([1.5, -2.5, 0.0])


def test_reacher_finger_lies_at_the_end_of_both_links() -> None:
    straight = read("reacher", "easy", shoulder=0, wrist=0)
    turned = read("reacher", "easy", shoulder=np.pi / 2, wrist=0)
    assert straight[1] == pytest.approx(0) and straight[0] > 0.2
    assert turned == pytest.approx([0, straight[0]])


def test_angles_are_wrapped() -> None:
    assert wrapped_angle(2 * np.pi + 0.5) == pytest.approx(0.5)
    assert wrapped_angle(-2 * np.pi - 0.5) == pytest.approx(-0.5)
