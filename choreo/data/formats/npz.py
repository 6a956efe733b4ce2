"""Episodes as npz files, one each, in the layouts of ExORL, of URLB's buffers and of this project.

ExORL and URLB: `episode_000012_1000.npz` or `20220101T000000_12_1000.npz`, where the last number is
that of the transitions and every array has one row more; row 0 is the reset. Source: the replay
buffers of both projects.
"""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo, is_zipfile

import numpy as np

from choreo.data.arrays import Array, Lazy
from choreo.data.card import folder_spec
from choreo.data.episode import ACTION, DISCOUNT, EpisodeData, Reading, Steps, complete_all
from choreo.data.files import BadFile, check_size, plain_file, plain_files, reading
from choreo.data.formats.exorl import episode_path, save_episode
from choreo.data.formats.source import Source
from choreo.data.reading import BadEpisode, renamed
from choreo.envs.spaces import EnvSpec
from choreo.errors import UsageError
from choreo.replay.segments import writing

SUFFIX = ".npz"
LENGTH = re.compile(r"_\d+_(\d+)\.npz$")
PICKLED = "it holds Python objects, which are never loaded, as loading them can run any code"
PACKED = {ZIP_STORED, ZIP_DEFLATED}  # what numpy writes; others may take any memory to unpack
ENCRYPTED = 1  # bit of a zip entry's flags


class NpzSource(Source):
    """A folder of npz episodes, those of folders in it included, or one such file.

    Files in the order of their names. A `card.json` beside them tells of the environment.
    """

    format = "npz"
    scaled = True
    timing = "the action of a row led to its observation"

    def __init__(self, path: Path, reading: Reading) -> None:
        super().__init__(path, reading)
        folder = self.path.is_dir()
        self._paths = plain_files(self.path, (SUFFIX,)) if folder else [self.path]
        if not self._paths:
            raise UsageError(f"{path} holds no .npz episodes. Give a folder of episodes.")
        self.names = [str(path) for path in self._paths]
        self._specs = {p.parent: folder_spec(p.parent) for p in self._paths}
        self.scaled = self.spec() is not None
        bounds = {(s.action_low, s.action_high) for s in self._specs.values() if s is not None}
        if len(bounds) > 1:
            raise UsageError(
                f"The folders in {path} have cards with unlike action bounds. Import them one by "
                "one."
            )

    def files(self) -> list[Path]:
        return self._paths

    def spec(self) -> EnvSpec | None:
        return next((spec for spec in self._specs.values() if spec is not None), None)

    def expected_steps(self) -> int | None:
        lengths = [found[1] for path in self._paths if (found := LENGTH.search(path.name))]
        return sum(map(int, lengths)) + len(lengths) if len(lengths) == len(self._paths) else None

    def read(self, index: int) -> list[EpisodeData]:
        path = self._paths[index]
        with opened(path, self.path) as raw:
            self._check_name(path, raw)
            spec = self._specs[path.parent]
            if spec is not None:
                raw.setdefault("action_repeat", np.array(spec.action_repeat))
            return complete_all(renamed(raw, self.reading, str(path)), str(path), self.reading)

    def _check_name(self, path: Path, raw: Mapping[str, Array]) -> None:
        """Compare the transitions that ExORL's names tell with those that are there."""
        named = LENGTH.search(path.name)
        rows = len(raw[ACTION]) if ACTION in raw and raw[ACTION].ndim else 0
        if named and rows > 1 and rows - 1 != int(named[1]):
            raise BadEpisode(
                str(path),
                f"its name tells of {named[1]} transitions, and it holds {rows - 1}",
                "Write it again or remove it",
            )


def load(path: Path) -> Steps:
    """The arrays of one npz file; nothing is unpickled.

    Raises:
        BadEpisode: it is not a whole zip of arrays, or holds Python objects.
    """
    try:
        with opened(path, path) as raw:
            return {name: np.asarray(values) for name, values in raw.items()}
    except BadFile as error:
        raise BadEpisode(error.path, error.wrong, error.remedy) from error


@contextmanager
def opened(path: Path, root: Path) -> Iterator[dict[str, Array]]:
    """The arrays of one npz file below `root`, of which each is read when it is asked for.

    Raises:
        BadFile: it is no whole zip of arrays, or one of them declares more than it holds.
    """
    with reading(plain_file(path, root)):
        if not is_zipfile(path):
            raise ValueError("it is no whole zip of arrays")
        with ZipFile(path) as file:
            yield {
                entry.filename.removesuffix(".npy"): _member(path, file, entry)
                for entry in file.infolist()
                if entry.filename.endswith(".npy")
            }


def _member(path: Path, file: ZipFile, entry: ZipInfo) -> Array:
    """One array, after a comparison of what its header and the zip tell."""
    name = entry.filename
    if entry.compress_type not in PACKED or entry.flag_bits & ENCRYPTED:
        raise BadFile(
            path,
            f"it cannot be read ('{name}' is encrypted or packed in a way that numpy does not use)",
            "Write it with numpy.savez_compressed",
        )
    with file.open(entry) as member:
        shape, fortran, dtype, start = _header(member)
    if dtype.hasobject:
        raise BadFile(path, f"'{name}': {PICKLED}", "Write it as plain arrays")
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size != entry.file_size - start:
        held = entry.file_size - start
        raise BadFile(path, f"'{name}' declares {dtype} {list(shape)} and holds {held} bytes")
    check_size(path, name, size, min(entry.compress_size, path.stat().st_size))

    def read(rows: slice) -> np.ndarray:
        with reading(path), file.open(entry) as member:
            member.read(start)
            data = bytearray(member.read())
        return np.ndarray(shape, dtype, data, order="F" if fortran else "C")[rows]

    return Lazy(shape, dtype, read) if shape else read(...)  # pyright: ignore[reportArgumentType]


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, order, dtype and place of the first value of an npy stream."""
    version = np.lib.format.read_magic(member)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, fortran, dtype = read[version](member)
    return shape, fortran, dtype, member.tell()


def write_episode(folder: Path, index: int, steps: Mapping[str, np.ndarray]) -> Path:
    """Write one episode as `episode_NNNNNN_T.npz`, whole or not at all; arrays of T + 1 rows.

    `discount` is added where it is missing: 0 where the episode terminated, else 1.

    Raises:
        StorageError: the disk is full.
    """
    steps = dict(steps)
    if DISCOUNT not in steps:
        steps[DISCOUNT] = 1.0 - steps["is_terminal"].astype(np.float32)
    path = episode_path(Path(folder), index, len(steps[ACTION]) - 1)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    save_episode(path, steps)
    return path


def read_episodes(folder: Path) -> Iterator[Steps]:
    """Episodes of a folder in the order of their names, one in memory at a time, (T + 1, ...).

    Raises:
        UsageError: there is no episode, or a file is not one.
    """
    for episode in NpzSource(Path(folder), Reading()).episodes():
        yield episode.steps
