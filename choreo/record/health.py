"""What the figures of a run warn of: one function per warning, a sentence or None each."""

import math
from collections.abc import Sequence

EVEN = 0.5  # of the codes: fewer in even use are few [ours]
CERTAIN = 0.1  # of the entropy of an even choice: less is no choice any more [ours]
FALLEN = 0.3  # of the best return, and of all differences so far: more is a fall [ours]
NOTHING = 1e-4  # return that is none: less than what counts as one rewarded step [ours]
HOPED = 1 / 3  # of the larger of two discounted returns: more above what followed is a hope [ours]
LITTLE = 0.1  # discounted return: what a fresh critic may say of anything [ours]
LATER = 2  # times the first random frames: a reward that was not found by then [ours]


def few_codes(perplexity: float, codes: int) -> str | None:
    """Whether most states go to few codes; perplexity is the number of codes used alike."""
    if codes < 2 or perplexity >= EVEN * codes:
        return None
    return (
        f"few codes in use: {perplexity:.1f} of {codes}, counted as codes used alike, so that most "
        "skills stand for nothing of their own"
    )


def certain_selector(entropy: float, codes: int) -> str | None:
    """Whether the selector has come down to one skill; entropy in nats."""
    if codes < 2 or entropy >= CERTAIN * math.log(codes):
        return None
    return (
        f"the selector's entropy is {entropy:.2f} of {math.log(codes):.2f}: it takes one skill for "
        "ever and tries no other"
    )


def falling_return(returns: Sequence[float]) -> str | None:
    """Whether the last two evaluations, in order of time, lie far below the best before them."""
    if len(returns) < 3 or max(map(abs, returns)) < NOTHING:
        return None
    best, now = max(returns[:-2]), max(returns[-2:])
    if best - now <= FALLEN * max(abs(best), max(returns) - min(returns)):
        return None
    return f"the return falls: {best:.4g} at best, {returns[-2]:.4g} and {returns[-1]:.4g} at last"


def hopeful_critic(expected: float, found: float) -> str | None:
    """Whether the critic expects far more than what follows, so that policies learn from a hope.

    Both are discounted returns from the same states. Figures that are nothing, or no numbers, tell
    nothing.
    """
    most = max(abs(expected), abs(found))
    if not (math.isfinite(most) and most >= LITTLE and expected - found > HOPED * most):
        return None
    return (
        f"the critic expects a discounted return of {expected:.4g} where {found:.4g} follows in "
        "the simulator: the agent learns from a hope"
    )


def no_sequence(frames: int, random_frames: int) -> str | None:
    """Whether a run that still holds no whole sequence has gone on for too long."""
    if frames < LATER * max(random_frames, 1):
        return None
    return (
        f"nothing learned in {frames:,} frames: no episode holds a whole sequence; give a shorter "
        "--training.length, or --training.sequences stream"
    )


def missing_reward(found: bool, frames: int, random_frames: int) -> str | None:
    """Whether fine-tuning has still not met the reward, so that nothing adapts to the task."""
    if found or frames < LATER * max(random_frames, 1):
        return None
    return f"no reward found in {frames:,} frames: the task is not being learned"
