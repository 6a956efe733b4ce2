"""What a run says of itself: first what it is about to do, and soon how long that takes."""

import logging
import time
from collections.abc import Callable, Sequence

import torch

from choreo.config import RunConfig
from choreo.envs.spaces import EnvSpec
from choreo.schema import counted

log = logging.getLogger(__name__)

MEASURED = 10  # updates after which the time of the others is estimated [ours]
LONG = 24 * 3600.0  # seconds from which on a run is called a long one [ours]
WORTH = 60.0  # seconds below which nobody needs an estimate [ours]


def tell_beginning(spec: EnvSpec, left_out: Sequence[str]) -> None:
    """Say what the agent sees, what it does not see, and how it acts."""
    seen = ", ".join(f"{key} {array}" for key, array in spec.observations.items())
    log.info("the agent sees %s", seen)
    if left_out:
        names = ", ".join(left_out)
        log.info("it does not see %s of %s: --obs and --keys choose", names, spec.id)
    numbers, frames = counted(spec.action_size, "number"), counted(spec.action_repeat, "frame")
    log.info("it acts by %s, each held for %s", numbers, frames)
    steps = spec.episode_steps
    if steps is None:
        log.info("%s has no time limit: `choreo evaluate` will want --time-limit", spec.id)
    else:
        log.info("an episode has at most %s", counted(steps, "step"))


class Outlook:
    """Says after a few updates how long a run will take, and what takes less on a CPU.

    Only the log depends on the clock, never what is computed.
    """

    def __init__(
        self,
        config: RunConfig,
        device: torch.device,
        images: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.preset, self._clock = config.preset, clock
        self.small = "cpu-pixels" if images else "cpu"
        self.heavy = device.type == "cpu" and config.preset.startswith("paper")
        self._done, self._began = 0, 0.0

    def updated(self, left: int) -> None:
        """Be told of an update, and of how many are left."""
        self._done += 1
        if self._done == 1:  # which prepares much that the others find done
            self._began = self._clock()
        if self._done != MEASURED:
            return
        seconds = (self._clock() - self._began) / (MEASURED - 1) * max(left, 0)
        if seconds >= LONG and self.heavy:
            log.warning(
                "at this pace the updates take %s: --preset %s is made for a GPU. On this CPU give "
                "--preset %s, and a new --run-dir",
                duration(seconds),
                self.preset,
                self.small,
            )
        elif seconds >= WORTH:
            log.info("at this pace the updates take %s", duration(seconds))


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{0 if seconds >= 10 * size else 1}f} {unit}"
    return f"{seconds:.0f} seconds"
