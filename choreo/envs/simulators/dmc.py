"""dm_control and every other `dm_env.Environment`: one flat float32 vector `observation`."""

import contextlib
import math
import types
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import dm_env
import numpy as np
from dm_control import composer, suite
from dm_control.rl import control
from dm_control.suite import common, quadruped
from dm_env import specs

from choreo.envs.rendering.artist import Artist
from choreo.envs.simulators import coordinates, joints, observed, physics_states
from choreo.envs.simulators.base import Diverged, Frame, Simulator
from choreo.envs.simulators.coordinates import NO_COORDINATES, Coordinates
from choreo.envs.simulators.layout import Layout
from choreo.envs.simulators.observed import Telling, suite_telling
from choreo.envs.simulators.values import reward_of
from choreo.errors import EnvironmentMismatch, RendererUnavailable, UsageError

# dm_control declares this bound (MuJoCo's mjMAXVAL) for an actuator without limits.
_UNLIMITED = 1e10

# Geoms that are a few pixels wide, and how many times as large films draw them. [ours]
DRAWN_LARGER = {"point_mass": {"pointmass": 3.0}}


class DmSimulator(Simulator):
    """A `dm_env.Environment` whose observations are put end to end in their own order.

    Its uint8 arrays of rank 3 are images under their own names, channels first. A last step with
    discount 0 is terminal, with any other discount it is a time limit. `frame_limit` is needed
    only where the environment does not know its own. `larger` has geoms, by name, that are drawn
    so many times as large where people look and no camera is named; `telling` is how observations
    tell the state.
    """

    def __init__(
        self,
        id: str,
        environment: dm_env.Environment,
        named: Coordinates = NO_COORDINATES,
        camera: str = "0",
        frame_limit: int | None = None,
        larger: Mapping[str, float] = types.MappingProxyType({}),
        telling: Telling | None = None,
    ) -> None:
        self.id = id
        self._telling, self._shows = telling, False
        self._larger = larger
        self._environment = environment
        self._tells_reward = False  # not yet looked at
        self._random = _find_random_state(id, environment)
        with _old_numpy_names():
            self._layout = Layout(id, environment.observation_spec())
        self._named = named
        self._artist = Artist()
        self._raw: Any = None
        self._frame = 0
        self.observations = self._layout.observations
        self.action_low, self.action_high = _action_bounds(id, environment.action_spec())
        self.frame_limit = _own_frame_limit(environment) if frame_limit is None else frame_limit
        self.frame_seconds = _frame_seconds(environment)
        self.coordinate_names = named.names
        self.cameras = _camera_names(environment)
        self.default_camera = camera if self.cameras else None

    def reset(self, seed: int) -> None:
        self._random.seed(np.array([seed & 0xFFFFFFFF, seed >> 32], dtype=np.uint32))
        with _old_numpy_names():
            self._raw = self._environment.reset().observation
        self._frame, self._shows = 0, False

    def step(self, action: np.ndarray) -> Frame:
        try:
            time_step = self._environment.step(action)
        except control.PhysicsError as error:
            raise Diverged(str(error)) from error
        self._raw = time_step.observation
        self._frame += 1
        last = time_step.last()
        terminal = last and time_step.discount == 0
        reward = reward_of(self.id, time_step.reward)
        return Frame(reward, last or self._frame == self.frame_limit, terminal)

    def observe(self) -> dict[str, np.ndarray]:
        return self._layout.read(self._raw, first=self._frame == 0)

    def coordinates(self) -> np.ndarray:
        values = coordinates.as_array(self._named, self._physics() if self._named.names else None)
        if self._shows and self._telling is not None:
            values[[name in self._telling.untold for name in self._named.names]] = np.nan
        return values

    def joints_at_limits(self) -> float:
        return joints.share_at_limits_of(getattr(self._environment, "physics", None))

    def render(self, height: int, width: int, camera: str | None = None) -> np.ndarray:
        physics = self._physics()
        index = self._camera_index(camera)
        with _drawn_larger(physics.model, self._larger if camera is None else {}):
            return self._artist.draw(physics.model.ptr, physics.data.ptr, index, height, width)

    def find_upside_down(self, camera: str | None = None) -> str | None:
        physics = self._physics()
        index = self._camera_index(camera)
        return self._artist.find_upside_down(physics.model.ptr, physics.data.ptr, index)

    def physics_state(self) -> np.ndarray | None:
        return physics_states.read(self._environment)

    def reward_at(self, physics: np.ndarray, action: np.ndarray) -> tuple[float, bool] | None:
        if not self._tells_reward:
            physics_states.check_reward(self.id, self._environment, self.reset)
            self._tells_reward = True
        return physics_states.reward_at(self._environment, physics, action)

    def set_observed(self, observation: Mapping[str, np.ndarray]) -> bool:
        vector, spec = observation.get("observation"), self.observations.get("observation")
        if self._telling is None or vector is None or spec is None:
            return False
        if np.shape(vector) != spec.shape or not np.isfinite(vector).all():
            return False
        parts = self._layout.parts(np.asarray(vector, np.float64))
        try:
            observed.put(self._telling, self._physics(), {str(k): v for k, v in parts.items()})
        except (KeyError, ValueError):  # a task of the domain that observes something else
            return False
        self._shows = True
        return True

    def close(self) -> None:
        self._artist.close()
        self._environment.close()

    def _camera_index(self, camera: str | None) -> int:
        """Return an index into the model's cameras; -1 is MuJoCo's free one."""
        name = self.default_camera if camera is None else camera
        if name is None:
            return -1
        return self.camera_number(name)

    def _physics(self) -> Any:
        physics = getattr(self._environment, "physics", None)
        if physics is None:
            raise RendererUnavailable(
                f"{type(self._environment).__name__} has no MuJoCo `physics`, so it cannot be drawn"
            )
        return physics


