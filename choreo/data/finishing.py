"""The last part of an import: segment files get their place, actions their scale, all a hash."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from choreo.data.bounds import Bounds
from choreo.data.episode import ACTION
from choreo.replay.header import HEADER, read_header, record_layout
from choreo.replay.segments import sync, writing

BLOCK_BYTES = 2**20  # looked at together [ours]


def finish_segments(
    partial: Path, final: Path, state: Mapping[str, Any], bounds: Bounds | None
) -> None:
    """Turn the replay in `partial` into `final`, its actions scaled by `bounds` unless None.

    Can be stopped anywhere and begun again: a segment is written anew beside its old self, and the
    old one goes when the new one is complete.

    Raises:
        StorageError: the disk is full.
    """
    with writing(final):
        if bounds is None:
            if partial.exists():
                partial.rename(final)
            sync(final.parent)
            return
        _scale_all(partial, final, state, bounds)
        shutil.rmtree(partial, ignore_errors=True)
        sync(final.parent)


def _scale_all(partial: Path, final: Path, state: Mapping[str, Any], bounds: Bounds) -> None:
    """Write every segment of the one stream anew, and the header last."""
    header = read_header(partial if (partial / HEADER).exists() else final)
    layout = record_layout({k: (tuple(shape), kind) for k, (shape, kind) in header["keys"].items()})
    rows = header["segment_steps"]
    stop = state["stop"][0]
    for segment in range(-(-stop // rows)):
        name = Path("stream_000") / f"{segment:08d}.steps"
        if (partial / name).exists():
            held = min(rows, stop - segment * rows)
            _scale_file(partial / name, final / name, layout, held, bounds)
            (partial / name).unlink()
    if (partial / HEADER).exists():
        shutil.copyfile(partial / HEADER, final / f".{HEADER}.tmp")
        (final / f".{HEADER}.tmp").replace(final / HEADER)
        sync(final / HEADER)
    sync(final)


def _scale_file(old: Path, new: Path, layout: np.dtype, held: int, bounds: Bounds) -> None:
    """One segment with scaled actions; rows beyond the `held` ones stay zeros."""
    new.parent.mkdir(parents=True, exist_ok=True)
    temporary = new.with_suffix(".tmp")
    block = max(1, BLOCK_BYTES // layout.itemsize)
    with old.open("rb") as source, temporary.open("wb") as sink:
        for start in range(0, held, block):
            raw = bytearray(source.read(min(block, held - start) * layout.itemsize))
            records = np.frombuffer(raw, layout)
            actions = bounds.scale(records[ACTION])
            actions[records["is_first"]] = 0
            records[ACTION] = actions
            sink.write(raw)
        shutil.copyfileobj(source, sink, BLOCK_BYTES)
        sink.flush()
        os.fsync(sink.fileno())
    temporary.replace(new)
    sync(new.parent)


def hash_files(replay: Path, most_bytes: int | None = None) -> dict[str, str]:
    """SHA-256 of the header and of every segment, by path within the folder of the replay.

    With `most_bytes` only of the first files that have as many.
    """
    paths = [replay / HEADER, *sorted(replay.glob("stream_*/*.steps"))]
    hashes, read = {}, 0
    for path in paths:
        if most_bytes is not None and read >= most_bytes:
            break
        read += path.stat().st_size
        with path.open("rb") as file:
            hashes[path.relative_to(replay).as_posix()] = hashlib.file_digest(
                file, "sha256"
            ).hexdigest()
    return hashes


def set_hash(files: Mapping[str, str]) -> str:
    """One hash for all files."""
    return hashlib.sha256(json.dumps(dict(sorted(files.items()))).encode()).hexdigest()


def verify(folder: Path, card: Mapping[str, Any], most_bytes: int | None = None) -> list[str]:
    """A sentence for each file of an imported set that is not what was written; empty when all are.

    Every byte is read once, or with `most_bytes` those of the first files that have as many.
    """
    replay = Path(folder) / "replay"
    found = hash_files(replay, most_bytes) if (replay / HEADER).is_file() else {}
    sentences = []
    for name, wanted in card["files"].items():
        if name not in found and most_bytes is not None and (replay / name).is_file():
            continue
        if name not in found:
            sentences.append(f"{replay / name} is missing. Copy it back, or import again.")
        elif found[name] != wanted:
            sentences.append(f"{replay / name} has changed. Copy it back, or import again.")
    if set_hash(card["files"]) != card["sha256"]:
        sentences.append(f"{folder}/card.json has changed hashes. Copy it back, or import again.")
    return sentences
