"""The goals of Meta-World reach that skills are asked to find, as the authors published them.

Source: github.com/mazpie/choreographer, mw_tasks/reach_harder (MIT), ten sets of fifty. Some lie at
the edge of where the hand can go or beyond it.
"""

import functools
import json
from collections.abc import Mapping
from importlib import resources

import numpy as np

from choreo.errors import UsageError

SETS, GOALS = 10, 50
ENVIRONMENTS = ("mw", "mw_reach")
STEPS = 250  # of an episode [paper section 4.3]
SKILL_STEPS = 50  # after which a new skill takes over [paper section 4.3]

# m; from the hand, where its position is observed, to between the fingers, which have to be at the
# goal: the mean over random motion, within 1 cm (ours).
_FINGERS = np.array([0.0, 0.005, -0.0445])


def reach_goals(number: int) -> np.ndarray:
    """Return the goals (50, 3) of a set, 0 to 9, in m in the world's frame."""
    return reach_episodes(number)[:, 3:]


def reach_episodes(number: int) -> np.ndarray:
    """Return where the object starts and the goal, (50, 6) in m, as `set_goal` takes them.

    Raises `UsageError` for a set that does not exist.
    """
    if not 0 <= number < SETS:
        raise UsageError(f"there is no goal set {number}; the sets are 0 to {SETS - 1}")
    return _read()[number].copy()


def parse_sets(text: str) -> list[int]:
    """Return the numbers that "3", "0,3" or "0..9" mean, in the order given.

    Raises `UsageError` for anything else, a set that does not exist or one named twice.
    """
    numbers = [number for part in text.split(",") for number in _parse_range(part.strip(), text)]
    for number in numbers:
        if not 0 <= number < SETS:
            raise UsageError(
                f"goal set {number} of '{text}' does not exist; the sets are 0 to {SETS - 1}"
            )
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"goal sets '{text}' name a set twice; name each once")
    return numbers


def fingers_to_goal(observation: Mapping[str, np.ndarray], goal: np.ndarray | None) -> np.ndarray:
    """Return minus the distance (N,) in m from between the fingers to the goal (3,).

    A reward for choosing skills in imagination on Meta-World from states: it reads the hand's
    position, the first three values of `observation["observation"]` (N, 39).

    Raises `UsageError` without a goal or for an agent that does not see the hand's position.
    """
    if goal is None:
        raise UsageError("fingers_to_goal needs a goal; give some, as with --goal-set 0")
    if "observation" not in observation or observation["observation"].shape[-1] != 39:
        raise UsageError(
            "fingers_to_goal reads the 39 values of Meta-World's states, which this agent does not"
            f" see; it sees {', '.join(observation)}"
        )
    fingers = observation["observation"][..., :3] + _FINGERS
    return -np.linalg.norm(fingers - goal[-3:], axis=-1)


def _parse_range(part: str, text: str) -> list[int]:
    first, dots, last = part.partition("..")
    if not first.isdecimal() or not (last if dots else "0").isdecimal():
        raise UsageError(
            f"goal sets '{text}' cannot be read: write one number (3), several (0,3) or a range"
            " (0..9)"
        )
    stop = int(last) if dots else int(first)
    if stop < int(first):
        raise UsageError(
            f"the range {part} of goal sets '{text}' runs backwards; write {stop}..{first}"
        )
    # A huge range is refused by its last number before it is spelt out.
    return [stop] if stop >= SETS else list(range(int(first), stop + 1))


@functools.cache
def _read() -> np.ndarray:
    """Return all sets, (10, 50, 6) float64."""
    text = (resources.files("choreo.envs") / "data" / "metaworld_reach_goals.json").read_text()
    sets = json.loads(text)["sets"]
    return np.array([sets[str(number)] for number in range(SETS)])
