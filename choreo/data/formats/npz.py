"""Episodes as npz files, one each, in the layouts of ExORL, of URLB's buffers and of this project.

ExORL and URLB: `episode_000012_1000.npz` or `20220101T000000_12_1000.npz`, where the last number is
that of the transitions and every array has one row more; row 0 is the reset. Source: the replay
buffers of both projects.
"""

import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np

from choreo.data.card import folder_spec
from choreo.data.episode import (
    ACTION,
    DISCOUNT,
    BadEpisode,
    EpisodeData,
    Reading,
    Steps,
    complete,
)
from choreo.data.formats.exorl import episode_path, save_episode
from choreo.data.formats.source import Source
from choreo.envs.spaces import EnvSpec
from choreo.errors import UsageError
from choreo.replay.segments import writing

LENGTH = re.compile(r"_\d+_(\d+)\.npz$")
REMEDY = "Copy it again or remove it"
UNREADABLE = (OSError, EOFError, ValueError, KeyError, RuntimeError, BadZipFile, zlib.error)
PICKLED = "it holds Python objects, which are never loaded, as loading them can run any code"


class NpzSource(Source):
    """A folder of npz episodes, those of folders in it included, or one such file.

    Files in the order of their names. A `card.json` beside them tells of the environment.
    """

    format = "npz"
    scaled = True

    def __init__(self, path: Path, reading: Reading) -> None:
        super().__init__(path, reading)
        self._paths = sorted(self.path.rglob("*.npz")) if self.path.is_dir() else [self.path]
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

    def read(self, index: int) -> EpisodeData:
        path = self._paths[index]
        raw = load(path)
        named = LENGTH.search(path.name)
        rows = len(raw[ACTION]) if ACTION in raw and raw[ACTION].ndim else 0
        if named and rows > 1 and rows - 1 != int(named[1]):
            raise BadEpisode(
                str(path),
                f"its name tells of {named[1]} transitions, and it holds {rows - 1}",
                "Write it again or remove it",
            )
        spec = self._specs[path.parent]
        if spec is not None:
            raw.setdefault("action_repeat", np.array(spec.action_repeat))
        return complete(raw, str(path), self.reading)


def load(path: Path) -> Steps:
    """The arrays of one npz file; nothing is unpickled.

    Raises:
        BadEpisode: it is not a whole zip of arrays, or holds Python objects.
    """
    try:
        if not is_zipfile(path):
            what = "it is no whole zip of arrays" if path.is_file() else "it is no file"
            raise BadEpisode(str(path), f"it cannot be read ({what})", REMEDY)
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except UNREADABLE as error:
        if "allow_pickle" in str(error):
            raise BadEpisode(str(path), PICKLED, "Write it as plain arrays") from error
        raise BadEpisode(str(path), f"it cannot be read ({error})", REMEDY) from error
    return {name: values for name, values in found.items() if isinstance(values, np.ndarray)}


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
