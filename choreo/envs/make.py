"""From an id to an environment, and from a wrong id to the nearest right ones."""

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, get_args

from choreo.envs.base import Environment
from choreo.envs.foreign import Foreign
from choreo.envs.own import OwnEnvironment
from choreo.envs.rendering import backends
from choreo.envs.rendering.view import View
from choreo.envs.simulated import SimulatedEnvironment
from choreo.envs.simulators.base import Simulator
from choreo.envs.spaces import EnvSpec, Obs
from choreo.errors import EnvironmentMismatch, RendererUnavailable, UsageError

# A domain alone stands for this task, as the authors of Choreographer pre-train
# (github.com/mazpie/choreographer, dmc_benchmark.py).
DOMAIN_TASKS = {
    "walker": "walker_stand",
    "quadruped": "quadruped_walk",
    "jaco": "jaco_reach_top_left",
    "jaco_fixed": "jaco_fixed_reach_top_left",
}
_TARGETS = ("top_left", "top_right", "bottom_left", "bottom_right")
URLB_TASKS = (
    *(f"walker_{task}" for task in ("stand", "walk", "run", "flip")),
    *(f"quadruped_{task}" for task in ("stand", "walk", "run", "jump")),
    *(f"jaco_reach_{target}" for target in _TARGETS),
)
# Ours: goals for a point mass, sparse and sloping ones, and all of them as one domain.
GOAL_DOMAIN = "point_mass"
SLOPING_TASKS = tuple(f"point_mass_go_{target}" for target in _TARGETS)
GOAL_TASKS = (*(f"point_mass_reach_{target}" for target in _TARGETS), *SLOPING_TASKS)
METAWORLD, _METAWORLD_TASK = "mw", "reach"
EXORL_TASKS = tuple(f"jaco_fixed_reach_{target}" for target in _TARGETS)


def make(
    id: str,
    obs: Obs = "states",
    action_repeat: int | None = None,
    time_limit: int | None = None,
    image_size: int = 64,
    cameras: Sequence[str] = (),
    keys: Sequence[str] = (),
) -> Environment:
    """Make the environment that `id` names.

    Ids: a URLB domain (`walker`: the task it is pre-trained on), a URLB task (`walker_run`), a
    point mass with sparse goals (`point_mass`, `point_mass_reach_top_left`) or such whose reward
    slopes over the arena (`point_mass_go_top_left`),
    ExORL's jaco with a fixed, unobserved target (`jaco_fixed_reach_top_left`), a task of Meta-World
    (`mw_reach`), a dm_control suite task (`dmc:point_mass-easy`), a Gymnasium id
    (`gym:Pendulum-v1`) or `module:factory`, a function without arguments that returns a
    gymnasium.Env, a dm_env.Environment or an `Environment` of this library.

    `obs` is what the agent sees: "states" the environment's own observations, images among them
    included, "pixels" pictures drawn of it, "both" all of them. Pictures are uint8 (3, S, S) with S
    = `image_size` (32, 64 or 128), from `cameras` (names, or indices in digits; none: the one that
    shows the domain best), under the key "image", or "image_<camera>" where there are several.
    `keys` are the observations to show, all when empty.

    `action_repeat`, when not given, is 1 frame per agent step from states, 2 with pictures and in
    Meta-World. `time_limit`, in agent steps, replaces the environment's own. A factory's own limit
    cannot be lifted and the shorter one counts.

    Raises `UsageError` for an unknown id, camera or key, `EnvironmentMismatch` for an environment
    that does not fit and `EnvironmentFailed` where its own code raises an error.
    """
    if obs not in get_args(Obs):
        raise UsageError(f"obs is one of {', '.join(get_args(Obs))}, got {obs!r}")
    with Foreign(id)("while it was made"):
        made = _make_own(id, time_limited=time_limit is None, keys=tuple(keys), obs=obs)
        if isinstance(made, Environment):
            _check_unchanged(id, made.spec, action_repeat, time_limit)
            _check_same_view(id, made.spec, obs, image_size, tuple(cameras), tuple(keys))
            return made
        view = View(id, made, obs, image_size, tuple(cameras), tuple(keys))
        repeat = _usual_repeat(id, obs) if action_repeat is None else action_repeat
        return SimulatedEnvironment(id, made, repeat, time_limit, view)


