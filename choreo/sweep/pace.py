"""How far a running cell is and how fast, as its metrics tell."""

import json
from dataclasses import dataclass
from pathlib import Path

from choreo.record.logger import METRICS
from choreo.sweep.cells import Cell

TAIL = 16_384  # bytes of the end of a file of metrics in which the last whole line lies


@dataclass(frozen=True)
class Progress:
    """Frames (or updates) so far and in total, per second, and seconds to the end."""

    count: int
    total: int | None
    rate: float | None
    left: float | None


class Paces:
    """Watches the metrics of running cells."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._first: dict[str, tuple[float, int]] = {}

    def of(self, cell: Cell) -> Progress | None:
        """Progress of a cell that trains, once it has written a line; the rate is since then."""
        path = self._root / cell.name / "run" / METRICS
        if (now := _last(path)) is None:
            return None
        first = self._first.setdefault(cell.name, now)
        seconds, counted = now[0] - first[0], now[1] - first[1]
        rate = counted / seconds if seconds > 0 and counted > 0 else None
        left = None if rate is None or cell.total is None else (cell.total - now[1]) / rate
        return Progress(now[1], cell.total, rate, left)


def _last(path: Path) -> tuple[float, int] | None:
    """When the last line was written, and the frames (or updates) it tells of."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            lines = file.read().split(b"\n")[:-1]
            line = json.loads(lines[-1])
            return path.stat().st_mtime, int(line.get("frames", line.get("updates", 0)))
    except (OSError, ValueError, IndexError, TypeError, AttributeError, OverflowError):
        return None
