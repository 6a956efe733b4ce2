import subprocess
import sys
from typing import Any

import dm_env
import numpy as np
import pytest
from dm_env import specs

from choreo.envs.make import make
from choreo.envs.simulated import SimulatedEnvironment
from choreo.envs.simulators.dmc import DmSimulator
from choreo.errors import EnvironmentMismatch, RendererUnavailable


class Fake(dm_env.Environment):
    """Two observations, one a matrix; ends with `discount` in its second step."""

    def __init__(self, discount: float = 1.0, action_spec: Any = None) -> None:
        self.random_state = np.random.RandomState(0)
        self._discount = discount
        self._steps = 0
        self._action_spec = action_spec or specs.BoundedArray((1,), float, -1.0, 1.0)

    def reset(self) -> dm_env.TimeStep:
        self._steps = 0
        return dm_env.restart(self._show())

    def step(self, action: np.ndarray) -> dm_env.TimeStep:
        self._steps += 1
        kind = dm_env.StepType.LAST if self._steps == 2 else dm_env.StepType.MID
        discount = self._discount if self._steps == 2 else 1.0
        return dm_env.TimeStep(kind, 0.5, discount, self._show())

    def observation_spec(self) -> Any:
        return {"z": specs.Array((2, 2), float), "a": specs.Array((), float)}

    def action_spec(self) -> Any:
        return self._action_spec

    def _show(self) -> dict[str, Any]:
        return {"z": np.array([[1.0, 2.0], [3.0, 4.0]]), "a": self.random_state.uniform()}


def wrap(env: dm_env.Environment) -> SimulatedEnvironment:
    return SimulatedEnvironment("fake", DmSimulator("fake", env))


def test_observations_are_put_end_to_end_in_their_own_order() -> None:
    observation = wrap(Fake()).reset(3).observation
    assert list(observation) == ["observation"]
    assert observation["observation"].dtype == np.float32
    assert observation["observation"][:4].tolist() == [1, 2, 3, 4]
    assert observation["observation"].shape == (5,)


class Seeing(Fake):
    """Shows an image beside its vectors."""

    spec: Any = specs.Array((32, 32, 3), np.uint8)

    def observation_spec(self) -> Any:
        return {**super().observation_spec(), "eye": self.spec}

    def _show(self) -> dict[str, Any]:
        image = np.zeros((32, 32, 3), np.uint8)
        image[..., 2] = np.arange(32)
        return {**super()._show(), "eye": image}


def test_own_images_keep_their_name_and_come_channels_first() -> None:
    env = wrap(Seeing())
    assert str(env.spec.observations["eye"]) == "uint8[3, 32, 32]"
    shown = env.reset(0).observation
    assert shown["observation"].shape == (5,) and shown["eye"].shape == (3, 32, 32)
    assert shown["eye"][2, 7].tolist() == list(range(32)) and not shown["eye"][0].any()


def test_images_that_no_agent_can_take_are_refused_in_words() -> None:
    env = Seeing()
    for spec, words in (
        (specs.Array((64, 64, 3), np.float32), r"255 \* image"),
        (specs.Array((4, 64, 64, 3), np.uint8), "not a stack"),
        (specs.Array((84, 84, 3), np.uint8), "give 64 x 64"),
    ):
        env.spec = spec
        with pytest.raises(EnvironmentMismatch, match=words):
            wrap(env)


def test_an_environment_without_physics_cannot_be_drawn() -> None:
    env = wrap(Fake())
    env.reset(0)
    with pytest.raises(RendererUnavailable, match="no MuJoCo"):
        env.render(8, 8)


@pytest.mark.parametrize(("discount", "terminal"), [(1.0, False), (0.0, True), (0.9, False)])
def test_only_discount_zero_at_the_last_step_is_terminal(discount: float, terminal: bool) -> None:
    env = wrap(Fake(discount))
    env.reset(0)
    action = np.zeros(1, dtype=np.float32)
    assert not env.step(action).is_last
    step = env.step(action)
    assert step.is_last and step.is_terminal == terminal


def test_all_bits_of_a_seed_count() -> None:
    env = wrap(Fake())
    starts = [env.reset(seed).observation["observation"][4] for seed in (5, 5, 5 + 2**40)]
    assert starts[0] == starts[1] != starts[2]


def test_discrete_unbounded_and_unseedable_environments_are_refused() -> None:
    with pytest.raises(EnvironmentMismatch, match="discrete"):
        wrap(Fake(action_spec=specs.DiscreteArray(3)))
    with pytest.raises(EnvironmentMismatch, match="unbounded"):
        wrap(Fake(action_spec=specs.Array((1,), float)))
    unseedable = Fake()
    del unseedable.random_state
    with pytest.raises(EnvironmentMismatch, match="seeded"):
        wrap(unseedable)


def test_the_suites_unlimited_actuators_are_unbounded() -> None:
    with pytest.raises(EnvironmentMismatch, match="unbounded"):
        make("dmc:lqr-lqr_2_1")


def test_the_suites_time_limit_can_be_shortened_and_replaced() -> None:
    assert make("dmc:point_mass-easy").spec.episode_steps == 1000
    assert make("dmc:point_mass-easy", action_repeat=3).spec.episode_steps == 334
    env = make("dmc:point_mass-easy", time_limit=1005)
    env.reset(0)
    steps = [env.step(np.zeros(2, dtype=np.float32)) for _ in range(1005)]
    assert [index for index, step in enumerate(steps) if step.is_last] == [1004]
    assert not steps[-1].is_terminal


def test_a_task_whose_physics_asks_for_a_window_runs_without_one() -> None:
    env = make("dmc:quadruped-escape")
    first, again = env.reset(4), env.reset(4)
    assert np.array_equal(first.observation["observation"], again.observation["observation"])


def test_states_never_import_opengl_and_the_package_is_quick_to_import() -> None:
    code = """
import sys
import choreo.envs
assert not {"dm_control", "mujoco", "gymnasium", "torch"} & set(sys.modules)
import numpy as np
for name in ("dmc:point_mass-easy", "jaco", "gym:Pendulum-v1"):
    env = choreo.envs.make(name)
    env.reset(0)
    env.step(np.zeros(env.spec.action_size, dtype=np.float32))
    env.close()
assert not [name for name in sys.modules if name.startswith(("OpenGL", "glfw", "torch"))]
"""
    environment = {"PYTHONPATH": ":".join(sys.path), "MUJOCO_GL": "egl", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
