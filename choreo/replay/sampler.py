"""Uniform sequences from a replay."""

import numpy as np

from choreo.errors import ChoreoError
from choreo.replay.storage import Replay


class SequenceSampler:
    """Draws batches of sequences, every possible start equally likely.

    A sequence may start anywhere in an episode and runs on in the order of its stream, across
    episode ends, where `is_first` marks the next beginning (as the authors' code chains them).

    Args:
        replay: where the steps are.
        batch: sequences per batch, B.
        length: steps per sequence, T.
        rng: the only source of chance.
    """

    def __init__(self, replay: Replay, batch: int, length: int, rng: np.random.Generator) -> None:
        self.replay = replay
        self.batch = batch
        self.length = length
        self.rng = rng

    def ready(self) -> bool:
        """Whether any stream is long enough for one sequence."""
        return bool(self._starts().any())

    def sample(self) -> dict[str, np.ndarray]:
        """A batch (B, T, ...) of copies.

        `is_first[:, 0]` is True, as the model starts from its zero state there.

        Raises:
            ChoreoError: no stream holds a whole sequence yet.
        """
        return self.read(*self.draw())

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """Streams (B,) and first steps (B,) of the next batch.

        Raises:
            ChoreoError: no stream holds a whole sequence yet.
        """
        ends = np.cumsum(self._starts())  # (streams,): valid starts up to and with each stream
        if ends[-1] == 0:
            raise ChoreoError(
                f"The replay holds {self.replay.steps_held} steps in {self.replay.streams} "
                f"streams; one with {self.length} is wanted. Collect more before sampling."
            )
        draws = self.rng.integers(ends[-1], size=self.batch)
        streams = np.searchsorted(ends, draws, side="right")  # (B,)
        last, stop = ends[streams], self.replay.bounds()[1][streams]
        return streams, stop - self.length - (last - 1 - draws)

    def read(self, streams: np.ndarray, starts: np.ndarray) -> dict[str, np.ndarray]:
        """The batch of these sequences, as `sample` gives it."""
        batch = self.replay.gather(streams, starts, self.length)
        batch["is_first"][:, 0] = True
        return batch

    def _starts(self) -> np.ndarray:
        """Valid starts of every stream: (streams,) int64."""
        start, stop = self.replay.bounds()
        return np.maximum(stop - start - self.length + 1, 0)
