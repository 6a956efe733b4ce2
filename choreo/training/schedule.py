"""Clocks of the training loops. Every count is in frames, unless the caller says otherwise."""

import time
from collections.abc import Callable, Mapping


class Every:
    """True whenever the count has passed another multiple of `every` since the last call.

    A count that jumps over several multiples gives True once. `every` 0 is never true.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._passed = 0

    def __call__(self, count: int) -> bool:
        """Whether it is time, at `count`."""
        if self.every <= 0:
            return False
        before, self._passed = self._passed, count // self.every
        return self._passed > before

    def state(self) -> dict[str, int]:
        """What a checkpoint records."""
        return {"passed": self._passed}

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on from a recorded state."""
        self._passed = state["passed"]


class Minutes:
    """True once `minutes` have passed since `restart`; 0 is never true.

    It follows the wall clock, so nothing that a run computes may depend on it.
    """

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.minutes, self._clock = minutes, clock
        self.restart()

    def __call__(self) -> bool:
        """Whether it is time."""
        return 0 < self.minutes * 60 <= self._clock() - self._began

    def restart(self) -> None:
        """Count from now on."""
        self._began = self._clock()


class Ratio:
    """How many updates are due, at one per `every` of the count after `start`.

    Nothing is lost: what a call does not reach is due at a later one, so the number of updates
    depends on the count only and not on how often the clock is asked. `every` 0 is never due.
    """

    def __init__(self, every: int, start: int = 0) -> None:
        self.every = every
        self.start = start
        self._given = 0

    def __call__(self, count: int) -> int:
        """Updates due at `count` and not given before."""
        if self.every <= 0 or count < self.start:
            return 0
        due = (count - self.start) // self.every - self._given
        self._given += max(due, 0)
        return max(due, 0)

    def state(self) -> dict[str, int]:
        """What a checkpoint records."""
        return {"given": self._given}

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on from a recorded state."""
        self._given = state["given"]
