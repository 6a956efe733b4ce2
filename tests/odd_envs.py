"""Environments that do what they should not, named `odd_envs:NAME`; each is odd in one way."""

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from choreo.envs import ArraySpec, Environment, EnvSpec, TimeStep

UNIT = spaces.Box(-1, 1, (2,), np.float32)
BOX = spaces.Box(-5, 5, (3,), np.float32)
PICTURE = spaces.Box(0, 255, (32, 32, 3), np.uint8)
ODD_STEP = 4


class Odd(gymnasium.Env):
    """Shows `shown(t)` in step t, or zeros, and pays `reward`; an episode has ten steps."""

    action_space = UNIT

    def __init__(
        self,
        space: spaces.Space = BOX,
        shown: Callable[[int], Any] = lambda t: np.zeros(3, np.float32),
        reward: Any = 0.0,
    ) -> None:
        self.observation_space, self.shown, self.reward = space, shown, reward
        self.t = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t = 0
        return self.shown(0), {}

    def step(self, action: np.ndarray) -> Any:
        self.t += 1
        return self.shown(self.t), self.reward, False, self.t >= 10, {}


def _later(usual: Any, odd: Any) -> Callable[[int], Any]:
    return lambda t: odd if t >= ODD_STEP else usual


ZEROS = np.zeros(3, np.float32)
FLOAT_PICTURE = np.linspace(0, 1, 32 * 32 * 3).reshape(32, 32, 3)


def longer() -> Odd:
    return Odd(shown=_later(ZEROS, np.zeros(4)))


def row() -> Odd:
    return Odd(shown=lambda t: np.zeros((1, 3)))


def column() -> Odd:
    return Odd(shown=_later(ZEROS, np.zeros((3, 1))))


def scalar() -> Odd:
    return Odd(spaces.Box(-1, 1, ()), lambda t: np.zeros(1))


def turned_picture() -> Odd:
    return Odd(PICTURE, lambda t: np.zeros((3, 32, 32), np.uint8))


def float_picture() -> Odd:
    return Odd(PICTURE, lambda t: FLOAT_PICTURE)


def bright_picture() -> Odd:
    return Odd(PICTURE, lambda t: np.full((32, 32, 3), 300))


def float_count() -> Odd:
    return Odd(spaces.Box(0, 9, (3,), np.int64), lambda t: np.full(3, 0.5))


def far_outside() -> Odd:
    return Odd(shown=lambda t: np.full(3, 50.0))


def complex_numbers() -> Odd:
    return Odd(shown=lambda t: np.zeros(3, np.complex64))


def text() -> Odd:
    return Odd(shown=lambda t: np.array(["a", "b", "c"]))


def nothing() -> Odd:
    return Odd(shown=lambda t: None)


def large_count() -> Odd:
    return Odd(spaces.Box(0, 2**40, (1,), np.int64), lambda t: np.array([2**33 + 1 + t]))


def missing_key() -> Odd:
    return Odd(spaces.Dict(x=BOX, y=BOX), lambda t: {"x": ZEROS})


def wrong_choice() -> Odd:
    return Odd(spaces.Discrete(3), _later(1, 3))


def no_reward() -> Odd:
    return Odd(reward=None)


def two_rewards() -> Odd:
    return Odd(reward=np.zeros(2))


class OldReset(Odd):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset()[0]


class OldStep(Odd):
    def step(self, action: np.ndarray) -> Any:
        seen, reward, _, truncated, info = super().step(action)
        return seen, reward, truncated, info


class NoSeed(Odd):
    def reset(self) -> Any:
        return super().reset()


class NeedsOptions(Odd):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.shown(options["task"]), {}


class Raises(Odd):
    def __init__(self, error: BaseException, when: int = ODD_STEP) -> None:
        super().__init__()
        self.error, self.when = error, when
        if when < 0:
            raise error

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if self.when == 0:
            raise self.error
        return super().reset()

    def step(self, action: np.ndarray) -> Any:
        if self.t + 1 == self.when:
            raise self.error
        return super().step(action)


def no_robot() -> Odd:
    return Raises(OSError(28, "No space left on device"))


def end_of_file() -> Odd:
    return Raises(EOFError("the robot hung up"))


def interrupts() -> Odd:
    return Raises(KeyboardInterrupt("the operator let go"))


def leaves() -> Odd:
    return Raises(SystemExit(3))


def value_error() -> Odd:
    return Raises(ValueError("a\nb"), when=0)


def never_made() -> Odd:
    return Raises(ConnectionError("nobody at 10.0.0.2"), when=-1)


def broken_import() -> Odd:
    import no_such_simulator  # type: ignore[import-not-found]

    return no_such_simulator.make()


