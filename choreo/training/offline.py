"""Training from recorded data alone: no environment, and clocks that count updates."""

from typing import Any

from torch import Tensor

from choreo.config import OfflineConfig
from choreo.record import RunFolder
from choreo.replay import Replay
from choreo.training.trainer import Parts, Trainer


class OfflineTrainer(Trainer):
    """Learns world model, codebook and skills from a replay that is only read."""

    counted = "updates"

    def __init__(self, config: OfflineConfig, run: RunFolder, parts: Parts, replay: Replay) -> None:
        super().__init__(config, run, parts, replay, replay.steps_held)
        self.total = config.updates

    @property
    def count(self) -> int:
        return self.learner.updates

    @property
    def planned_updates(self) -> int:
        return self.total

    def counters(self) -> dict[str, int]:
        return {"updates": self.learner.updates}

    def begin(self) -> None:
        """Nothing has to be begun: the data are there."""

    def round(self) -> None:
        """One update."""
        self.update()

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Nothing but what every loop restores."""
