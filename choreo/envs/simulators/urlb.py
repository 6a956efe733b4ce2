"""The twelve tasks of URLB and ExORL's jaco, over dm_control's own models and base tasks.

Facts (rewards, targets, time limits) come from the URLB reference tasks
(github.com/rll-research/url_benchmark, custom_dmc_tasks; Laskin et al. 2021, arXiv 2110.15191)
and the ExORL ones (github.com/denisyarats/exorl, custom_dmc_tasks; Yarats et al. 2022,
arXiv 2201.13425).
"""

import math
from collections import OrderedDict
from typing import Any, NamedTuple

from dm_control import composer
from dm_control.entities import props
from dm_control.manipulation import reach
from dm_control.manipulation.shared import arenas, constants, observations, robots, workspaces
from dm_control.rl import control
from dm_control.suite import common, quadruped, walker
from dm_control.utils import rewards

from choreo.envs.simulators import dmc
from choreo.envs.simulators.coordinates import Coordinates, suite_coordinates
from choreo.envs.simulators.observed import suite_telling

_INF = float("inf")

# Walker (url_benchmark walker.py): 25 s of 0.025 s, full reward at angular momentum 5.
_WALKER_SECONDS = 25
_WALKER_TIMESTEP = 0.025
_SPIN_MOMENTUM = 5.0

# Quadruped (url_benchmark quadruped.py): 20 s of 0.02 s, floor of half-width 20 x 0.5 m.
_QUADRUPED_SECONDS = 20
_QUADRUPED_TIMESTEP = 0.02
_QUADRUPED_FLOOR = 10.0
_JUMP_HEIGHT = 1.0

# Jaco (url_benchmark jaco.py): 10 s of 0.04 s; targets at (+-0.09, +-0.09) just above the table.
_JACO_FRAMES = 250
_TARGET_DISTANCE = 0.09
_TARGET_HEIGHT = 0.001

# Ours: a start in which the arm touches something is drawn again instead of ending the run.
_RESET_ATTEMPTS = 10


class PhysicsWithSpin(walker.Physics):
    """Walker physics that also knows how fast the body turns."""

    def angular_momentum(self) -> float:
        """Return the whole body's angular momentum about the y axis, kg m^2/s."""
        return self.named.data.subtree_angmom["torso"][1]


class Flip(walker.PlanarWalker):
    """Turn over forwards while high and upright (URLB walker_flip).

    Reward: (3 stand + upright) / 4 as in the suite's walker, times (5 spin + 1) / 6, where spin
    rises linearly from 0 at no angular momentum to 1 at 5 and above.
    """

    def __init__(self, random: Any = None) -> None:
        super().__init__(move_speed=0, random=random)

    def get_reward(self, physics: PhysicsWithSpin) -> float:
        spin = rewards.tolerance(
            physics.angular_momentum(),
            bounds=(_SPIN_MOMENTUM, _INF),
            margin=_SPIN_MOMENTUM,
            value_at_margin=0,
            sigmoid="linear",
        )
        standing = super().get_reward(physics)  # with move_speed 0: high and upright
        return float(standing * (5 * spin + 1) / 6)


class Stand(quadruped.Move):
    """Keep the torso upright (URLB quadruped_stand): 0 upside down, 1 upright, linear between."""

    def __init__(self, random: Any = None) -> None:
        super().__init__(desired_speed=0, random=random)

    def get_reward(self, physics: quadruped.Physics) -> float:
        upright = rewards.tolerance(
            float(physics.torso_upright()),
            bounds=(1, _INF),
            margin=2,
            value_at_margin=0,
            sigmoid="linear",
        )
        return float(upright)


class Jump(Stand):
    """Lift the centre of mass to 1 m while upright (URLB quadruped_jump).

    Reward: upright times height, where height rises linearly from 0.5 at 0 m to 1 at 1 m.
    """

    def get_reward(self, physics: quadruped.Physics) -> float:
        high = rewards.tolerance(
            physics.named.data.sensordata["center_of_mass"][2],
            bounds=(_JUMP_HEIGHT, _INF),
            margin=_JUMP_HEIGHT,
            value_at_margin=0.5,
            sigmoid="linear",
        )
        return float(super().get_reward(physics) * high)


class _Workspace(NamedTuple):
    """Where dm_control's reach task puts target, hand and arm (metres)."""

    target_bbox: workspaces.BoundingBox
    tcp_bbox: workspaces.BoundingBox
    arm_offset: tuple[float, float, float]


