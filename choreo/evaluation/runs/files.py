"""Files that another process may be writing: what is whole is read, what is not is told."""

import sys
from pathlib import Path
from typing import Any

from choreo import schema


def read_json(path: Path, notes: list[str]) -> dict[str, Any] | None:
    """The object in a file; None where there is none, with a note where it is damaged."""
    try:
        content = schema.read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        notes.append(f"{path.name} cannot be read ({error})")
        return None
    if not isinstance(content, dict):
        notes.append(f"{path.name} holds no JSON object")
        return None
    return content


def read_lines(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines; a last line that is not whole yet is left for later.

    Any other line that cannot be read is passed over and counted in a note.
    """
    try:
        rows = schema.plain_bytes(path).split(b"\n")
    except OSError:
        return []
    found = [_object(row) for row in rows[:-1] if row.strip()]
    damaged = sum(line is None for line in found)
    if damaged:
        notes.append(f"{damaged} damaged lines of {path.name} are left out")
    return [line for line in found if line is not None]


def _object(row: bytes) -> dict[str, Any] | None:
    try:
        line = schema.parse(row)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= sys.float_info.max else None
