import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from choreo.envs.base import Environment
from choreo.envs.make import list_environments, make
from choreo.errors import EnvironmentMismatch, UsageError

FACTORIES = """
import gymnasium
from choreo.envs import make

def pendulum(): return gymnasium.make("Pendulum-v1")
def cart(): return gymnasium.make("CartPole-v1")
def ours(): return make("dmc:point_mass-easy", action_repeat=2)
def nothing(): return 3
def suite():
    from dm_control import suite
    return suite.load("cartpole", "swingup")
"""


@pytest.fixture(scope="module")
def factories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "own_environments.py").write_text(FACTORIES)
    sys.path.insert(0, str(folder))
    yield "own_environments"
    sys.path.remove(str(folder))


def run(env: Environment, seed: int, steps: int = 30) -> str:
    """Return a digest of an episode: every observation, reward and coordinate."""
    rng = np.random.default_rng(1)
    digest = hashlib.sha256(env.reset(seed).observation["observation"].tobytes())
    for _ in range(steps):
        step = env.step(rng.uniform(-1, 1, env.spec.action_size).astype(np.float32))
        digest.update(step.observation["observation"].tobytes())
        digest.update(np.float64(step.reward).tobytes() + env.coordinates().tobytes())
    return digest.hexdigest()


DETERMINISTIC = (
    "walker_flip",
    "quadruped_jump",
    "jaco_reach_top_left",
    "jaco_fixed_reach_top_left",
    "dmc:point_mass-hard",
    "dmc:reacher-easy",
    "dmc:cheetah-run",
    "gym:Pendulum-v1",
)


def test_a_seed_gives_the_same_episode_after_others_and_in_another_process() -> None:
    here = []
    for name in DETERMINISTIC:
        env = make(name)
        run(env, 9, steps=7)
        run(env, 10, steps=20)
        here.append(run(env, 2**40 + 3))
        assert run(env, 4) != here[-1]
        env.close()
    code = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("test_make", {str(Path(__file__))!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
for name in module.DETERMINISTIC:
    print(module.run(module.make(name), 2**40 + 3))
"""
    environment = {"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == here


def test_factories_may_return_each_kind_of_environment(factories: str) -> None:
    assert make(f"{factories}:pendulum", action_repeat=2).spec.episode_steps == 100
    suite = make(f"{factories}:suite", time_limit=7)
    assert suite.spec.episode_steps == 7 and suite.spec.action_size == 1
    assert make(f"{factories}:ours").spec.action_repeat == 2


def test_factories_that_do_not_fit_are_refused(factories: str) -> None:
    with pytest.raises(EnvironmentMismatch, match="discrete"):
        make(f"{factories}:cart")
    with pytest.raises(EnvironmentMismatch, match="returned a int"):
        make(f"{factories}:nothing")
    with pytest.raises(UsageError, match="no function 'absent'"):
        make(f"{factories}:absent")
    with pytest.raises(UsageError, match="set them in the factory"):
        make(f"{factories}:ours", action_repeat=1)


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("walker_rn", "walker_run"),
        ("dmc:walker-fly", "dmc:walker-walk"),
        ("jaco_reach_topleft", "jaco_reach_top_left"),
        ("no_such_module_here:make", "no module 'no_such_module_here'"),
        ("mw_reach", "not built yet"),
    ],
)
def test_an_unknown_id_names_the_nearest(id: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make(id)


def test_pixels_are_not_built_yet() -> None:
    with pytest.raises(UsageError, match="not built yet"):
        make("walker_run", obs="pixels")


def test_the_list_holds_every_family() -> None:
    listed = list_environments()
    assert "walker_run" in listed["urlb"] and "dmc:point_mass-easy" in listed["dmc"]
    assert "jaco_fixed_reach_top_left" in listed["exorl"]
    assert "gym:Pendulum-v1" in listed["gym"] and "gym:HalfCheetah-v5" in listed["gym"]