class BlindReach(reach.Reach):
    """Reach for a fixed site that the observations do not tell of (ExORL)."""

    @property
    def task_observables(self) -> Any:
        """All observables of the reach task but the target's position."""
        shown = super().task_observables.items()
        return OrderedDict((name, value) for name, value in shown if name != "target_position")


def make_walker(id: str, task: str, time_limited: bool = True) -> dmc.DmSimulator:
    """Return walker stand, walk or run of the suite, or flip."""
    if task != "flip":
        return dmc.suite_simulator(id, "walker", task, time_limited)
    physics = PhysicsWithSpin.from_xml_string(*walker.get_model_and_assets())
    environment = control.Environment(
        physics,
        Flip(random=0),
        time_limit=_WALKER_SECONDS if time_limited else math.inf,
        control_timestep=_WALKER_TIMESTEP,
    )
    named, telling = suite_coordinates("walker"), suite_telling("walker")
    return dmc.DmSimulator(id, environment, named, telling=telling)


def make_quadruped(id: str, task: str, time_limited: bool = True) -> dmc.DmSimulator:
    """Return quadruped walk or run of the suite, or stand or jump."""
    if task in ("walk", "run"):
        return dmc.suite_simulator(id, "quadruped", task, time_limited)
    model = quadruped.make_model(floor_size=_QUADRUPED_FLOOR)
    environment = control.Environment(
        quadruped.Physics.from_xml_string(model, common.ASSETS),
        {"stand": Stand, "jump": Jump}[task](random=0),
        time_limit=_QUADRUPED_SECONDS if time_limited else math.inf,
        control_timestep=_QUADRUPED_TIMESTEP,
    )
    named = suite_coordinates("quadruped")
    camera, telling = dmc.camera_of("quadruped"), suite_telling("quadruped")
    return dmc.DmSimulator(id, environment, named, camera, telling=telling)


def make_jaco(
    id: str, target: str, fixed_site: bool = False, time_limited: bool = True
) -> dmc.DmSimulator:
    """Return the arm that reaches for `target`, such as "top_left".

    URLB: the target is a movable brick laid there, whose pose is observed. ExORL (`fixed_site`):
    the target is a point that is not observed, and the hand starts in a larger box. The limit is
    counted as 250 frames; summing 0.04 s up to 10 s can miss one. The brick's studs are drawn anew
    for each episode, so its model is compiled each time.
    """
    task = _jaco_task(target, fixed_site)
    environment = composer.Environment(
        task,
        random_state=0,
        max_reset_attempts=_RESET_ATTEMPTS,
        recompile_mjcf_every_episode=not fixed_site,
    )
    hand = task.hand.tool_center_point
    named = Coordinates(("x", "y", "z"), lambda physics: tuple(physics.bind(hand).xpos))
    limit = _JACO_FRAMES if time_limited else None
    return dmc.DmSimulator(id, environment, named, "front_close", limit)


def _jaco_task(target: str, fixed_site: bool) -> reach.Reach:
    settings = observations.PERFECT_FEATURES
    workspace = _jaco_workspace(target, fixed_site)
    options = observations.make_options(settings, observations.FREEPROP_OBSERVABLES)
    make_task = BlindReach if fixed_site else reach.Reach
    return make_task(
        arena=arenas.Standard(),
        arm=robots.make_arm(obs_settings=settings),
        hand=robots.make_hand(obs_settings=settings),
        prop=None if fixed_site else props.Duplo(observable_options=options),
        obs_settings=settings,
        workspace=workspace,
        control_timestep=constants.CONTROL_TIMESTEP,
    )


def _jaco_workspace(target: str, fixed_site: bool) -> _Workspace:
    vertical, horizontal = target.split("_")
    position = (
        _TARGET_DISTANCE if horizontal == "right" else -_TARGET_DISTANCE,
        _TARGET_DISTANCE if vertical == "top" else -_TARGET_DISTANCE,
        _TARGET_HEIGHT,
    )
    if fixed_site:
        hand_box = workspaces.BoundingBox((-0.2, -0.2, 0.02), (0.2, 0.2, 0.4))
    else:
        hand_box = workspaces.BoundingBox((-0.1, -0.1, 0.2), (0.1, 0.1, 0.4))
    return _Workspace(workspaces.BoundingBox(position, position), hand_box, robots.ARM_OFFSET)
