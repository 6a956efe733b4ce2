"""Which cell is next, and which will never be: what runners of a sweep share."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from choreo.sweep.cells import Cell
from choreo.sweep.folder import State, fail, state_of
from choreo.sweep.work import Outcome

MOST_KILLED = 3  # times that a cell may be ended by a signal, after which it has failed [ours]

Stand = Literal["done", "running", "ready", "waiting", "failed", "blocked"]


@dataclass(frozen=True)
class Standing:
    """How a cell stands, and in words why it is not done."""

    kind: Stand
    reason: str = ""


def depth_first(cells: Sequence[Cell]) -> list[Cell]:
    """Seed by seed, and in each what follows from a cell before the next one that starts anew.

    So a sweep that takes weeks has whole tasks to report after its first day.
    """
    seeds = list(dict.fromkeys(cell.labels.get("seed") for cell in cells))
    stages = list(dict.fromkeys(cell.stage for cell in cells))

    def place(cell: Cell) -> tuple[int, int]:
        return seeds.index(cell.labels.get("seed")), -stages.index(cell.stage)

    return sorted(cells, key=place)


class Board:
    """Hands out cells whose source is done; every method may be called from any thread.

    Args:
        root: the folder of the sweep.
        cells: all cells, each after its source.
        chosen: names of those to do, and of all that they start from.
        retry: how often a cell that failed is tried again, here or in an earlier call.
    """

    def __init__(self, root: Path, cells: list[Cell], chosen: set[str], retry: int = 0) -> None:
        self.root, self.cells, self.chosen = root, cells, chosen
        self._by_name = {cell.name: cell for cell in cells}
        self._order = depth_first(cells)
        self._mutex = threading.Lock()
        self._states: dict[str, State] = {}
        self._in_hand: set[str] = set()
        self._killed: Counter[str] = Counter()
        self._tries = {
            cell.name: retry + (self._state(cell).kind != "failed")
            for cell in cells
            if cell.name in chosen
        }

    def take(self) -> Cell | None:
        """A cell to be done now, the caller's until `put_back`; None when none is ready."""
        with self._mutex:
            for cell in self._order:
                if self._ready(cell):
                    self._in_hand.add(cell.name)
                    return cell
        return None

    def put_back(self, cell: Cell, outcome: Outcome) -> None:
        """Say how an attempt ended; a cell that was ended by a signal too often has failed."""
        with self._mutex:
            self._in_hand.discard(cell.name)
            self._tries[cell.name] -= outcome.kind == "failed"
            self._killed[cell.name] += outcome.kind in ("killed", "stopped")
            if self._killed[cell.name] >= MOST_KILLED:
                times = f"{MOST_KILLED} times; SIGKILL is most often a lack of memory"
                fail(self.root, cell, f"{outcome.reason} {times}", MOST_KILLED)
                self._tries[cell.name], self._killed[cell.name] = 0, 0

    def finished(self) -> bool:
        """Whether every chosen cell is done, has failed for good, or can never begin."""
        with self._mutex:
            chosen = (cell for cell in self.cells if cell.name in self.chosen)
            return all(self._stand(cell).kind in ("done", "failed", "blocked") for cell in chosen)

    def standings(self) -> dict[str, Standing]:
        """How every chosen cell stands now."""
        with self._mutex:
            chosen = (cell for cell in self.cells if cell.name in self.chosen)
            return {cell.name: self._stand(cell) for cell in chosen}

    def _ready(self, cell: Cell) -> bool:
        if cell.name not in self.chosen or cell.name in self._in_hand:
            return False
        return self._stand(cell).kind == "ready"

    def _state(self, cell: Cell) -> State:
        """As the folder says; what is done stays so and is not looked at again."""
        known = self._states.get(cell.name)
        if known is None or known.kind != "done":
            known = self._states[cell.name] = state_of(self.root, cell)
        return known

    def _stand(self, cell: Cell) -> Standing:
        state = self._state(cell)
        if state.kind in ("done", "running"):
            return Standing(state.kind)
        if state.kind == "failed" and self._tries.get(cell.name, 0) <= 0:
            return Standing("failed", str(state.detail.get("reason", "")))
        if cell.source is not None:
            source = self._stand(self._by_name[cell.source])
            if source.kind == "failed":
                return Standing("blocked", f"waiting on failed {cell.source}")
            if source.kind == "blocked":
                return Standing("blocked", source.reason)
            if source.kind != "done":
                return Standing("waiting", f"waiting on {cell.source}")
        return Standing("ready")
