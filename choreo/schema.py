"""Whether JSON from a file has the form it should: checked before any of it is believed."""

import json
import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_BYTES = 2**30  # of a file that is read at once [ours]
MOST = 2**53  # integers up to here are exact in every reader of JSON; no counter gets there


@dataclass(frozen=True)
class Whole:
    """An integer from `least` to `most`."""

    least: int = 0
    most: int = MOST


@dataclass(frozen=True)
class Real:
    """A finite number from `least` to `most`."""

    least: float = 0.0
    most: float = 1e300


@dataclass(frozen=True)
class Listed:
    """A list of one kind of entries."""

    of: Any
    most: int = 2**20


@dataclass(frozen=True)
class Named:
    """A mapping from any names to one kind of entries."""

    of: Any


@dataclass(frozen=True)
class Maybe:
    """Null, or what `of` says; as an entry of a mapping it may be missing too."""

    of: Any


def in_words(names: Iterable[object], last: str = "and") -> str:
    """Names as a sentence has them: "a, b and c"; "none" where there is none."""
    shown = [str(name) for name in names]
    if len(shown) < 2:
        return shown[0] if shown else "none"
    return f"{', '.join(shown[:-1])} {last} {shown[-1]}"


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 frame", "1,000 frames"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def problem(value: Any, schema: Any, name: str = "") -> str | None:
    """What is wrong with a value, in a few words; None where nothing is.

    Args:
        value: what JSON gave.
        schema: a type; a `Whole`, `Real`, `Listed`, `Named` or `Maybe`; a tuple of values that are
            allowed; or a dict from name to schema, whose names must be there while others may be.
        name: what the value is called.
    """
    if isinstance(schema, Maybe):
        return None if value is None else problem(value, schema.of, name)
    if isinstance(schema, dict):
        return _in_mapping(value, schema, name)
    if isinstance(schema, Named):
        if not isinstance(value, Mapping):
            return _wanted(value, "names with values", name)
        return _first(problem(one, schema.of, f"{name}.{key}") for key, one in value.items())
    if isinstance(schema, Listed):
        if not isinstance(value, list | tuple) or len(value) > schema.most:
            return _wanted(value, f"a list of at most {schema.most}", name)
        return _first(problem(one, schema.of, f"{name}[{i}]") for i, one in enumerate(value))
    return _plain(value, schema, name)


def _plain(value: Any, schema: Any, name: str) -> str | None:
    if isinstance(schema, Whole):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if whole and schema.least <= value <= schema.most:
            return None
        return _wanted(value, f"a whole number from {schema.least} to {schema.most}", name)
    if isinstance(schema, Real):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and schema.least <= value <= schema.most:
            return None
        return _wanted(value, f"a number from {schema.least:g} to {schema.most:g}", name)
    if isinstance(schema, tuple):
        return None if value in schema else _wanted(value, in_words(schema, "or"), name)
    kinds = (int, float) if schema is float else schema
    wrong = not isinstance(value, kinds) or (isinstance(value, bool) and schema is not bool)
    return _wanted(value, schema.__name__, name) if wrong else None


def _in_mapping(value: Any, schema: Mapping[str, Any], name: str) -> str | None:
    if not isinstance(value, Mapping):
        return _wanted(value, "names with values", name)
    for key, one in schema.items():
        place = f"{name}.{key}" if name else key
        if key not in value:
            if not isinstance(one, Maybe):
                return f"{place} is missing"
        elif found := problem(value[key], one, place):
            return found
    return None


def _first(problems: Any) -> str | None:
    return next((one for one in problems if one is not None), None)


def _wanted(value: Any, wanted: str, name: str) -> str:
    huge = isinstance(value, int) and abs(value) > MOST**2  # has too many digits to be shown
    shown = "a huge number" if huge else repr(value)[:60]
    return f"{name or 'it'} is {shown}; wanted is {wanted}"


def plain_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a plain file; a pipe or a device is not waited for.

    Raises:
        OSError: it cannot be read, is no plain file or has more than `most` bytes.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError("it is no plain file")
        if found.st_size > most:
            raise OSError(f"it has {found.st_size} bytes, more than {most}")
        return file.read()


def read_json(path: Path) -> Any:
    """What a plain file of JSON holds.

    Raises:
        OSError: as for `plain_bytes`.
        ValueError: as for `parse`.
    """
    return parse(plain_bytes(path))


class _Twice(ValueError):
    """A name that an object says twice, of which JSON readers keep either."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, whose names must differ."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise _Twice(f"{repr(twice)[:60]} stands twice in one object")
    return found


def parse(text: bytes | str) -> Any:
    """What JSON in UTF-8 says.

    Raises:
        ValueError: it is no JSON, says a name twice in one object, or is nested deeper or longer in
            a number than anything is meant.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    except ValueError as error:
        if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError, _Twice)):
            raise
        raise ValueError("a number in it has too many digits") from error
