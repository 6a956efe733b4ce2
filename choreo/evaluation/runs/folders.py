"""Where runs lie: cells of sweeps, run folders, and folders that hold either."""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from choreo.errors import UsageError
from choreo.evaluation.runs.files import number, read_json
from choreo.evaluation.runs.run import TRAINS, Status
from choreo.record import is_claimed
from choreo.record.pack import is_pack

DEPTH = 4  # folders below a given one in which runs are looked for [ours]
BEATS = 120.0  # seconds without a sign of life after which a cell counts as stopped, as in sweeps
CELL, CONFIG, SWEEP = "cell.json", "config.json", "sweep.json"


@dataclass(frozen=True)
class Place:
    """A run folder, or the folder of a sweep's cell with what `cell.json` holds."""

    path: Path
    name: str
    cell: dict[str, Any] | None = None

    @property
    def run(self) -> Path:
        """The run folder of it."""
        return self.path if self.cell is None else self.path / "run"

    @property
    def labels(self) -> dict[str, Any]:
        """Labels of a cell; none of a run folder."""
        return self._part("labels")

    @property
    def options(self) -> dict[str, Any]:
        """Options of a cell; none of a run folder."""
        return self._part("options")

    def _part(self, name: str) -> dict[str, Any]:
        part = (self.cell or {}).get(name)
        return part if isinstance(part, dict) else {}

    @property
    def key(self) -> tuple[Path, str]:
        """Sweep folder and name of a cell, as `from` of another cell names it."""
        return self.path.parent.parent, f"{self.path.parent.name}/{self.path.name}"


@dataclass(frozen=True)
class Found:
    """All places in some folders, and the sweeps that they belong to, by folder."""

    places: list[Place]
    sweeps: dict[Path, dict[str, Any]]
    notes: list[str] = field(default_factory=list)


def find(folders: Sequence[Path]) -> Found:
    """Look for runs in folders, each a run, a sweep, or a folder that holds runs.

    Raises UsageError for a folder that is missing, empty or holds neither.
    """
    found = Found([], {})
    seen: set[Path] = set()
    for folder in folders:
        places = list(_walk(Path(folder), found, DEPTH))
        if not places and Path(folder).resolve() not in found.sweeps:
            raise UsageError(_nothing(Path(folder)))
        found.places.extend(place for place in places if place.path not in seen)
        seen |= {place.path for place in places}
    return found


def _nothing(folder: Path) -> str:
    """Why there is no run in a folder."""
    wanted = "Give the folder of a run, of a sweep, or one that holds runs"
    if not folder.exists():
        return f"{folder} does not exist. {wanted}"
    if not folder.is_dir():
        return f"{folder} is a file. {wanted}"
    if not any(folder.iterdir()):
        return f"{folder} is empty: there is no run in it yet. {wanted}"
    if is_pack(folder):
        return f"{folder} is a pack, which has no curves and no scores; `choreo skills` looks at it"
    return (
        f"{folder} is no run and holds none: there is no {CONFIG} of a run and no {SWEEP} in it or "
        f"{DEPTH} folders below. {wanted}"
    )


def _walk(folder: Path, found: Found, depth: int) -> Iterator[Place]:
    """Places at and below a folder; nothing is looked for inside a run."""
    if not folder.is_dir():
        return
    if (sweep := read_json(folder / SWEEP, found.notes)) is not None:
        found.sweeps[folder.resolve()] = sweep
        yield from _planned(folder, sweep)
    elif (cell := read_json(folder / CELL, found.notes)) is not None:
        yield Place(folder.resolve(), str(folder), cell)
    elif _is_run(folder):
        yield Place(folder.resolve(), str(folder))
    elif depth > 0:
        for child in sorted(folder.iterdir(), key=_natural):
            if not child.name.startswith("."):
                yield from _walk(child, found, depth - 1)


def _planned(folder: Path, sweep: dict[str, Any]) -> Iterator[Place]:
    """All cells of a sweep, begun or not."""
    cells = sweep.get("cells")
    for cell in cells if isinstance(cells, list) else []:
        if isinstance(cell, dict) and re.fullmatch(r"[\w.-]+/[\w.-]+", str(cell.get("cell"))):
            place = folder / cell["cell"]
            yield Place(place.resolve(), str(place), cell)


def _is_run(folder: Path) -> bool:
    if is_pack(folder):  # which tells nothing of how its run went
        return False
    content = read_json(folder / CONFIG, [])
    config = (content or {}).get("config")
    return isinstance(config, dict) and config.get("command") in TRAINS


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts s2 before s10."""
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", path.name)]


def cell_status(place: Place, notes: list[str]) -> tuple[Status, str, float | None]:
    """How far a cell of a sweep is, why no further, and the seconds that it took."""
    done = read_json(place.path / "done.json", notes)
    if done is not None:
        return "done", "", number(done.get("seconds"))
    if _beats(place.path) or is_claimed(place.run):
        return "running", "running", None
    failed = read_json(place.path / "failed.json", notes)
    if failed is not None:
        log = failed.get("log", place.path / "log.txt")
        return "failed", f"failed: {failed.get('reason', 'no reason told')} (log: {log})", None
    if place.run.is_dir():
        return "stopped", "stopped before its end", None
    return "waiting", "not begun", None


def _beats(folder: Path) -> bool:
    """Whether the lock of a cell has given a sign of life."""
    beats = [path.stat().st_mtime for path in folder.glob("lock*") if path.is_file()]
    return bool(beats) and time.time() - max(beats) < BEATS
