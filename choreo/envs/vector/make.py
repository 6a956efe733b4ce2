"""A vector by the id of its environments, in this process or each in one of its own."""

from typing import Any

from choreo.envs.make import make
from choreo.envs.vector.base import VectorEnv
from choreo.envs.vector.process import ProcessVector
from choreo.envs.vector.serial import SerialVector
from choreo.errors import UsageError


def make_vector(id: str, num: int, parallel: bool, **options: Any) -> VectorEnv:
    """Make `num` environments; `options` are those of `make`.

    With `parallel` each lives in its own process. Both kinds give bitwise the same data.
    """
    if num < 1:
        raise UsageError(f"a vector needs at least one environment, got {num}")
    if not parallel:
        return SerialVector([make(id, **options) for _ in range(num)])
    return ProcessVector(id, num, **options)