@contextlib.contextmanager
def _drawn_larger(model: Any, larger: Mapping[str, float]) -> Iterator[None]:
    """Let geoms, by name, be larger while they are drawn; physics never sees them so."""
    before = np.array(model.geom_size) if larger else None
    try:
        for name, times in larger.items():
            model.geom_size[model.name2id(name, "geom")] *= times
        yield
    finally:
        if before is not None:
            model.geom_size[:] = before


def suite_simulator(id: str, domain: str, task: str, time_limited: bool = True) -> DmSimulator:
    """Return a task of the dm_control suite; `time_limited` keeps the suite's own limit.

    The generator is given at once because some domains (lqr) draw their model from it.
    """
    if (domain, task) not in suite.ALL_TASKS:
        raise UsageError(f"dm_control has no task {domain}-{task}")
    options: dict[str, Any] = {"random": 0}
    if not time_limited:
        options["time_limit"] = math.inf
    load = _load_escape if (domain, task) == ("quadruped", "escape") else _load
    environment = load(domain, task, options)
    named, larger = coordinates.suite_coordinates(domain), DRAWN_LARGER.get(domain, {})
    telling = suite_telling(domain)
    return DmSimulator(id, environment, named, camera_of(domain), larger=larger, telling=telling)


class _PhysicsWithoutContexts(quadruped.Physics):
    """Quadruped physics for which no OpenGL context exists."""

    contexts = None  # type: ignore[assignment]


def _load(domain: str, task: str, options: dict[str, Any]) -> control.Environment:
    return suite.load(domain, task, task_kwargs=options)


def _load_escape(domain: str, task: str, options: dict[str, Any]) -> control.Environment:
    """Return the suite's quadruped-escape, whose own physics opens a window system on reset."""
    model = quadruped.make_model(floor_size=40, terrain=True, rangefinders=True)
    return control.Environment(
        _PhysicsWithoutContexts.from_xml_string(model, common.ASSETS),
        quadruped.Escape(random=options["random"]),
        time_limit=options.get("time_limit", 20),
        control_timestep=0.02,
    )


def suite_tasks() -> list[str]:
    """Return every task of the dm_control suite as `domain-task`."""
    return [f"{domain}-{task}" for domain, task in suite.ALL_TASKS]


def camera_of(domain: str) -> str:
    """Return the index of the camera that shows a domain best (quadruped: 2, as URLB draws it)."""
    return {"quadruped": "2"}.get(domain, "0")


@contextlib.contextmanager
def _old_numpy_names() -> Iterator[None]:
    """Hide the warning that dm_control's quadruped uses `numpy.in1d`; the versions are pinned."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`in1d` is deprecated", DeprecationWarning)
        yield


def _find_random_state(id: str, environment: dm_env.Environment) -> np.random.RandomState:
    """Return the generator that all randomness of a suite or composer environment comes from."""
    task = getattr(environment, "task", None)
    for owner, name in ((environment, "random_state"), (task, "random")):
        found = getattr(owner, name, None)
        if isinstance(found, np.random.RandomState):
            return found
    raise EnvironmentMismatch(
        f"{id} cannot be seeded: {type(environment).__name__} has neither `random_state` nor"
        " `task.random`, a numpy RandomState. Give it one, or offer a gymnasium.Env."
    )


def _action_bounds(id: str, spec: Any) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(spec, specs.Array) or spec.dtype.kind != "f" or len(spec.shape) != 1:
        raise EnvironmentMismatch(
            f"{id} takes actions {spec}. Wanted one vector of continuous values; discrete and"
            " nested actions cannot be used."
        )
    if not isinstance(spec, specs.BoundedArray):
        return np.full(spec.shape, -np.inf), np.full(spec.shape, np.inf)
    low = np.broadcast_to(spec.minimum, spec.shape).astype(np.float64)
    high = np.broadcast_to(spec.maximum, spec.shape).astype(np.float64)
    return np.where(low <= -_UNLIMITED, -np.inf, low), np.where(high >= _UNLIMITED, np.inf, high)


def _own_frame_limit(environment: dm_env.Environment) -> int | None:
    """Return the time limit in frames; dm_control keeps it only in private attributes."""
    if isinstance(environment, control.Environment):
        limit = environment._step_limit
    elif isinstance(environment, composer.Environment):
        limit = environment._time_limit / environment.control_timestep()
    else:
        return None
    return None if math.isinf(limit) else math.ceil(limit - 1e-6)


def _frame_seconds(environment: dm_env.Environment) -> float | None:
    if isinstance(environment, control.Environment | composer.Environment):
        return float(environment.control_timestep())
    return None


def _camera_names(environment: dm_env.Environment) -> tuple[str, ...]:
    """Return the names of a MuJoCo model's cameras in order, the index of one without a name."""
    physics = getattr(environment, "physics", None)
    if physics is None:
        return ()
    model = physics.model
    return tuple(model.id2name(i, "camera") or str(i) for i in range(model.ncam))
