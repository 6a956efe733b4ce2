"""One cell alone, as a batch system runs it beside others of the same sweep."""

from collections.abc import Mapping
from pathlib import Path

from choreo.sweep.cells import Cell
from choreo.sweep.folder import state_of
from choreo.sweep.local import POLL, Wish
from choreo.sweep.work import Outcome, run_cell


def run_one(
    root: Path, cell: Cell, source: Cell | None, tries: int, slot: Mapping[str, str], wish: Wish
) -> Outcome:
    """Do a cell, after the one that it starts from if that is under way elsewhere.

    A cell that failed before is tried again when `tries` is more than one. The outcome is "busy"
    when another process has it, or when what it starts from is neither done nor under way.
    """
    state = state_of(root, cell)
    if state.kind == "failed" and tries < 2:
        return Outcome("failed", str(state.detail.get("reason", "")))
    if source is not None and (missing := _wait_for(root, source, wish)) is not None:
        return missing
    outcome = Outcome("stopped")
    for _ in range(tries):
        if not wish.now:
            outcome = run_cell(root, cell, slot, lambda: wish.now)
        if outcome.kind != "failed":
            break
    return outcome


def _wait_for(root: Path, source: Cell, wish: Wish) -> Outcome | None:
    """None once a source is done; else why its cells cannot begin."""
    while (state := state_of(root, source)).kind == "running":
        if wish.changed.wait(POLL):
            return Outcome("stopped")
    if state.kind == "failed":
        return Outcome("failed", f"waiting on failed {source.name}")
    if state.kind == "missing":
        return Outcome("busy", f"it starts from {source.name}, which is not done: run that first")
    return None
