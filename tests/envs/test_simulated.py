import math

import numpy as np
import pytest

from choreo.envs.simulated import SimulatedEnvironment
from choreo.envs.simulators.base import Diverged, Frame, Simulator
from choreo.envs.spaces import ArraySpec
from choreo.errors import EnvironmentMismatch, NotFinite, UsageError


class Counter(Simulator):
    """Shows its frame count; frame k is worth k, and the frame `ends_at` is the last."""

    def __init__(
        self,
        low: tuple[float, ...] = (-1.0,),
        high: tuple[float, ...] = (1.0,),
        ends_at: int | None = None,
        terminal: bool = True,
    ) -> None:
        self.observations = {"observation": ArraySpec((2,), "float32")}
        self.action_low, self.action_high = np.array(low), np.array(high)
        self.frame_limit = None
        self.frame_seconds = 0.1
        self.coordinate_names = ("frame",)
        self.actions: list[np.ndarray] = []
        self.shown: dict[int, float] = {}
        self.diverges_at = -1
        self._ends_at, self._terminal = ends_at, terminal
        self._frame = 0

    def reset(self, seed: int) -> None:
        self._frame = 0

    def step(self, action: np.ndarray) -> Frame:
        self._frame += 1
        self.actions.append(action.copy())
        if self._frame == self.diverges_at:
            raise Diverged("bad acceleration")
        last = self._frame == self._ends_at
        return Frame(float(self._frame), last, last and self._terminal)

    def observe(self) -> dict[str, np.ndarray]:
        value = self.shown.get(self._frame, self._frame)
        return {"observation": np.array([0.0, value], dtype=np.float32)}

    def coordinates(self) -> np.ndarray:
        return np.array([self._frame], dtype=np.float64)

    def render(self, height: int, width: int, camera: str | None = None) -> np.ndarray:
        return np.zeros((height, width, 3), dtype=np.uint8)

    def close(self) -> None:
        pass


def act(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_action_repeat_sums_rewards_and_shows_the_last_frame() -> None:
    env = SimulatedEnvironment("fake", Counter(), action_repeat=3)
    env.reset(0)
    first, second = env.step(act(0)), env.step(act(0))
    assert (first.reward, second.reward) == (1 + 2 + 3, 4 + 5 + 6)
    assert second.observation["observation"].tolist() == [0, 6]
    assert env.spec.step_seconds == pytest.approx(0.3)


def test_action_repeat_stops_at_the_end_of_the_episode() -> None:
    env = SimulatedEnvironment("fake", Counter(ends_at=4), action_repeat=3)
    env.reset(0)
    assert not env.step(act(0)).is_last
    step = env.step(act(0))
    assert step.reward == 4 and step.is_last and step.is_terminal
    with pytest.raises(ValueError, match="no open episode"):
        env.step(act(0))
    assert env.reset(0).is_first


def test_a_time_limit_is_last_but_not_terminal() -> None:
    env = SimulatedEnvironment("fake", Counter(), action_repeat=2, time_limit=3)
    env.reset(0)
    steps = [env.step(act(0)) for _ in range(3)]
    assert [step.is_last for step in steps] == [False, False, True]
    assert not any(step.is_terminal for step in steps)
    assert env.spec.episode_steps == 3


def test_termination_at_the_time_limit_stays_terminal() -> None:
    env = SimulatedEnvironment("fake", Counter(ends_at=2), time_limit=2)
    env.reset(0)
    env.step(act(0))
    step = env.step(act(0))
    assert step.is_last and step.is_terminal


def test_the_own_time_limit_is_told_in_agent_steps_rounded_up() -> None:
    simulator = Counter()
    simulator.frame_limit = 10
    assert SimulatedEnvironment("fake", simulator, action_repeat=3).spec.episode_steps == 4


def test_actions_are_scaled_to_the_declared_bounds() -> None:
    simulator = Counter(low=(-2.0, 0.0), high=(2.0, 10.0))
    env = SimulatedEnvironment("fake", simulator)
    env.reset(0)
    for action in (act(-1, -1), act(0.5, 0), act(1, 1), act(1 + 5e-6, -1 - 5e-6)):
        env.step(action)
    got = [action.tolist() for action in simulator.actions]
    assert got == [[-2, 0], [1, 5], [2, 10], [2, 0]]


@pytest.mark.parametrize("action", [act(1.01, 0), act(0, -1.01), act(math.nan, 0), act(0)])
def test_an_action_out_of_range_or_of_another_shape_is_refused(action: np.ndarray) -> None:
    env = SimulatedEnvironment("fake", Counter(low=(-1.0, -1.0), high=(1.0, 1.0)))
    env.reset(0)
    with pytest.raises(ValueError, match="fake"):
        env.step(action)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_number_names_environment_key_index_step_and_action(
    value: float,
) -> None:
    simulator = Counter()
    simulator.shown[2] = value
    env = SimulatedEnvironment("fake", simulator)
    env.reset(0)
    env.step(act(0.25))
    with pytest.raises(NotFinite) as caught:
        env.step(act(0.5))
    for part in ("fake", "'observation'", "index 1", "step 2", "[0.5]"):
        assert part in str(caught.value)


def test_a_reward_that_is_no_number_is_named() -> None:
    env = SimulatedEnvironment("fake", Counter())
    env.reset(0)
    env.simulator.step = lambda action: Frame(math.nan, False, False)  # type: ignore[method-assign]
    with pytest.raises(NotFinite, match="the reward is nan in step 1"):
        env.step(act(0))


def test_an_episode_that_diverges_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    simulator = Counter()
    simulator.diverges_at = 4
    env = SimulatedEnvironment("fake", simulator, action_repeat=2)
    env.reset(0)
    before = env.step(act(0.5))
    cut = env.step(act(0.5))
    assert before.observation["observation"].tolist() == [0, 2]
    np.testing.assert_equal(cut.observation, before.observation)
    assert cut.observation["observation"] is not before.observation["observation"]
    assert (cut.reward, cut.is_last, cut.is_terminal) == (0.0, True, False)
    assert "fake: the simulation diverged (bad acceleration) in step 2" in caplog.text
    with pytest.raises(ValueError, match="no open episode"):
        env.step(act(0))


def test_the_third_episode_in_a_row_that_diverges_is_an_error() -> None:
    simulator = Counter(ends_at=2)
    env = SimulatedEnvironment("fake", simulator)
    for diverges in (True, True, False, True, True):
        simulator.diverges_at = 1 if diverges else -1
        env.reset(0)
        assert env.step(act(0)).is_last is diverges
    env.reset(0)
    with pytest.raises(NotFinite, match=r"diverged.*in step 1 .*, as in the 2 episodes before"):
        env.step(act(0))


def test_bounds_that_cannot_be_scaled_to_are_refused() -> None:
    with pytest.raises(EnvironmentMismatch, match="unbounded"):
        SimulatedEnvironment("fake", Counter(high=(math.inf,)))
    with pytest.raises(EnvironmentMismatch, match="empty"):
        SimulatedEnvironment("fake", Counter(low=(1.0,)))
    with pytest.raises(EnvironmentMismatch, match="no action"):
        SimulatedEnvironment("fake", Counter(low=(), high=()))
    with pytest.raises(UsageError, match="action_repeat"):
        SimulatedEnvironment("fake", Counter(), action_repeat=0)


def test_a_seed_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="seed"):
        SimulatedEnvironment("fake", Counter()).reset(-1)