def _make_own(
    id: str, time_limited: bool, keys: tuple[str, ...], obs: Obs
) -> Simulator | Environment:
    """Return what the id names: one of our simulators, or an environment that is complete."""
    if ":" not in id or id.startswith("dmc:"):
        return _make_known(id, time_limited)
    if obs != "states":
        # Before anything that draws is imported; one that draws without MuJoCo needs none.
        with suppress(RendererUnavailable):
            backends.choose_backend()
    if id.startswith("gym:"):
        return _make_gym(id, time_limited, keys)
    made = _call_factory(id)
    if isinstance(made, SimulatedEnvironment | OwnEnvironment):
        return made
    return OwnEnvironment(id, made) if isinstance(made, Environment) else _wrap(id, made, keys)


def list_environments() -> dict[str, list[str]]:
    """Return the ids that can be made without code of one's own, by family."""
    from choreo.envs.simulators import gym

    listed = {
        "urlb": [*DOMAIN_TASKS, *URLB_TASKS],
        "exorl": list(EXORL_TASKS),
        "goals": [GOAL_DOMAIN, *GOAL_TASKS],
        "dmc": [f"dmc:{name}" for name in _dmc().suite_tasks()],
        "gym": [f"gym:{name}" for name in gym.continuous_ids()],
    }
    if importlib.util.find_spec("metaworld") is not None:
        listed["metaworld"] = [f"{METAWORLD}_{name}" for name in _metaworld().tasks()]
    return listed


def names_code(id: str) -> bool:
    """Whether to make this environment is to import a module that its id names."""
    family, colon, name = id.partition(":")
    return bool(colon) and (":" in name if family == "gym" else family != "dmc")


def _usual_repeat(id: str, obs: Obs) -> int:
    """Return the benchmarks' frames per agent step (URLB and Meta-World, paper appendix)."""
    return 1 if obs == "states" and not _is_metaworld(id) else 2


def _is_metaworld(id: str) -> bool:
    return id == METAWORLD or id.startswith(f"{METAWORLD}_")


def _make_known(id: str, time_limited: bool) -> Simulator:
    if id.startswith("dmc:"):
        return _make_suite(id, time_limited)
    if _is_metaworld(id):
        task = id.removeprefix(METAWORLD).removeprefix("_") or _METAWORLD_TASK
        return _metaworld().make_metaworld(id, task, time_limited)
    if id == GOAL_DOMAIN or id in GOAL_TASKS:
        return _make_goal(id, time_limited)
    return _make_urlb(id, DOMAIN_TASKS.get(id, id), time_limited)


def _make_urlb(id: str, task: str, time_limited: bool) -> Simulator:
    if task not in URLB_TASKS and task not in EXORL_TASKS:
        raise _unknown(id)
    with backends.without_renderer():
        from choreo.envs.simulators import urlb
    domain, rest = task.split("_", 1)
    if domain == "walker":
        return urlb.make_walker(id, rest, time_limited)
    if domain == "quadruped":
        return urlb.make_quadruped(id, rest, time_limited)
    fixed_site = rest.startswith("fixed_")
    target = rest.removeprefix("fixed_").removeprefix("reach_")
    return urlb.make_jaco(id, target, fixed_site, time_limited)


def _make_goal(id: str, time_limited: bool) -> Simulator:
    with backends.without_renderer():
        from choreo.envs.simulators import goals
    if id == GOAL_DOMAIN:
        start, margin, corner = goals.ANYWHERE, goals.SPARSE, _TARGETS[0]
    else:
        start, margin = goals.MIDDLE, goals.SLOPING if id in SLOPING_TASKS else goals.SPARSE
        corner = id.removeprefix("point_mass_reach_").removeprefix("point_mass_go_")
    return goals.make_point_mass(id, corner, start, margin, time_limited)


