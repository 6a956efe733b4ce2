"""Uniform sequences from a replay."""

import numpy as np

from choreo.errors import ChoreoError, UsageError
from choreo.replay.starts import EpisodeStarts, Starts, StreamStarts
from choreo.replay.storage import Replay


class SequenceSampler:
    """Draws batches of sequences, every possible start equally likely.

    Args:
        replay: where the steps are.
        batch: sequences per batch, B.
        length: steps per sequence, T.
        rng: the only source of chance.
        within_episodes: sequences end where their episode does, so that episodes shorter than one
            are never drawn (as in the authors' code). Without it a sequence may start anywhere and
            runs on into the next episode of its stream, whose beginning `is_first` marks.
    """

    def __init__(
        self,
        replay: Replay,
        batch: int,
        length: int,
        rng: np.random.Generator,
        within_episodes: bool = False,
    ) -> None:
        self.replay = replay
        self.batch = batch
        self.length = length
        self.rng = rng
        self.within_episodes = within_episodes
        self._starts: Starts = (EpisodeStarts if within_episodes else StreamStarts)(replay, length)

    def ready(self) -> bool:
        """Whether there is one whole sequence to draw."""
        return self._starts.any()

    def sample(self) -> dict[str, np.ndarray]:
        """A batch (B, T, ...) of copies.

        `is_first[:, 0]` is True, as the model starts from its zero state there.

        Raises:
            ChoreoError: there is no whole sequence yet.
        """
        return self.read(*self.draw())

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """Streams (B,) and first steps (B,) of the next batch.

        Raises:
            ChoreoError: there is no whole sequence yet.
        """
        count = self._starts.count()
        if count == 0:
            raise self._too_short()
        return self._starts.locate(self.rng.integers(count, size=self.batch))

    def read(self, streams: np.ndarray, starts: np.ndarray) -> dict[str, np.ndarray]:
        """The batch of these sequences, as `sample` gives it."""
        batch = self.replay.gather(streams, starts, self.length)
        batch["is_first"][:, 0] = True
        return batch

    def _too_short(self) -> ChoreoError:
        held = f"The replay holds {self.replay.steps_held} steps in {self.replay.streams} streams"
        if self.within_episodes and self.replay.steps_held >= self.length:
            return UsageError(
                f"{held}, and no episode of {self.length}. Give a shorter --training.length, or "
                "let sequences run on into the next episode with --training.sequences stream"
            )
        return ChoreoError(
            f"{held}; one with {self.length} is wanted. Collect more before sampling."
        )
