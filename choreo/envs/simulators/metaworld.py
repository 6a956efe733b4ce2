"""Meta-World's tasks with a sparse reward: 1 in every frame of success, else 0.

Own wrapper over metaworld 3.1.1, after the settings of the authors of Choreographer
(github.com/mazpie/choreographer, envs.py): 500 frames, the camera corner2 moved nearer, the goal
not observed.
"""

import difflib
from typing import Any

import numpy as np

from choreo.envs.rendering import backends
from choreo.envs.rendering.artist import Artist
from choreo.envs.simulators import joints
from choreo.envs.simulators.base import Diverged, Frame, Simulator
from choreo.envs.spaces import ArraySpec
from choreo.errors import UsageError

# fmt: off
TASKS = (
    "assembly", "basketball", "bin-picking", "box-close", "button-press", "button-press-topdown",
    "button-press-topdown-wall", "button-press-wall", "coffee-button", "coffee-pull", "coffee-push",
    "dial-turn", "disassemble", "door-close", "door-lock", "door-open", "door-unlock",
    "drawer-close", "drawer-open", "faucet-close", "faucet-open", "hammer", "hand-insert",
    "handle-press", "handle-press-side", "handle-pull", "handle-pull-side", "lever-pull",
    "peg-insert-side", "peg-unplug-side", "pick-out-of-hole", "pick-place", "pick-place-wall",
    "plate-slide", "plate-slide-back", "plate-slide-back-side", "plate-slide-side", "push",
    "push-back", "push-wall", "reach", "reach-wall", "shelf-place", "soccer", "stick-pull",
    "stick-push", "sweep", "sweep-into", "window-close", "window-open",
)
# fmt: on

FRAMES = 500  # of an episode [upstream and the authors: 250 steps of 2 frames]
CAMERA = "corner2"
CAMERA_POSITION = (0.75, 0.075, 0.7)  # m [the authors]

_SIZE = 39  # hand, gripper, objects: of this frame (18) and the one before (18); the goal (3)
# Numbers of mjtWarning: MuJoCo begins from a new state after one of these.
_LOST_STATE = {4: "positions", 5: "speeds", 6: "accelerations"}
_DRAWS = 1000  # before a given goal is said to leave no room for the object
_GOAL_MARGIN = 0.15  # m outside the hand's range at which a goal is certainly out of reach


def tasks() -> list[str]:
    """Return the names of all tasks, such as `reach`; this needs no Meta-World."""
    return list(TASKS)


def make_metaworld(id: str, task: str, time_limited: bool = True) -> "MetaworldSimulator":
    """Return a task, named with hyphens or underscores; `time_limited` cuts it at 500 frames.

    Raises `UsageError` for an unknown task, or when Meta-World is not installed.
    """
    name = task.replace("_", "-")
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(f'mw_{n}' for n in near)}?" if near else "try mw_reach."
        raise UsageError(f"Meta-World has no task '{task}' ({id}); {hint}")
    return MetaworldSimulator(id, _environment_class(name)(), FRAMES if time_limited else None)


