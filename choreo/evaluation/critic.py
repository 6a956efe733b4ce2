"""Whether the task's critic expects what then happens."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.signal import lfilter

from choreo.evaluation.episode import Episode

BEYOND = 0.1  # weight of what would follow a cut: states with more are left out [ours]


@dataclass(frozen=True)
class CriticCheck:
    """Means over `steps` states: the return that was expected, and that found, discounted both."""

    expected: float
    found: float
    steps: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def check_critic(episodes: Sequence[Episode], gamma: float) -> CriticCheck | None:
    """Compare values with the rewards that followed within the episode.

    As in training, the value of a state counts the reward of arriving there. After a real end
    nothing follows; where an episode was cut, states near the cut are left out. None where no state
    is left, or no episode holds values.
    """
    expected, found = [], []
    for episode in episodes:
        if episode.values.size:
            left = np.arange(episode.length, 0, -1)
            judged = (gamma**left < BEYOND) | episode.terminal
            followed = np.asarray(lfilter([1.0], [1.0, -gamma], episode.rewards[::-1]))[::-1]
            expected.append(episode.values[1:][judged])
            found.append(followed[judged])
    steps = sum(map(len, expected))
    if steps == 0:
        return None
    means = [float(np.concatenate(x).mean()) for x in (expected, found)]
    return CriticCheck(means[0], means[1], steps)
