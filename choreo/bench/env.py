"""Frames per second of environments, alone and several at once, with and without pictures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import tyro

from choreo.bench.machine import at_least, machine
from choreo.bench.processes import together
from choreo.bench.stepping import frames_per_second
from choreo.envs.make import make
from choreo.envs.rendering import backends
from choreo.errors import ChoreoError, UsageError

What = Literal["states", "egl", "osmesa"]


@dataclass(frozen=True)
class EnvBenchConfig:
    """Frames per second of environments with random actions."""

    envs: Annotated[tuple[str, ...], tyro.conf.Positional] = ("walker",)
    """Environments."""
    counts: tuple[int, ...] = (1, 2, 4)
    """How many are stepped together: one in the measuring process, several each in its own."""
    what: tuple[What, ...] = ()
    """What the agent sees: states, or pictures drawn with EGL or OSMesa; none given is states and
    whatever draws here."""
    action_repeat: int | None = None
    """Frames per step; None is what training takes: 1 from states, 2 with pictures."""
    image_size: int = 64
    """Height and width of the pictures: 32, 64 or 128."""
    seconds: float = 3.0
    """Seconds of each measurement."""
    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True)
class EnvRate:
    """Frames per second of all environments together, or what stood against it."""

    env: str
    what: What
    count: int
    frames_per_second: float | None
    failure: str | None = None


@dataclass(frozen=True)
class EnvRates:
    """One rate for every environment, what is seen of it, and number of them."""

    machine: str
    seconds: float
    rows: list[EnvRate]

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)


def bench_env(config: EnvBenchConfig) -> EnvRates:
    """Measure every combination in a fresh process, since a process draws with one back end only.

    Raises UsageError for environments that there are not, and for counts below 1.
    """
    at_least("counts", min(config.counts, default=0), 1)
    if config.seconds <= 0:
        raise UsageError(f"--seconds {config.seconds}: a measurement needs some time, such as 3")
    for env in config.envs:
        make(env).close()
    rows = [
        _measured(config, env, what, count)
        for env in config.envs
        for what in config.what or ("states", *_that_draw())
        for count in config.counts
    ]
    return EnvRates(machine(), config.seconds, rows)


def _that_draw() -> Sequence[What]:
    names: tuple[What, ...] = ("egl", "osmesa")
    return [name for name in names if backends.try_backend(name).failure is None]


def _measured(config: EnvBenchConfig, env: str, what: What, count: int) -> EnvRate:
    options: dict[str, Any] = {"obs": "states", "action_repeat": config.action_repeat}
    if what != "states":
        options |= {"obs": "pixels", "image_size": config.image_size}
    backend = None if what == "states" else what
    try:
        rate = together(frames_per_second, [(env, count, options, backend, config.seconds)])[0]
    except UsageError:
        raise
    except ChoreoError as error:
        return EnvRate(env, what, count, None, str(error))
    return EnvRate(env, what, count, rate)
