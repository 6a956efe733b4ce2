"""Joints at their limits, and bodies that films draw larger while physics does not."""

import math

import numpy as np
import pytest

from choreo.envs import SerialVector, make
from choreo.envs.simulated import SimulatedEnvironment


def test_joints_pushed_against_their_limits_are_counted() -> None:
    walker = make("walker")
    walker.reset(0)
    assert 0 <= walker.joints_at_limits() < 1
    for _ in range(100):
        walker.step(np.ones(walker.spec.action_size))
    assert walker.joints_at_limits() > 0.5
    assert SerialVector([walker]).joints_at_limits().shape == (1,)
    walker.close()


@pytest.mark.parametrize("name", ["gym:Pendulum-v1", "toy_envs:point"])
def test_what_no_simulator_knows_is_not_a_number(name: str) -> None:
    environment = make(name)
    environment.reset(0)
    assert math.isnan(environment.joints_at_limits())
    environment.close()


def test_the_mass_is_drawn_larger_and_is_not_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = make("point_mass")
    assert isinstance(environment, SimulatedEnvironment)
    simulator = environment.simulator
    environment.reset(0)
    sizes = []

    def draw(model, data, camera, height, width) -> np.ndarray:  # noqa: ANN001
        sizes.append(float(model.geom("pointmass").size[0]))
        return np.zeros((height, width, 3), np.uint8)

    monkeypatch.setattr(simulator._artist, "draw", draw)  # type: ignore[attr-defined]
    environment.render(32, 32)
    simulator.render(32, 32, simulator.default_camera)  # as agents see it
    environment.render(32, 32)
    assert sizes[0] == sizes[2] == pytest.approx(3 * sizes[1])
    environment.close()
