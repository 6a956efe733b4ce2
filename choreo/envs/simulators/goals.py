"""A point mass that is rewarded in one corner of its arena, ours: sparse goals, and sloping ones.

The domain, for pre-training, starts anywhere; a task starts in the middle, where a sparse goal is
out of reach of reward and a sloping one says in which direction it lies.

Built on the dm_control suite's point mass and its physics. After the idea of ExORL's goals in a
point-mass maze (arXiv 2201.13425), without the maze.
"""

import math
from typing import Any

import numpy as np
from dm_control.rl import control
from dm_control.suite import base, point_mass
from dm_control.utils import rewards

from choreo.envs.simulators import dmc
from choreo.envs.simulators.coordinates import suite_coordinates
from choreo.envs.simulators.observed import suite_telling

SECONDS = 20  # as the suite's point mass
ANYWHERE = 0.25  # m; a start is at most so far from the middle along each axis: the domain
MIDDLE = 0.03  # m; the same of the tasks
GOAL = 0.2  # m; distance of a goal from the middle along each axis, walls are at 0.3
GOAL_RADIUS = 0.05  # m; full reward within
SPARSE = GOAL_RADIUS  # m from there to where the reward is 0.1; next to none at twice as much
SLOPING = 0.3  # m, likewise: 0.25 in the middle, 1e-3 in the opposite corner

SIGNS = {"left": -1, "right": 1, "bottom": -1, "top": 1}


class ReachCorner(base.Task):
    """Reward 1 within `GOAL_RADIUS` of the goal, 0.1 at `margin` beyond, 1e-4 at twice that."""

    def __init__(
        self, goal: tuple[float, float], start: float, margin: float, random: Any = None
    ) -> None:
        super().__init__(random=random)
        self.goal, self.start, self.margin = np.array(goal), start, margin

    def initialize_episode(self, physics: Any) -> None:
        """Put the mass at rest somewhere and the drawn target at the goal."""
        physics.data.qpos[:] = self.random.uniform(-self.start, self.start, size=2)
        physics.named.model.geom_pos["target", :2] = self.goal
        physics.named.model.geom_size["target", 0] = GOAL_RADIUS
        super().initialize_episode(physics)

    def get_observation(self, physics: Any) -> dict[str, np.ndarray]:
        """Position in m and velocity in m/s."""
        return {"position": physics.position(), "velocity": physics.velocity()}

    def get_reward(self, physics: Any) -> float:
        """Depends on the distance to the goal alone."""
        distance = np.linalg.norm(physics.named.data.geom_xpos["pointmass", :2] - self.goal)
        return float(rewards.tolerance(distance, (0, GOAL_RADIUS), margin=self.margin))


def make_point_mass(
    id: str,
    corner: str,
    start: float = MIDDLE,
    margin: float = SPARSE,
    time_limited: bool = True,
) -> dmc.DmSimulator:
    """Return the task whose goal is in a corner such as `top_left`; lengths in m as above."""
    vertical, horizontal = corner.split("_")
    physics = point_mass.Physics.from_xml_string(*point_mass.get_model_and_assets())
    environment = control.Environment(
        physics,
        ReachCorner((SIGNS[horizontal] * GOAL, SIGNS[vertical] * GOAL), start, margin, random=0),
        time_limit=SECONDS if time_limited else math.inf,
    )
    larger = dmc.DRAWN_LARGER["point_mass"]
    named, telling = suite_coordinates("point_mass"), suite_telling("point_mass")
    return dmc.DmSimulator(id, environment, named, larger=larger, telling=telling)