def _make_suite(id: str, time_limited: bool) -> Simulator:
    name = id.removeprefix("dmc:")
    dmc = _dmc()
    if name not in dmc.suite_tasks():
        raise _unknown(id)
    domain, task = name.split("-", 1)
    return dmc.suite_simulator(id, domain, task, time_limited)


def _make_gym(id: str, time_limited: bool, keys: tuple[str, ...]) -> Simulator:
    from choreo.envs.simulators import gym

    with backends.without_renderer(), _working_directory_first():
        environment = gym.make_gym(id.removeprefix("gym:"), time_limited)
    return gym.GymSimulator(id, environment, keys)


def _metaworld() -> Any:
    with backends.without_renderer():
        from choreo.envs.simulators import metaworld
    return metaworld


def _dmc() -> Any:
    with backends.without_renderer():
        from choreo.envs.simulators import dmc
    return dmc


def _call_factory(id: str) -> Any:
    """Import the module, also from the working directory, and call the factory."""
    module_name, factory_name = id.split(":", 1)
    if not all(part.isidentifier() for part in (*module_name.split("."), factory_name)):
        raise _unknown(id, " (a factory is named as module:function)")
    with _working_directory_first():
        return _find_factory(id, module_name, factory_name)()


def _find_factory(id: str, module_name: str, factory_name: str) -> Callable[[], Any]:
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # what the module itself imports
        where = f"no module '{error.name}', neither installed nor in {Path.cwd()}"
        raise _unknown(id, f" ({where})", cutoff=0.7) from error
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise UsageError(f"{id}: the module '{module_name}' has no function '{factory_name}'")
    return factory


@contextmanager
def _working_directory_first() -> Iterator[None]:
    """Find modules in the working directory first; afterwards last, behind all that is installed.

    So a file of the user's that is called as a module of Python's or of a package does not replace
    that in what is imported later.
    """
    here = str(Path.cwd())
    if here in sys.path[:1] or "" in sys.path:
        yield
        return
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
        if here not in sys.path:
            sys.path.append(here)


def _wrap(id: str, made: Any, keys: tuple[str, ...]) -> Simulator:
    import gymnasium

    if isinstance(made, gymnasium.Env):
        from choreo.envs.simulators import gym

        return gym.GymSimulator(id, made, keys)
    dmc = _dmc()
    import dm_env

    if isinstance(made, dm_env.Environment):
        return dmc.DmSimulator(id, made)
    raise EnvironmentMismatch(
        f"{id} returned a {type(made).__name__}; wanted a gymnasium.Env, a dm_env.Environment or"
        " a choreo.envs.Environment."
    )


def _check_unchanged(
    id: str, spec: EnvSpec, action_repeat: int | None, time_limit: int | None
) -> None:
    if action_repeat not in (None, spec.action_repeat) or time_limit is not None:
        raise UsageError(
            f"{id} returned a choreo Environment, which has its own action repeat and time limit;"
            " set them in the factory."
        )


def _check_same_view(
    id: str,
    spec: EnvSpec,
    obs: Obs,
    image_size: int,
    cameras: tuple[str, ...],
    keys: tuple[str, ...],
) -> None:
    same_size = obs == "states" or image_size == spec.image_size
    same_keys = not keys or set(keys) == spec.observations.keys()
    if obs in ("states", spec.obs) and cameras in ((), spec.cameras) and same_size and same_keys:
        return
    raise UsageError(
        f"{id} returned a choreo Environment, which shows what its factory chose"
        f" ({', '.join(f'{key} {array}' for key, array in spec.observations.items())}); choose obs,"
        " image_size, cameras and keys in the factory."
    )


def _unknown(id: str, detail: str = "", cutoff: float = 0.4) -> UsageError:
    known = [name for names in list_environments().values() for name in names]
    near = difflib.get_close_matches(id, known, n=3, cutoff=cutoff)
    hint = f"did you mean {', '.join(near)}?" if near else "`choreo env list` shows all."
    return UsageError(f"unknown environment '{id}'{detail}; {hint}")
