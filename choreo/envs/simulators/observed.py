"""From an observation back to the simulator's state, for domains of dm_control that tell it.

Observations leave out where a body stands on the ground, so that is taken as the origin; what else
an observation does not tell is named in `Telling.untold`.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from choreo.envs.simulators.coordinates import wrapped_angle

TOE = 0.08  # m; radius of a toe of the suite's quadruped

Parts = Mapping[str, np.ndarray]
"""The arrays of one observation by their own names, flat."""


class Telling(NamedTuple):
    """Puts a physics into the state of an observation; `untold` are coordinates that it guesses."""

    put: Callable[[Any, Parts], None]
    untold: tuple[str, ...] = ()


def suite_telling(domain: str) -> Telling | None:
    """How the observations of a suite domain tell its state; None where they do not."""
    return {
        "acrobot": Telling(_acrobot),
        "cartpole": Telling(_cartpole),
        "cheetah": Telling(_without_x, ("x",)),
        "hopper": Telling(_without_x),
        "pendulum": Telling(_pendulum),
        "point_mass": Telling(_as_it_is),
        "quadruped": Telling(_quadruped, ("x", "y", "height")),
        "reacher": Telling(_as_it_is),
        "walker": Telling(_walker),
    }.get(domain)


def put(telling: Telling, physics: Any, parts: Parts) -> None:
    """Put a physics into the state of an observation, with all that follows from it worked out.

    Raises KeyError where a part is missing, and ValueError where one has another size.
    """
    physics.data.act[:] = 0
    physics.data.ctrl[:] = 0
    physics.data.qacc_warmstart[:] = 0
    telling.put(physics, parts)
    physics.forward()


def _set(physics: Any, position: Any, velocity: Any) -> None:
    physics.data.qpos[:], physics.data.qvel[:] = position, velocity


def _as_it_is(physics: Any, parts: Parts) -> None:
    _set(physics, parts["position"], parts["velocity"])


def _without_x(physics: Any, parts: Parts) -> None:
    _set(physics, [0.0, *parts["position"]], parts["velocity"])


def _pendulum(physics: Any, parts: Parts) -> None:
    cosine, sine = parts["orientation"]
    _set(physics, math.atan2(sine, cosine), parts["velocity"])


def _cartpole(physics: Any, parts: Parts) -> None:
    """Slider, then cosine and sine of every pole in the world."""
    cart, *poles = parts["position"]
    _set(physics, [cart, *_joints(poles[1::2], poles[0::2])], parts["velocity"])


def _acrobot(physics: Any, parts: Parts) -> None:
    sines, cosines = np.split(parts["orientations"], 2)
    _set(physics, _joints(sines, cosines), parts["velocity"])


def _joints(sines: Any, cosines: Any) -> list[float]:
    """Angles of hinges in a chain, each against the body before, from angles in the world."""
    angles = np.arctan2(sines, cosines)
    return [wrapped_angle(angle) for angle in np.diff(angles, prepend=0.0)]


def _walker(physics: Any, parts: Parts) -> None:
    """Height of the torso, and cosine and sine of every body's angle about the y axis.

    Hips, knees and ankles turn the other way round than the torso does.
    """
    cosines, sines = np.reshape(parts["orientations"], (7, 2)).T
    torso, *limbs = np.arctan2(sines, cosines).tolist()
    hinges = []
    for leg in (limbs[:3], limbs[3:]):
        chain = [torso, *leg]
        hinges += [wrapped_angle(a - b) for a, b in zip(chain, leg)]
    rest = float(physics.named.model.body_pos["torso", "z"])
    _set(physics, [float(parts["height"][0]) - rest, 0.0, torso, *hinges], parts["velocity"])


def _quadruped(physics: Any, parts: Parts) -> None:
    """Joints, velocities of joints, activations, velocity of the torso and how upright it is.

    Which way it leans is not told: it leans forwards, with its lowest part on the ground.
    """
    hinges, speeds, activations = np.split(
        parts["egocentric_state"], [physics.model.nq - 7, physics.model.nq + physics.model.nv - 13]
    )
    lean = math.acos(min(1.0, max(-1.0, float(parts["torso_upright"][0]))))
    turn = [math.cos(lean / 2), 0.0, math.sin(lean / 2), 0.0]
    cosine, sine = math.cos(lean), math.sin(lean)
    frame = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    spin = parts["imu"][3:6]
    _set(physics, [0, 0, 0, *turn, *hinges], [*frame @ parts["torso_velocity"], *spin, *speeds])
    physics.data.act[:] = activations
    physics.forward()
    lowest = physics.data.geom_xpos[physics.model.geom_bodyid > 0, 2].min()
    physics.data.qpos[2] = TOE - float(lowest)
