"""Which cells of a sweep a call is about."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from choreo.errors import UsageError
from choreo.sweep.cells import Cell
from choreo.sweep.names import check_name


def select(
    cells: Sequence[Cell], only: Sequence[str], methods: Sequence[str], first_only: bool
) -> set[str]:
    """Names of the cells that fit one of the patterns, and of all that they start from.

    Raises UsageError for a pattern that fits no cell or a method that no cell has.
    """
    known = list(dict.fromkeys(str(c.labels["method"]) for c in cells if "method" in c.labels))
    for method in methods:
        check_name("method", method, known, "--methods")
    chosen = [cell for cell in cells if not methods or _of(cell, methods)]
    for pattern in only:
        if not any(_fits(cell, pattern) for cell in chosen):
            of = " of these methods" if methods else ""
            raise UsageError(
                f"--only {pattern}: no cell{of} is called so; --list shows their names"
            )
    if only:
        chosen = [cell for cell in chosen if any(_fits(cell, pattern) for pattern in only)]
    if first_only:
        chosen = list({cell.stage: cell for cell in reversed(chosen)}.values())
    return with_sources(cells, {cell.name for cell in chosen})


def with_sources(cells: Sequence[Cell], names: set[str]) -> set[str]:
    """The cells of these names and all that they start from."""
    found = set(names)
    for cell in reversed(cells):  # every cell stands after its source
        if cell.name in found and cell.source is not None:
            found.add(cell.source)
    return found


def find(cells: Sequence[Cell], name: str) -> Cell:
    """The cell of that name; raises UsageError with the nearest one."""
    check_name("cell", name, [cell.name for cell in cells], "--cell")
    return next(cell for cell in cells if cell.name == name)


def _of(cell: Cell, methods: Sequence[str]) -> bool:
    return cell.labels.get("method") in methods


def _fits(cell: Cell, pattern: str) -> bool:
    return fnmatchcase(cell.name, pattern) or fnmatchcase(cell.stage, pattern)
