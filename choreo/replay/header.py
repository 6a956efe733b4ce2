"""What the segment files of a replay folder hold: the layout of a step and the header."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from choreo.errors import CheckpointError, UsageError
from choreo.replay.segments import sync, writing
from choreo.schema import Listed, Maybe, Named, Whole, problem

FORMAT = 1
HEADER = "replay.json"
SEGMENT_BYTES = 16 * 2**20  # the size a segment aims at [ours]
SEGMENT_STEPS = 65_536  # and the most steps it holds [ours]
SEGMENTS_IN_CAP = 8  # a byte cap drops at most about this share of a stream at a time [ours]

LARGEST = 2**34  # bytes that a segment may claim to have [ours]
TYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
)  # fmt: skip
HEADER_FORM = {
    "keys": Named(list),
    "streams": Whole(1, 2**16),
    "segment_steps": Whole(1, 2**32),
}
STATE_FORM = {
    "format": Whole(),
    "start": Listed(Whole()),
    "stop": Listed(Whole()),
    "sums": Maybe(Listed(Named(str))),
}

Keys = Mapping[str, tuple[tuple[int, ...], str]]


def record_layout(keys: Keys) -> np.dtype:
    """One step as bytes, little-endian and aligned; the order of the keys given is no matter."""
    fields = [
        (name, np.dtype(kind).newbyteorder("<"), shape)
        for name, (shape, kind) in sorted(keys.items())
    ]
    return np.dtype(fields, align=True)


def steps_per_segment(row_bytes: int, streams: int, max_bytes: int | None) -> int:
    """Steps per file: many, to keep files few, but few enough for a smooth byte cap."""
    steps = min(SEGMENT_STEPS, SEGMENT_BYTES // row_bytes)
    if max_bytes is not None:
        steps = min(steps, max_bytes // (SEGMENTS_IN_CAP * streams * row_bytes))
    return max(1, steps)


def open_folder(folder: Path, keys: Keys, streams: int, segment_steps: int, insist: bool) -> int:
    """Write the header of a new folder, or compare with that of an existing one.

    Args:
        folder: the replay folder.
        keys: name -> (shape, dtype).
        streams: number of streams.
        segment_steps: steps per file of a new folder.
        insist: whether an existing folder must have that number too.

    Returns:
        Steps per file of the folder.

    Raises:
        UsageError: an existing folder differs.
    """
    header = {
        "format": FORMAT,
        "keys": {name: [list(shape), kind] for name, (shape, kind) in keys.items()},
        "streams": streams,
        "segment_steps": segment_steps,
    }
    if not (folder / HEADER).exists():
        _write_header(folder, header)
        return segment_steps
    found = read_header(folder)
    if not insist:
        header["segment_steps"] = found["segment_steps"]
    for name, wanted in header.items():
        if found.get(name) != wanted:
            raise UsageError(
                f"{folder} holds a replay with {name} {found.get(name)}; wanted was {wanted}. "
                "Give another run folder, or the options this one was made with."
            )
    return int(found["segment_steps"])


def read_header(folder: Path) -> dict[str, Any]:
    """The header of a replay folder.

    Raises:
        CheckpointError: it is missing, damaged or of another format.
    """
    path = folder / HEADER
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} could not be read as the header of a replay ({error}). Give a run folder with "
            "an intact replay, or another one."
        ) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a replay header of format {FORMAT}. Use the version of Choreo that "
            "wrote it."
        )
    wrong = problem(header, HEADER_FORM) or _sizes(header)
    if wrong:
        raise CheckpointError(
            f"{path} is not the header of a replay: {wrong}. Copy it back, or give another folder."
        )
    return header


def check_state(state: Any, streams: int, where: Path) -> None:
    """Refuse bounds of a replay that no replay has.

    Raises:
        CheckpointError: they have another form, or another number of streams.
    """
    wrong = problem(state, STATE_FORM, "replay")
    if wrong is None and state["format"] != FORMAT:
        wrong = f"its format is {state['format']}, wanted is {FORMAT}"
    if wrong is None and not len(state["start"]) == len(state["stop"]) == streams:
        wrong = f"it has {len(state['stop'])} streams, the replay {streams}"
    if wrong is None and any(a > b for a, b in zip(state["start"], state["stop"])):
        wrong = "a stream stops before it starts"
    if wrong:
        raise CheckpointError(
            f"The recorded state of the replay {where} cannot be used: {wrong}. Resume with the "
            "options the run was started with, or copy the folder back."
        )


def _sizes(header: Mapping[str, Any]) -> str | None:
    """What is wrong with the entries of a step, or with the size of a file of them."""
    size = 0
    for name, entry in header["keys"].items():
        if len(entry) != 2 or problem(entry[0], Listed(Whole(0, 2**24), 8)) is not None:
            return f"keys.{name} is {repr(entry)[:60]}; wanted are a shape and a type"
        if entry[1] not in TYPES:
            return f"keys.{name} is of type {repr(entry[1])[:20]}; known are {', '.join(TYPES)}"
        size += math.prod(entry[0]) * np.dtype(entry[1]).itemsize
    if not 0 < size * header["segment_steps"] <= LARGEST:
        return f"a file of it would have {size * header['segment_steps']} bytes"
    return None


def _write_header(folder: Path, header: dict[str, Any]) -> None:
    """Write the header whole or not at all."""
    path = folder / HEADER
    temporary = path.with_suffix(".tmp")
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(header, indent=1), encoding="utf-8")
        sync(temporary)
        temporary.replace(path)
        sync(folder)
