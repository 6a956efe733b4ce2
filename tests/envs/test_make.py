import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from choreo.envs.base import Environment
from choreo.envs.make import list_environments, make
from choreo.envs.spaces import ArraySpec
from choreo.errors import EnvironmentMismatch, UsageError

FACTORIES = """
import gymnasium
from choreo.envs import make

def pendulum(): return gymnasium.make("Pendulum-v1")
def cart(): return gymnasium.make("CartPole-v1")
def ours(): return make("dmc:point_mass-easy", action_repeat=2)
def drawn(): return make("dmc:point_mass-easy", obs="pixels", image_size=32)
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
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"}
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
    with pytest.raises(UsageError, match="choose obs"):
        make(f"{factories}:ours", obs="pixels")


def test_a_factorys_own_view_may_be_named_again(factories: str) -> None:
    env = make(f"{factories}:drawn")
    assert make(f"{factories}:drawn", **env.spec.make_options()).spec == env.spec
    with pytest.raises(UsageError, match="image uint8"):
        make(f"{factories}:drawn", obs="pixels", image_size=64)


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("walker_rn", "walker_run"),
        ("dmc:walker-fly", "dmc:walker-walk"),
        ("jaco_reach_topleft", "jaco_reach_top_left"),
        ("mw_raech", "mw_reach"),
    ],
)
def test_an_unknown_id_names_the_nearest(id: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make(id)


def test_a_factory_without_its_module_is_told_where_it_was_looked_for() -> None:
    with pytest.raises(UsageError, match="no module 'no_such_module_here'") as refused:
        make("no_such_module_here:make")
    said = str(refused.value)
    assert f"neither installed nor in {Path.cwd()}" in said and "did you mean" not in said


PICTURED = (
    ("walker_flip", "0", 0.05),
    ("quadruped_jump", "2", 0.04),
    ("jaco_reach_bottom_right", "front_close", 0.08),
    ("point_mass_reach_top_left", "0", 0.04),
    ("dmc:cheetah-run", "0", 0.02),
)


@pytest.mark.parametrize(("name", "camera", "seconds"), PICTURED)
def test_pixels_have_the_domains_camera_and_two_frames_per_step(
    name: str, camera: str, seconds: float
) -> None:
    env = make(name, obs="pixels")
    assert env.spec.observations == {"image": ArraySpec((3, 64, 64), "uint8")}
    assert (env.spec.obs, env.spec.cameras, env.spec.action_repeat) == ("pixels", (camera,), 2)
    assert env.spec.step_seconds == pytest.approx(seconds)
    again = make(name, **env.spec.make_options())
    assert again.spec == env.spec
    assert make(name, obs="pixels", action_repeat=1).spec.action_repeat == 1


def test_a_step_of_metaworld_is_two_frames() -> None:
    assert make("mw_reach").spec.action_repeat == 2
    assert make("mw_reach", obs="pixels").spec.cameras == ("corner2",)
    assert make("mw").spec.compatible_with(make("mw_reach").spec) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"obs": "pixel"}, "states, pixels, both"),
        ({"obs": "pixels", "cameras": ("left",)}, "it has side, back"),
        ({"obs": "pixels", "image_size": 84}, "nearest is 64"),
        ({"obs": "both", "keys": ("picture",)}, "it shows observation, image"),
        ({"cameras": ("side",)}, "obs='pixels'"),
    ],
)
def test_what_cannot_be_shown_is_a_usage_error(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make("walker_run", **options)


@pytest.mark.rendering
def test_drawing_does_not_disturb_the_physics_and_pictures_follow_the_state(renderer: str) -> None:
    plain = make("quadruped_run", action_repeat=2)
    drawn = make("quadruped_run", obs="both", cameras=("x", "2"), image_size=32)
    rng = np.random.default_rng(0)
    left, right = plain.reset(5), drawn.reset(5)
    first = right.observation
    assert list(first) == ["observation", "image_x", "image_2"]
    for _ in range(10):
        action = rng.uniform(-1, 1, 12).astype(np.float32)
        left, right = plain.step(action), drawn.step(action)
        assert np.array_equal(left.observation["observation"], right.observation["observation"])
        assert left.reward == right.reward
    for key in ("image_x", "image_2"):
        assert not np.array_equal(first[key], right.observation[key])
    assert not np.array_equal(right.observation["image_x"], right.observation["image_2"])
    again = drawn.reset(5).observation
    assert all(np.array_equal(first[key], again[key]) for key in first)
    plain.close()
    drawn.close()


@pytest.mark.rendering
def test_a_gymnasium_robot_is_drawn_by_itself(renderer: str) -> None:
    env = make("gym:HalfCheetah-v5", obs="both", image_size=32)
    shown = env.reset(0).observation
    assert shown["image"].shape == (3, 32, 32) and shown["image"].std() > 10
    assert env.spec.cameras == () and shown["observation"].shape == (17,)
    env.close()
    with pytest.raises(UsageError, match="one view only"):
        make("gym:HalfCheetah-v5", obs="pixels", cameras=("track",))


def test_the_list_holds_every_family() -> None:
    listed = list_environments()
    assert "walker_run" in listed["urlb"] and "dmc:point_mass-easy" in listed["dmc"]
    assert "jaco_fixed_reach_top_left" in listed["exorl"] and "mw_reach" in listed["metaworld"]
    assert "gym:Pendulum-v1" in listed["gym"] and "gym:HalfCheetah-v5" in listed["gym"]