class MetaworldSimulator(Simulator):
    """One Meta-World task; all chance, of goals and objects too, comes from the seed of `reset`.

    The observation is upstream's, its last three entries, the goal, zero; the goal is not drawn.
    """

    def __init__(self, id: str, environment: Any, frame_limit: int | None) -> None:
        self._id, self._environment = id, environment
        self._model, self._data = environment.model, environment.data
        self._goal: np.ndarray | None = None
        self._drawn: np.ndarray | None = None
        self._artist = Artist()
        self.observations = {"observation": ArraySpec((_SIZE,), "float32")}
        self.action_low, self.action_high = np.full(4, -1.0), np.full(4, 1.0)
        self.frame_limit = frame_limit
        self.frame_seconds = float(environment.dt)
        self.coordinate_names = ("hand_x", "hand_y", "hand_z", "gripper")
        # Upstream refuses to move before `set_task`, which unpickles a stored draw of its chance.
        environment._set_task_called = True
        environment._partially_observable = True
        environment._get_state_rand_vec = self._draw
        environment.max_path_length = np.inf if frame_limit is None else frame_limit
        self.reset(0)
        last = self._last_draw
        self._takes_goals = len(last) == 6 and np.array_equal(environment._target_pos, last[3:])
        self.cameras = tuple(self._model.camera(i).name for i in range(self._model.ncam))
        self.default_camera = CAMERA
        _prepare_pictures(self._model, [site for site, _ in environment._target_site_config])

    def reset(self, seed: int) -> None:
        environment = self._environment
        self._random = np.random.default_rng(seed)
        self._drawn, self._draws = None, 0
        environment.reset_model()
        # Upstream resets twice in `reset`; the same draw both times, and nothing is left of before.
        self._drawn = self._last_draw
        self._observation = environment.reset()[0]
        self._frame = 0

    def step(self, action: np.ndarray) -> Frame:
        self._observation, _, _, _, info = self._environment.step(action)
        self._check_state()
        self._frame += 1
        return Frame(float(info["success"]), self._frame == self.frame_limit, False)

    def observe(self) -> dict[str, np.ndarray]:
        return {"observation": self._observation.astype(np.float32)}

    def coordinates(self) -> np.ndarray:
        """Return position of the hand (m) and opening of the gripper, from 0 to 1."""
        return self._observation[:4].astype(np.float64)

    def joints_at_limits(self) -> float:
        return joints.share_at_limits(self._model, self._data)

    def set_goal(self, goal: np.ndarray | None) -> bool:
        """Give the goal (m, in the world's frame), or three values of the object's start before it.

        Raises `UsageError` for anything but 3 or 6 finite values, or a goal out of the hand's
        reach.
        """
        if not self._takes_goals:
            return False
        self._goal = None if goal is None else self._checked(np.array(goal, dtype=np.float64))
        return True

    def render(self, height: int, width: int, camera: str | None = None) -> np.ndarray:
        index = self._camera_index(camera)
        return self._artist.draw(self._model, self._data, index, height, width)

    def find_upside_down(self, camera: str | None = None) -> str | None:
        index = self._camera_index(camera)
        return self._artist.find_upside_down(self._model, self._data, index)

    def close(self) -> None:
        self._artist.close()
        self._environment.close()

    def _camera_index(self, camera: str | None) -> int:
        return self.camera_number(camera or CAMERA)

    def _draw(self) -> np.ndarray:
        """Return the places of objects and goal that the episode begins with."""
        if self._drawn is not None:
            return self._drawn.copy()
        if self._draws == _DRAWS:
            raise UsageError(
                f"{self._id}: the goal {_goal_text(self._goal)} is too near to where the object"
                " starts; give another goal, or the goal alone without the object's start"
            )
        self._draws += 1
        space = self._environment._random_reset_space
        draw = self._random.uniform(space.low, space.high)
        if self._goal is not None:
            draw[-len(self._goal) :] = self._goal
        self._last_draw = draw.copy()
        return draw

    def _checked(self, goal: np.ndarray) -> np.ndarray:
        if goal.shape not in ((3,), (6,)) or not np.isfinite(goal).all():
            raise UsageError(
                f"{self._id}: a goal is 3 finite values in m, or 6 with the object's start first;"
                f" got {_goal_text(goal)}"
            )
        low, high = self._environment.hand_low, self._environment.hand_high
        beyond = np.maximum(low - goal[-3:], goal[-3:] - high).max()
        if beyond > _GOAL_MARGIN:
            raise UsageError(
                f"{self._id}: the goal {_goal_text(goal)} is out of reach; the hand moves within"
                f" {_goal_text(low)} to {_goal_text(high)} m"
            )
        return goal

    def _check_state(self) -> None:
        """Raise `Diverged` where MuJoCo gave up the state and began from a new one."""
        for kind in _LOST_STATE:
            if self._data.warning[kind].number:
                raise Diverged(f"NaN, infinity or huge values among its {_LOST_STATE[kind]}")


def _environment_class(name: str) -> Any:
    try:
        with backends.without_renderer():
            from metaworld.env_dict import ALL_V3_ENVIRONMENTS
    except ModuleNotFoundError as error:
        raise UsageError(
            "Meta-World is not installed; install it with: pip install 'choreo[metaworld]'"
        ) from error
    return ALL_V3_ENVIRONMENTS[f"{name}-v3"]


def _prepare_pictures(model: Any, goal_sites: list[str]) -> None:
    """Move corner2 to where the authors have it, turn hanging cameras over, hide the goal."""
    model.camera(CAMERA).pos[:] = CAMERA_POSITION
    for index in range(model.ncam):
        camera = model.camera(index)
        if model.cam_bodyid[index] == 0 and _up(camera.quat) < 0:
            w, x, y, z = camera.quat
            camera.quat[:] = (-z, y, -x, w)  # half a turn about the line of sight
    for site in goal_sites:
        model.site(site).rgba[3] = 0


def _up(quaternion: np.ndarray) -> float:
    """Height in the world that the picture's upward direction gains, from -1 to 1."""
    w, x, y, z = quaternion
    return 2 * (y * z + w * x)


def _goal_text(goal: np.ndarray | None) -> str:
    return "" if goal is None else str(np.round(goal, 3).tolist())
