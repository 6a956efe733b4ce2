"""Episodes as npz files, the form in which recorded data are exchanged."""

from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from choreo.errors import UsageError
from choreo.replay.segments import writing
from choreo.replay.storage import Replay

CHUNK = 8_192  # steps looked at together, so that memory stays flat


def export_episodes(replay: Replay, folder: Path) -> list[Path]:
    """Write every held episode as `episode_NNNNNN_STEPS.npz`, arrays of STEPS + 1 rows.

    Row 0 is the reset (zero action); `discount` is 0 where the episode terminated, else 1. An
    episode whose beginning is no longer held is left out; one that is still open is written as far
    as it goes.

    Raises:
        StorageError: the disk is full.
    """
    folder = Path(folder)
    paths: list[Path] = []
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for stream, start, stop in _episodes(replay):
            steps = replay.read(stream, start, stop)
            steps["discount"] = 1.0 - steps["is_terminal"].astype(np.float32)
            path = folder / f"episode_{len(paths):06d}_{stop - start - 1}.npz"
            np.savez_compressed(path, **steps)  # pyright: ignore[reportArgumentType]
            paths.append(path)
    return paths


def read_episodes(folder: Path) -> Iterator[dict[str, np.ndarray]]:
    """Episodes of a folder in the order of their names, one in memory at a time, arrays (T, ...).

    Files of others may lack `is_first`, `is_last` and `is_terminal`: they are filled in from the
    file's ends and from `discount`.

    Raises:
        UsageError: there is no episode, or a file is not one.
    """
    paths = sorted(Path(folder).glob("*.npz"))
    if not paths:
        raise UsageError(f"{folder} holds no .npz episodes. Give a folder of exported episodes.")
    for path in paths:
        yield _complete(_load(path), path)


def _episodes(replay: Replay) -> Iterator[tuple[int, int, int]]:
    """Stream, start and stop of every episode whose first step is held."""
    starts, stops = replay.bounds()
    for stream, (low, high) in enumerate(zip(starts.tolist(), stops.tolist())):
        firsts: list[int] = []
        for begin in range(low, high, CHUNK):
            end = min(begin + CHUNK, high)
            found = np.flatnonzero(replay.read(stream, begin, end)["is_first"])
            firsts.extend((found + begin).tolist())
        for start, stop in zip(firsts, [*firsts[1:], high]):
            yield stream, start, stop


def _load(path: Path) -> dict[str, np.ndarray]:
    """The arrays of one file; nothing is unpickled."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise UsageError(
            f"{path} is not a readable episode ({error}). Remove it or write it again."
        ) from error


def _complete(steps: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """The same steps with scalar entries (T,) and all three flags."""
    missing = {"action", "reward"} - steps.keys()
    if missing:
        raise UsageError(
            f"{path} lacks {sorted(missing)}; found {sorted(steps)}. Give episode files."
        )
    steps["reward"] = steps["reward"].reshape(-1)
    length = len(steps["reward"])
    discount = steps.setdefault("discount", np.ones(length, np.float32)).reshape(-1)
    steps["discount"] = discount
    steps.setdefault("is_first", np.arange(length) == 0)
    steps.setdefault("is_last", np.arange(length) == length - 1)
    steps.setdefault("is_terminal", discount == 0)
    return steps