class RaisesInClose(Odd):
    def close(self) -> None:
        raise OSError("the robot is gone already")


class Own(Environment):
    """An `Environment` whose arrays are `shown`; its spec names `key`."""

    def __init__(self, key: str = "x", shown: Any = ZEROS) -> None:
        array = ArraySpec((3,), "float32")
        self.spec = EnvSpec("own", {key: array}, 2, (-1, -1), (1, 1), 1, 10, (), None)
        self.key, self.shown, self.t = key, shown, 0

    def reset(self, seed: int) -> TimeStep:
        self.t = 0
        return TimeStep({self.key: ZEROS}, 0.0, True, False, False)

    def step(self, action: np.ndarray) -> TimeStep:
        self.t += 1
        shown = self.shown if self.t == ODD_STEP else ZEROS
        return TimeStep({self.key: shown}, 0.0, False, self.t == 10, False)

    def coordinates(self) -> np.ndarray:
        return np.zeros(0)

    def render(self, height: int, width: int) -> np.ndarray:
        return np.zeros((height, width, 3), np.uint8)

    def close(self) -> None:
        pass


class OwnPlaces(Own):
    """Its spec names one coordinate; it tells none."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = replace(self.spec, coordinates=("x",))


def own_dtype() -> Own:
    return Own(shown=np.zeros(3))


def own_shape() -> Own:
    return Own(shown=np.zeros((1, 3), np.float32))


def own_name() -> Own:
    return Own("action")


class Names(Odd):
    """Shows arrays under names that other things have."""

    NAMES = ("action", "reward", "discount", "is_first", "kl", "keys", "", "robot.arm", "image/x")

    def __init__(self) -> None:
        space = spaces.Dict(dict.fromkeys(self.NAMES, BOX))
        values = {name: np.full(3, i / 2, np.float32) for i, name in enumerate(self.NAMES)}
        super().__init__(space, lambda t: values)


class OldGenerator(Odd):
    """Seeds numpy's old generator, which takes 32 bits, and one more for its goal."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if seed is not None:
            self.start = np.random.RandomState(seed).uniform(-1, 1, 3)
            np.random.RandomState(seed + 1)
            np.int32(seed)
        self.t = 0
        return self.start, {}


class Chatty(Odd):
    """Prints whenever something is asked of it, and from C as well."""

    def __init__(self) -> None:
        sys.stdout.write("chatty: made\n")
        super().__init__()

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        sys.stdout.write("chatty: reset\n")
        return super().reset()

    def step(self, action: np.ndarray) -> Any:
        import ctypes

        ctypes.CDLL(None).puts(b"chatty: from C")
        ctypes.CDLL(None).fflush(None)
        return super().step(action)


def limited() -> gymnasium.Env:
    limit = gymnasium.wrappers.TimeLimit(Odd(), 7)
    return gymnasium.wrappers.TransformReward(limit, lambda reward: reward)


def twice_limited() -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(gymnasium.make("Pendulum-v1", max_episode_steps=9), 6)


class KeepsOwnLimit(gymnasium.Wrapper):
    _max_episode_steps = 8


def own_limit() -> gymnasium.Env:
    return KeepsOwnLimit(Odd())


def nested() -> Odd:
    space = spaces.Dict(goal=spaces.Dict(kettle=BOX), pair=spaces.Tuple((BOX, spaces.Discrete(3))))
    seen = {"goal": {"kettle": ZEROS + 1}, "pair": (ZEROS + 2, 2)}
    return Odd(space, lambda t: seen)


def partly_seen() -> Odd:
    space = spaces.Dict(x=BOX, words=spaces.Text(5), many=spaces.Sequence(BOX))
    return Odd(space, lambda t: {"x": ZEROS + t, "words": "hello", "many": ()})


def holds_the_lock() -> Odd:
    def shown(t: int) -> Any:
        if t >= ODD_STEP:
            import ctypes

            ctypes.PyDLL(None).sleep(60)
        return ZEROS

    return Odd(shown=shown)


class Program(Odd):
    """Starts a program and ends it in `close`."""

    def __init__(self) -> None:
        super().__init__()
        code = "import time; time.sleep(60)"
        self.program = subprocess.Popen([sys.executable, "-c", code])
        sys.stderr.write(f"program {self.program.pid}\n")

    def close(self) -> None:
        self.program.kill()
        self.program.wait()


def spins() -> Odd:
    def shown(t: int) -> Any:
        while t >= ODD_STEP and threading.main_thread().is_alive():
            pass
        return ZEROS

    return Odd(shown=shown)


def own_cheetah() -> gymnasium.Env:
    from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv

    class Robot(HalfCheetahEnv):
        pass

    return Robot(render_mode="rgb_array")
