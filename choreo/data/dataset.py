"""Recorded data, ready to learn from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from choreo.data.card import CARD, IMPORTED, card_spec, read_card
from choreo.data.finishing import verify
from choreo.data.importer import Report, import_data
from choreo.data.plan import ImportOptions
from choreo.envs.spaces import EnvSpec
from choreo.errors import UsageError
from choreo.replay.storage import VERIFIED, Replay


@dataclass(frozen=True)
class Dataset:
    """A set in this project's form."""

    replay: Replay
    """Read-only, one stream, for `SequenceSampler`."""
    spec: EnvSpec
    """What an agent needs to know; its id is `data:` and a name."""
    card: dict[str, Any]
    """Where the data come from, what they hold and their hashes."""


def open_dataset(
    path: Path,
    skip_bad: bool = False,
    cache: Path | None = None,
    options: ImportOptions | None = None,
    report: Report | None = None,
) -> Dataset:
    """Open an imported set; recorded data of another format are imported into `cache` first.

    Args:
        path: an imported set, or data of any format that is read; it may be gone when all of it
            is in `cache`.
        skip_bad: pass over episodes that cannot be used.
        cache: folder for the import, such as `run_dir / "data"`; an import that is there already
            is used, or gone on with.
        options: how to import; `skip_bad` is added to them.
        report: told of the progress of an import.

    Raises:
        UsageError: there is nothing to open, or an import is needed and `cache` is None.
        BadEpisode: as for `import_data`.
    """
    path = Path(path)
    card = read_card(path) if path.is_dir() else None
    if card is not None and card.get("kind") == IMPORTED:
        return _open(path, card)
    if cache is not None and not path.exists() and (found := _imported_from(path, cache)):
        return _open(Path(cache), found)
    if cache is None:
        raise UsageError(
            f"{path} is not an imported set: it has no {CARD} of one. Import it first: choreo data "
            f"import {path} DST"
        )
    chosen = options or ImportOptions()
    merged = ImportOptions(**{**vars(chosen), "skip_bad": skip_bad or chosen.skip_bad})
    return _open(Path(cache), import_data(path, cache, merged, report))


def first_episodes(replay: Replay, most: int) -> Replay:
    """The same data of one stream, but of them only whole episodes, until these hold `most` steps.

    The first ones, as they were recorded; a reset is no step. 0 is all.
    """
    (start, *_), (stop, *_) = (bounds.tolist() for bounds in replay.bounds())
    if not 0 < most < stop - start:
        return replay
    first = start + np.flatnonzero(replay.column("is_first", 0, start, stop))
    ends = np.append(first[1:], stop)
    enough = np.flatnonzero(np.cumsum(ends - first - 1) >= most)
    if not len(enough):
        return replay
    return Replay.open(replay.folder, replay.state() | {"stop": [int(ends[enough[0]])]})


def _imported_from(path: Path, cache: Path) -> dict[str, Any] | None:
    """The card of an import of what was at `path`, or of what had its name where that was moved."""
    card = read_card(cache)
    same = card is not None and Path(card["request"]["source"]).name == path.resolve().name
    return card if same else None


def _open(folder: Path, card: dict[str, Any]) -> Dataset:
    changed = verify(folder, card, VERIFIED)
    if changed:
        raise UsageError(changed[0])
    replay = Replay.open(folder / "replay", card["replay"])
    return Dataset(replay, card_spec(card, folder), card)
