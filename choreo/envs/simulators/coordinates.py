"""Named state coordinates of known domains: where a skill is in a space people can picture."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Coordinates(NamedTuple):
    """Names, and a function from a dm_control physics to as many values."""

    names: tuple[str, ...]
    read: Callable[[Any], tuple[float, ...]]


def suite_coordinates(domain: str) -> Coordinates:
    """Return the coordinates (ours) of a dm_control suite domain; none for an unknown one.

    Metres, metres per second and radians, in the world's frame.
    """
    return {
        "acrobot": Coordinates(("shoulder", "elbow"), _first_angles),
        "ball_in_cup": Coordinates(("ball_x", "ball_z"), _cup_ball),
        "cartpole": Coordinates(("x", "angle"), _cart),
        "cheetah": Coordinates(("x", "height", "speed"), _cheetah),
        "fish": Coordinates(("x", "y", "z"), _torso_position),
        "hopper": Coordinates(("height", "speed"), _hopper),
        "humanoid": Coordinates(("x", "y", "head_height"), _humanoid),
        "pendulum": Coordinates(("angle", "speed"), _pendulum),
        "point_mass": Coordinates(("x", "y"), _point_mass),
        "quadruped": Coordinates(("x", "y", "height", "upright"), _quadruped),
        "reacher": Coordinates(("x", "y"), _reacher),
        "swimmer": Coordinates(("x", "y"), _swimmer),
        "walker": Coordinates(("height", "pitch", "speed"), _walker),
    }.get(domain, NO_COORDINATES)


def _nothing(physics: Any) -> tuple[float, ...]:
    return ()


NO_COORDINATES = Coordinates((), _nothing)


def wrapped_angle(angle: float) -> float:
    """Return the same angle in [-pi, pi]."""
    return math.atan2(math.sin(angle), math.cos(angle))


def _first_angles(physics: Any) -> tuple[float, ...]:
    return wrapped_angle(physics.data.qpos[0]), wrapped_angle(physics.data.qpos[1])


def _cup_ball(physics: Any) -> tuple[float, ...]:
    x, _, z = physics.named.data.xpos["ball"]
    return x, z


def _cart(physics: Any) -> tuple[float, ...]:
    return physics.data.qpos[0], wrapped_angle(physics.data.qpos[1])


def _cheetah(physics: Any) -> tuple[float, ...]:
    x, _, height = physics.named.data.xpos["torso"]
    return x, height, physics.speed()


def _torso_position(physics: Any) -> tuple[float, ...]:
    return tuple(physics.named.data.xpos["torso"])


def _hopper(physics: Any) -> tuple[float, ...]:
    return physics.height(), physics.speed()


def _humanoid(physics: Any) -> tuple[float, ...]:
    x, y, _ = physics.named.data.xpos["torso"]
    return x, y, physics.head_height()


def _pendulum(physics: Any) -> tuple[float, ...]:
    return wrapped_angle(physics.data.qpos[0]), physics.data.qvel[0]


def _point_mass(physics: Any) -> tuple[float, ...]:
    return tuple(physics.data.qpos[:2])


def _quadruped(physics: Any) -> tuple[float, ...]:
    return (*physics.named.data.xpos["torso"], float(physics.torso_upright()))


def _reacher(physics: Any) -> tuple[float, ...]:
    return tuple(physics.named.data.geom_xpos["finger", :2])


def _swimmer(physics: Any) -> tuple[float, ...]:
    return tuple(physics.named.data.xpos["head", :2])


def _walker(physics: Any) -> tuple[float, ...]:
    frame = physics.named.data.xmat["torso"]
    pitch = math.atan2(frame[2], frame[8])  # the torso's up direction in the x-z plane
    return physics.torso_height(), pitch, physics.horizontal_velocity()


def as_array(coordinates: Coordinates, physics: Any) -> np.ndarray:
    """Return the values (C,) float64 of the physics' present state."""
    return np.array(coordinates.read(physics), dtype=np.float64)
