"""A choreography: skills one after the other, as a small file that gives the same film again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from choreo.agent import Agent, find_checkpoint
from choreo.errors import CheckpointError, UsageError
from choreo.record import checkpoint
from choreo.schema import Listed, Maybe, Whole, parse, plain_bytes, problem

MOST_MOVES = 1000
MOST_STEPS = 100_000  # of a whole score, all repeats together
MOST_BYTES = 2**20  # of its file
HASH = 64  # hexadecimal digits

Begin = Literal["reset"]
"""What a score begins with: a start of the environment that its seed draws."""

MOVE = {"skill": Whole(0, 2**20), "steps": Whole(1, MOST_STEPS)}
FORM = {
    "moves": Listed(MOVE, MOST_MOVES),
    "seed": Maybe(Whole(0)),
    "loop": Maybe(Whole(1, MOST_STEPS)),
    "start": Maybe(get_args(Begin)),
    "checkpoint": Maybe(str),
}
"""The form of a score; names that it does not have are refused."""


@dataclass(frozen=True)
class Move:
    """One skill for so many agent steps."""

    skill: int
    steps: int


@dataclass(frozen=True)
class Score:
    """Moves in order, all of them `loop` times; the seed draws the start and all other chance.

    `checkpoint` is the hash of the networks that it was written for, "" for any.
    """

    moves: tuple[Move, ...]
    seed: int = 0
    loop: int = 1
    start: Begin = "reset"
    checkpoint: str = ""

    @property
    def steps(self) -> int:
        """Agent steps of the whole score."""
        return self.loop * sum(move.steps for move in self.moves)

    @cached_property
    def move_at(self) -> np.ndarray:
        """The number of the move that acts in each step, (steps,)."""
        once = np.repeat(np.arange(len(self.moves)), [move.steps for move in self.moves])
        return np.tile(once, self.loop)

    @cached_property
    def skill_at(self) -> np.ndarray:
        """The skill that acts in each step, (steps,)."""
        return np.array([move.skill for move in self.moves])[self.move_at]

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` takes."""
        return {**asdict(self), "moves": [asdict(move) for move in self.moves]}

    @staticmethod
    def from_json(data: Any, name: str = "the score") -> "Score":
        """The score that JSON values say; `name` is what a sentence calls it.

        Raises UsageError for anything that is no score, or one that is too long.
        """
        wrong = problem(data, FORM) or _unknown(data)
        if wrong:
            raise UsageError(f"{name} is no choreography: {wrong}")
        given = {key: data[key] for key in FORM if data.get(key) is not None}
        moves = tuple(Move(move["skill"], move["steps"]) for move in given.pop("moves"))
        score = Score(moves, **given)
        _check_size(score, name)
        return score

    def require_skills(self, agent: Agent) -> None:
        """Refuse moves of skills that the agent does not have; raises UsageError."""
        for place, move in enumerate(self.moves, 1):
            if move.skill >= agent.num_skills:
                raise UsageError(
                    f"move {place} of the score plays skill {move.skill}, which does not exist: "
                    f"this agent has {agent.num_skills} skills, 0 to {agent.num_skills - 1}"
                )


def read_score(path: Path) -> Score:
    """The score in a file.

    Raises UsageError where there is none that can be read.
    """
    wanted = "Give a JSON file such as the studio saves"
    try:
        data = parse(plain_bytes(path, MOST_BYTES))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}). {wanted}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no JSON ({error}). {wanted}") from error
    return Score.from_json(data, str(path))


def checkpoint_of(run: Path) -> str:
    """The hash of the networks in a checkpoint, or in the latest one of a run.

    Raises CheckpointError where there is none.
    """
    return checkpoint.steady(lambda: find_checkpoint(run), checkpoint.identity)


def written_for(score: Score, run: Path) -> tuple[Path, str | None]:
    """Which checkpoint of a run to play a score with, and a warning where it is another one.

    A run may hold the one that the score was written for among older checkpoints or snapshots.
    Raises CheckpointError where the run holds none at all.
    """
    found = checkpoint_of(run)
    if score.checkpoint in ("", found):
        return run, None
    for folder in sorted([*run.glob("checkpoints/*"), *run.glob("snapshots/*")]):
        if _is_of(folder, score.checkpoint):
            return folder, None
    return run, (
        f"the score was written for another checkpoint ({score.checkpoint[:12]}); played is "
        f"{found[:12]} of {run}, whose skills may do something else"
    )


def _is_of(folder: Path, identity: str) -> bool:
    try:
        return not folder.is_symlink() and checkpoint.identity(folder) == identity
    except (CheckpointError, OSError):
        return False


def _unknown(data: Mapping[str, Any]) -> str | None:
    """Names that a score does not have, and a hash that is none."""
    extra = [str(key)[:40] for key in data if key not in FORM]
    extra += [f"moves: {key}"[:40] for move in data["moves"] for key in move if key not in MOVE]
    if extra:
        return f"it has {extra[0]!r}; wanted are {', '.join(FORM)}, and in moves skill and steps"
    identity = data.get("checkpoint") or ""
    if identity and (len(identity) != HASH or set(identity) - set("0123456789abcdef")):
        return f"checkpoint is {identity[:40]!r}; wanted is a hash of {HASH} hexadecimal digits"
    return None


def _check_size(score: Score, name: str) -> None:
    if not score.moves:
        raise UsageError(f"{name} has no moves; wanted is at least one, with skill and steps")
    if score.steps > MOST_STEPS:
        raise UsageError(
            f"{name} lasts {score.steps} steps, all {score.loop} times together; wanted are at "
            f"most {MOST_STEPS}"
        )
