"""What is read of an episode: names that are known, what a user asks for, what goes wrong."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from choreo.envs.spaces import RESERVED
from choreo.errors import UsageError
from choreo.schema import in_words

ACTION, REWARD, DISCOUNT = "action", "reward", "discount"
FLAGS = ("is_first", "is_last", "is_terminal")

# What URLB's and ExORL's buffers store beside observations: the simulator's state, and the skill
# or task vector of the algorithm that collected.
EXTRAS = ("physics", "skill", "task", "z", "option", "meta", "step_type", "action_repeat")

# Other names of what a step has beside observations, and of what numbers the steps.
OTHER_NAMES = {
    "rewards": REWARD,
    "discounts": DISCOUNT,
    "terminal": "is_terminal",
    "terminals": "is_terminal",
    "terminations": "is_terminal",
    "terminated": "is_terminal",
    "done": "is_last",
    "dones": "is_last",
    "timeouts": "is_last",
    "truncations": "is_last",
    "truncated": "is_last",
}
COUNTERS = (
    "timestamp", "timestamps", "timestep", "timesteps", "frame_index", "episode_index",
    "task_index", "index", "episode_id", "step_id",
)  # fmt: skip
_ACTIONS = re.compile(r"(.*[_/.])?actions?([_/.].*)?")


class BadEpisode(UsageError):
    """One episode cannot be used; the others of its set may."""

    def __init__(self, origin: str, wrong: str, remedy: str) -> None:
        super().__init__(f"{origin}: {wrong}. {remedy}, or leave it out with --skip-bad.")
        self.origin, self.wrong, self.remedy = origin, wrong, remedy


@dataclass(frozen=True)
class Reading:
    """How the arrays of an episode become observations."""

    keys: tuple[str, ...] | None = None
    """Observations to take; None takes every vector and image that is not known as something
    else."""
    keep: tuple[str, ...] = ()
    """Further arrays to store beside them, such as physics, which agents do not see."""
    image_size: int | None = None
    """Height and width images are resized to, in pixels; None leaves them as they are."""
    named: tuple[tuple[str, str], ...] = ()
    """Arrays of other names: this project's name, and that of the files."""
    copies: tuple[str, ...] | None = None
    """Arrays that hold the actions once more, as the first episode told; None looks for them."""


@dataclass
class Draft:
    """An episode on its way to `EpisodeData`."""

    origin: str
    reading: Reading
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Arrays of the file that are no observations, and why."""
    candidates: tuple[str, ...] = ()
    """Arrays that may be observations."""
    copies: tuple[str, ...] = ()
    """Arrays that hold the actions once more."""

    def bad(self, wrong: str, remedy: str = "Write it again or remove it") -> BadEpisode:
        return BadEpisode(self.origin, wrong, remedy)

    def without(self, name: str) -> str:
        """How to leave an array out: the observations that remain, as an option."""
        rest = [other for other in self.candidates if other != name]
        return f"Leave it out with --keys {' '.join(rest)}" if rest else "Give data with others"

    def leave(self, name: str, reason: str) -> None:
        """Note that an array is no observation."""
        self.left_out[name] = reason
        self.notes.append(f"'{name}' left out: {reason}")


def parse_map(pairs: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """`--map action=actions` as pairs: this project's name, and that of the files.

    Where only the second is a name that every step has, such as `actions=action`, the order is
    turned about.

    Raises:
        UsageError: a pair has not two names, or a name is given twice.
    """
    named = []
    for pair in pairs:
        own, _, other = pair.partition("=")
        if not own or not other:
            raise UsageError(f"--map has {pair!r}. Give NAME=NAME, such as --map action=actions.")
        turned = other in RESERVED and own not in RESERVED
        named.append((other, own) if turned else (own, other))
    for names in zip(*named):
        if len(set(names)) < len(names):
            raise UsageError(
                f"--map names one of {in_words(sorted(names))} twice. Give each of them once."
            )
    return tuple(named)


def renamed(raw: Mapping[str, Any], reading: Reading, origin: str) -> dict[str, Any]:
    """Arrays under the names that `--map` gives them.

    Raises:
        BadEpisode: one of the arrays that are to be named is not there.
    """
    found = dict(raw)
    for own, other in reading.named:
        if other not in raw:
            raise BadEpisode(
                origin,
                f"there is no '{other}' to take as '{own}', only {in_words(sorted(raw))}",
                "Correct --map",
            )
        found[own] = found.pop(other) if found.get(other) is raw[other] else raw[other]
    return found


def reason_by_name(name: str) -> str | None:
    """Why an array of this name is no observation, None where it may be one."""
    last = name.rsplit("/", 1)[-1]
    if name in EXTRAS:
        return "the simulator's state" if name == "physics" else "of the collector, not seen"
    if last in OTHER_NAMES:
        return f"tells of {OTHER_NAMES[last]}; take it with --map {OTHER_NAMES[last]}={name}"
    if last in COUNTERS:
        return "numbers the steps"
    if last.startswith(("next_", "next.")):
        return "what followed the step"
    return "a form of the actions" if _ACTIONS.fullmatch(last.lower()) else None


def nearest_action(names: Iterable[str]) -> str:
    """What to do where there is no `action`: the array that is most like one, if there is any."""
    names = sorted(names)
    near = [n for n in names if _ACTIONS.fullmatch(n.lower())]
    near = sorted(near, key=len) or get_close_matches(ACTION, names, n=1)
    near = near or [n for n in names if "act" in n.lower() or "command" in n.lower()]
    found = near[0] if near else "NAME"
    return f"Tell the name of its actions with --map {ACTION}={found}"
