"""Which format a folder or file of recorded data has."""

from os.path import lexists
from pathlib import Path

from choreo.data import files
from choreo.data.episode import Reading
from choreo.data.formats.hdf5 import SUFFIXES, Hdf5Source, hdf5_files
from choreo.data.formats.lerobot import INFO, LeRobotSource
from choreo.data.formats.minari import MinariSource, data_folder
from choreo.data.formats.npz import SUFFIX, NpzSource
from choreo.data.formats.replay_folder import ReplaySource, is_replay
from choreo.data.formats.source import Source
from choreo.errors import UsageError

PICKLES = (".pkl", ".pickle", ".npy", ".pt", ".pth", ".joblib")
IMPORTED_BY_RUN = "data"
KNOWN = "npz episodes, a run folder, an imported set, Minari, HDF5 or LeRobot 3"


def open_source(path: Path, reading: Reading | None = None) -> Source:
    """The episodes in a folder or file, its format told by what is in it.

    Raises:
        UsageError: there are none, a library is missing, or the format is none that is read.
    """
    path, reading = Path(path), reading or Reading()
    if path.is_dir() and not is_replay(path) and is_replay(path / IMPORTED_BY_RUN):
        path /= IMPORTED_BY_RUN  # a run that learned from data
    kind = source_kind(path)
    with files.reading(path):
        return kind(path, reading)


def source_kind(path: Path) -> type[Source]:
    """The reader for a folder or file, of which little is looked at.

    Raises:
        UsageError: there is nothing, or nothing of a format that is read.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist. Give a folder or file of recorded data: {KNOWN}.")
    if not path.is_dir():
        return _file_kind(files.plain_file(path, path))
    if is_replay(path) or is_replay(path / IMPORTED_BY_RUN):
        return ReplaySource
    if lexists(path / INFO):  # also where it is no plain file, which its reader will say
        return LeRobotSource
    if data_folder(path) is not None:
        return MinariSource
    if files.plain_files(path, (SUFFIX,)):
        return NpzSource
    if hdf5_files(path):
        return Hdf5Source
    raise _nothing_in(path)


def _file_kind(path: Path) -> type[Source]:
    if path.suffix == ".npz":
        return NpzSource
    if path.suffix in SUFFIXES:
        return Hdf5Source
    if path.suffix in PICKLES:
        raise _pickled(path)
    raise UsageError(f"{path} is of no format that is read. Give {KNOWN}.")


def _nothing_in(path: Path) -> UsageError:
    found = files.plain_files(path, ("",))
    if not found:
        return UsageError(f"{path} is an empty folder. Give {KNOWN}.")
    if pickled := [file for file in found if file.suffix in PICKLES]:
        return _pickled(pickled[0])
    names = ", ".join(file.name for file in found[:3])
    return UsageError(
        f"{path} holds {len(found)} files ({names}) of no format that is read. Give {KNOWN}."
    )


def _pickled(path: Path) -> UsageError:
    return UsageError(
        f"{path} may hold pickled Python objects, which are never loaded, as loading them can run "
        f"any code. Write the episodes with numpy.savez, one file each, and give their folder."
    )
