"""A set of recorded episodes on disk, read one at a time."""

import abc
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from choreo.data.episode import BadEpisode, EpisodeData, Reading
from choreo.data.files import BadFile, reading
from choreo.envs.spaces import EnvSpec
from choreo.errors import UsageError

NAMED = 20  # bad episodes that are named, beside all that are counted [ours]
REASONS = 50  # different things that are wrong, counted one by one [ours]


@dataclass
class Skipped:
    """Bad episodes that were passed over."""

    count: int = 0
    first: list[str] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    """How many have the same thing wrong, which tells what to do too."""
    where: dict[str, str] = field(default_factory=dict)
    """The first of them, by what is wrong."""

    def add(self, error: BadEpisode) -> None:
        """Count one and remember the first few."""
        self.count += 1
        if len(self.first) < NAMED:
            self.first.append(f"{error.origin}: {error.wrong}")
        reason = f"{error.wrong}. {error.remedy}"
        if reason in self.reasons or len(self.reasons) < REASONS:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
            self.where.setdefault(reason, error.origin)

    def sentences(self, most: int = NAMED) -> list[str]:
        """What is wrong, each thing once, with its count and the first such episode."""
        ordered = sorted(self.reasons.items(), key=lambda pair: -pair[1])[:most]
        told = [
            f"{self.where[reason]}{f' and {count - 1} more' if count > 1 else ''}: {reason}"
            for reason, count in ordered
        ]
        left = self.count - sum(count for _, count in ordered)
        return [*told, f"and {left} more"] if left else told


class Source(abc.ABC):
    """Episodes of one format; `names` gives them an order, `read` one of them.

    Args:
        path: the folder or file.
        reading: which arrays to take and how.

    Raises:
        UsageError: there is nothing of this format, or a library it needs is missing.
    """

    format: str
    """What the format is called."""
    scaled = False
    """Whether actions are in [-1, 1] already while `spec` tells the environment's own bounds."""
    timing = "the action of a row was taken at its observation"
    """How actions and observations of the files belong together, in words."""
    names: list[str]
    """One name per episode, in the order they are read; each tells file and place."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self.path, self.reading = Path(path), reading

    @abc.abstractmethod
    def read(self, index: int) -> EpisodeData | list[EpisodeData]:
        """One recording: its episode, or those that it divides into.

        Raises:
            BadEpisode: it cannot be used.
            Exception: whatever a library raises over its file.
        """

    def episodes_of(self, index: int) -> list[EpisodeData]:
        """The episodes of one recording, most often one.

        Which arrays hold copies of the actions is decided by the first, for all.

        Raises:
            BadEpisode: they cannot be used.
        """
        name = self.names[index]
        try:
            with reading(name):
                found = self.read(index)
        except BadFile as error:
            origin = name if name.startswith(error.path) else error.path
            raise BadEpisode(origin, error.wrong, error.remedy) from error
        episodes = found if isinstance(found, list) else [found]
        if self.reading.copies is None:
            self.reading = replace(self.reading, copies=episodes[0].copies)
        return episodes

    @abc.abstractmethod
    def files(self) -> list[Path]:
        """Every file the episodes are in."""

    def spec(self) -> EnvSpec | None:
        """The environment they were recorded in, where the files tell."""
        return None

    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Lowest and highest actions that the files declare, (A,) each; None when they do not."""
        spec = self.spec()
        return None if spec is None else (spec.action_low, spec.action_high)

    def action_repeat(self) -> int | None:
        """Frames per step that the files declare for the whole set."""
        spec = self.spec()
        return None if spec is None else spec.action_repeat

    def step_seconds(self) -> float | None:
        """Time of one step that the files declare."""
        spec = self.spec()
        return None if spec is None else spec.step_seconds

    def expected_steps(self) -> int | None:
        """Rows that the files seem to hold, for a choice of sizes; None when it is not told."""
        return None

    def notes(self) -> list[str]:
        """What is to be said of the set as a whole."""
        return []

    def bytes(self) -> int:
        """Size of all files."""
        return sum(map(_size, self.files()))

    def files_sha256(self) -> str:
        """A hash over name and size of every file, which tells whether the set has changed."""
        root = self.path if self.path.is_dir() else self.path.parent
        lines = [f"{p.relative_to(root).as_posix()} {_size(p)}\n" for p in self.files()]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """What this source is, as JSON."""
        return {
            "path": str(self.path),
            "format": self.format,
            "files": len(self.files()),
            "bytes": self.bytes(),
            "files_sha256": self.files_sha256(),
            "episodes": len(self.names),
        }

    def episodes(self, skipped: Skipped | None = None, start: int = 0) -> Iterator[EpisodeData]:
        """Episodes from recording `start` on, one recording in memory at a time.

        With `skipped`, bad ones are counted there and passed over.

        Raises:
            BadEpisode: one cannot be used, and `skipped` is None.
        """
        for index in range(start, len(self.names)):
            try:
                yield from self.episodes_of(index)
            except BadEpisode as error:
                if skipped is None:
                    raise
                skipped.add(error)


def _size(path: Path) -> int:
    """Bytes of a file; 0 of one that cannot be looked at, whose episodes will be bad ones."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def need(module: str, what: str) -> Any:
    """A library that only some formats need.

    Raises:
        UsageError: it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(what, module.split(".")[0]) from error


def missing(what: str, package: str) -> UsageError:
    """The error that says which package is needed, and how to install it."""
    return UsageError(
        f"{what} needs the Python package {package}, which is not installed. "
        "Install it with: pip install 'choreo[data]'"
    )
