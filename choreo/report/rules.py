"""When a figure is good and when it is bad: one rule each, for cells, sentences and docs alike."""

from collections.abc import Sequence
from dataclasses import dataclass

from choreo.evaluation.evaluate import Evaluation
from choreo.viz import Tone

CLEARLY = 1.2  # how many times a control's cells good coverage has at least [ours]
ALIKE = 0.05  # a ratio that is no further from 1 makes no difference [ours]
SURELY = 0.8  # share of the lazy guess's error that a good model makes at most [ours]
USED, EVEN, CROWDED = 0.9, 0.75, 0.5  # shares of the codes, see `codebook_tone` [ours]

FOUND: dict[Tone, str] = {"good": "good", "neutral": "unclear", "bad": "bad"}
"""The word for each colour, as no finding is told by colour alone."""


@dataclass(frozen=True)
class Rule:
    """What makes a figure good and what makes it bad, in words; all else is unclear."""

    good: str
    bad: str


RULES = {
    "coverage": Rule(
        "at least 1.2 times the cells of both controls", "fewer cells than one of the controls"
    ),
    "share": Rule(
        "at least twice the best of both controls and chance, or half way from it to 100%",
        "not above all of them",
    ),
    "codebook": Rule(
        "at least 90% of the codes in use, as evenly as 75% of them used alike",
        "as unevenly as less than half of them used alike",
    ),
    "model_error": Rule(
        "at most 0.8 times the lesser of what “nothing changes” and the untrained model make, "
        "and below 1",
        "not below both",
    ),
    "goal": Rule(
        "nearer at the end than random actions, and among the nearest quarter of the skills",
        "not nearer than random actions",
    ),
    "returns": Rule("the 95% intervals lie apart, above", "the 95% intervals lie apart, below"),
}


def coverage_tone(own: float, controls: Sequence[float]) -> Tone:
    """The rule "coverage" for cells."""
    ratio = own / max(*controls, 1)
    return "good" if ratio >= CLEARLY else "bad" if ratio <= 1 - ALIKE else "neutral"


def share_tone(own: float | None, others: Sequence[float | None]) -> Tone:
    """The rule "share" for a share of 1, against controls and chance."""
    if own is None:
        return "neutral"
    best = max(0.0 if other is None else other for other in others)
    if own <= best:
        return "bad"
    return "good" if own >= min(2 * best, (1 + best) / 2) else "neutral"


def codebook_tone(used: float, perplexity: float, codes: int) -> Tone:
    """The rule "codebook" for the share of codes in use and their perplexity."""
    if perplexity < CROWDED * codes:
        return "bad"
    return "good" if used >= USED and perplexity >= EVEN * codes else "neutral"


def error_tone(own: float, still: float, fresh: float) -> Tone:
    """The rule "model_error", where 1 is always guessing the mean."""
    lazy = min(still, fresh)
    if not own < lazy:
        return "bad"
    return "good" if own <= SURELY * lazy and own < 1 else "neutral"


def goal_tone(own: float, chance: float, place: int, skills: int) -> Tone:
    """The rule "goal" for distances to a goal and the chosen skill's place among all."""
    if own >= chance:
        return "bad"
    return "good" if place <= max(1, skills // 4) else "neutral"


def returns_tone(own: Evaluation, control: Evaluation) -> Tone:
    """The rule "returns" for mean returns of two agents."""
    high, low = own.interval95, control.interval95
    if high is None or low is None:
        return "neutral"
    return "good" if high[0] > low[1] else "bad" if high[1] < low[0] else "neutral"
