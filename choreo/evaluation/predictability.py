"""Whether one can tell the skill from a state: the held-out accuracy of a simple classifier."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from choreo.errors import UsageError
from choreo.evaluation.episode import Episode

FOLDS = 4  # [ours]
SAMPLES = 4000  # states a classifier learns from, evenly spaced over the episodes [ours]


@dataclass(frozen=True)
class Predictability:
    """Held-out accuracy over all states, and over those of each skill."""

    accuracy: float
    per_skill: list[float]


def measure_predictability(
    episodes: Sequence[Episode], skills: int, folds: int = FOLDS, samples: int = SAMPLES
) -> Predictability:
    """Accuracy of multinomial logistic regression from standardised observations to the skill.

    Images count as grey pictures of 16 x 16 pixels (`Episode.flat_observations`): enough to see a
    posture, and few enough numbers for a classifier that learns from 4,000 of them.
    Cross-validated over starts: the classifier is tested on episodes, and on starts, that it has
    not seen, so neighbouring states of one episode cannot tell it the answer. Chance is 1 / skills.

    Raises UsageError when all episodes of a skill share one start.
    """
    starts = sorted({episode.start for episode in episodes})
    if len(starts) < 2:
        raise UsageError(
            "predictability is measured on episodes that were held out: play at least 2 episodes "
            f"of every skill (found {len(starts)})"
        )
    states = [episode.flat_observations()[1:] for episode in episodes]
    x = np.concatenate(states)  # (n, D)
    y = np.concatenate([np.full(len(s), e.skill) for s, e in zip(states, episodes)])
    fold_of_start = {start: n % min(folds, len(starts)) for n, start in enumerate(starts)}
    fold = np.concatenate(
        [np.full(len(s), fold_of_start[e.start]) for s, e in zip(states, episodes)]
    )
    right = np.zeros(len(y), bool)
    for number in range(fold.max() + 1):
        test = fold == number
        right[test] = _predict(x[~test], y[~test], x[test], samples) == y[test]
    return Predictability(float(right.mean()), [float(right[y == k].mean()) for k in range(skills)])


def _predict(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, samples: int) -> np.ndarray:
    """Learn from evenly spaced rows of `x` (n, D), `y` (n,), and name the skills of `x_test`."""
    rows = np.linspace(0, len(y) - 1, min(samples, len(y))).round().astype(np.int64)
    if len(np.unique(y[rows])) == 1:
        return np.full(len(x_test), y[0])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    # The products are so small that further threads would spend a hundred times as long waiting.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # 200 iterations are near enough
        classifier.fit(x[rows], y[rows])
    return classifier.predict(x_test)
