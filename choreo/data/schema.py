"""What a header must hold: a table of its entries, and one place that compares."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from choreo.data.files import COPY, BadFile
from choreo.schema import in_words

SHOWN = 60  # characters of a value that an error shows [ours]
MOST_WHOLE = 2**53  # whole numbers up to here are exact everywhere [ours]


@dataclass(frozen=True)
class Entry:
    """What one entry of a header may be."""

    wanted: str
    """In words, for errors."""
    fits: Callable[[Any], bool]
    needed: bool = False
    """Whether it must be there; null counts as not there."""


def check(
    found: Any, table: Mapping[str, Entry], path: Path | str, remedy: str = COPY
) -> dict[str, Any]:
    """The entries of a header, after a comparison of those that the table names.

    Raises:
        BadFile: it is no JSON object, an entry is missing, or one is of another kind.
    """
    if not isinstance(found, dict):
        raise BadFile(path, f"it is no JSON object but {_short(found)}", remedy)
    missing = sorted(k for k, entry in table.items() if entry.needed and found.get(k) is None)
    if missing:
        raise BadFile(path, f"it does not tell {in_words(missing)}", remedy)
    for name, entry in table.items():
        value = found.get(name)
        if value is not None and not entry.fits(value):
            raise BadFile(path, f"its '{name}' is {_short(value)}; wanted {entry.wanted}", remedy)
    return found


def number(value: Any) -> bool:
    """Whether it is a finite number that float64 holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) <= MOST_WHOLE


def whole(value: Any, least: int = 0) -> bool:
    """Whether it is a whole number from `least` on."""
    return number(value) and isinstance(value, int) and value >= least


def text(value: Any) -> bool:
    """Whether it is a string."""
    return isinstance(value, str)


def a_list(value: Any, of: Callable[[Any], bool], least: int = 0) -> bool:
    """Whether it is a list of at least so many entries of a kind."""
    return isinstance(value, list) and len(value) >= least and all(map(of, value))


def a_table(value: Any, of: Callable[[Any], bool]) -> bool:
    """Whether it is a JSON object with values of a kind."""
    return isinstance(value, dict) and all(map(of, value.values()))


def _short(value: Any) -> str:
    """A value in few characters, however long it is."""
    if isinstance(value, int) and abs(value) > MOST_WHOLE:
        return "a number of too many digits"
    if isinstance(value, list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value[:SHOWN] if isinstance(value, str) else value)
