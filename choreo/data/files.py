"""Foreign files, opened with care: plain files of the set alone, and no more than they can hold."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from choreo.errors import ChoreoError, UsageError

HEADER_BYTES = 64 * 2**20  # the longest JSON header that is read [ours]
ALLOWANCE = 16 * 2**20  # bytes that an array may declare whatever is stored of it [ours]
EXPANSION = 1_032  # most that deflate packs into a byte (zlib.net, "Technical Details")
SAID = 160  # characters of a library's message that are passed on [ours]
COPY = "Copy it again or remove it"


class BadFile(UsageError):
    """One file of a set cannot be used; says which, what is wrong and what to do."""

    def __init__(self, path: Path | str, wrong: str, remedy: str = COPY) -> None:
        super().__init__(f"{path}: {wrong}. {remedy}.")
        self.path, self.wrong, self.remedy = str(path), wrong, remedy


def plain_file(path: Path, root: Path) -> Path:
    """The path, after a check that it is a regular file below the folder of its set.

    Args:
        path: file, as a folder's list or a header names it; relative ones start from `root`.
        root: the set's folder, or a set of one file itself.

    Raises:
        BadFile: there is none; or it is a pipe, a device, or outside of the folder by its name or
            by a link.
    """
    path, root = Path(path), Path(root)
    full = path if path.is_absolute() or path.is_relative_to(root) else root / path
    try:
        mode = full.stat().st_mode
        real, home = full.resolve(), root.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise BadFile(full, f"it cannot be read ({said(error)})") from error
    if not real.is_relative_to(home):
        raise BadFile(
            full,
            f"it cannot be read (it is {real}, outside of {root}, and a set may name only files of "
            "its own folder)",
            "Copy the file itself there, as `cp -rL` does with links",
        )
    if not stat.S_ISREG(mode):
        raise BadFile(
            full, f"it cannot be read (it is no plain file but {_kind(mode)})", "Remove it"
        )
    return full


def plain_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """What a folder and those in it hold with these endings, in order; links to folders unread.

    A folder with such an ending is among them, as who opens it will say that it is no file.
    """
    found = []
    for place, folders, names in os.walk(folder):
        odd = [name for name in folders if name.endswith(tuple(filter(None, suffixes)))]
        found += [Path(place) / name for name in (*names, *odd) if name.endswith(suffixes)]
    return sorted(found)


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Whatever a library raises over a file becomes a `BadFile` that names it."""
    try:
        yield
    except ChoreoError:
        raise
    except Exception as error:
        raise BadFile(path, f"it cannot be read ({said(error)})") from error


def read_json(path: Path, root: Path, most: int = HEADER_BYTES) -> Any:
    """A JSON header.

    Raises:
        BadFile: it is no plain file of the set, longer than `most` bytes, or no JSON.
    """
    path = plain_file(path, root)
    size = path.stat().st_size
    if size > most:
        raise BadFile(path, f"it has {size} bytes, and headers have {most} at most")
    with reading(path):
        return json.loads(path.read_text(encoding="utf-8"))


def check_size(path: Path | str, name: str, declared: int, stored: int) -> None:
    """Refuse an array before it is allocated, where its file cannot hold it or this machine.

    Args:
        path: its file.
        name: what it is called there.
        declared: bytes that it says it has.
        stored: bytes of the file that it takes up, as far as is known.

    Raises:
        BadFile: it declares more.
    """
    if declared > ALLOWANCE + EXPANSION * stored:
        raise BadFile(
            path, f"'{name}' declares {declared:,} bytes, and {stored:,} are stored of it"
        )
    if declared > _most_memory():
        raise BadFile(
            path,
            f"'{name}' takes {declared:,} bytes at once, more than half of this machine's memory",
            "Split it into shorter episodes, or leave it out with --keys",
        )


def said(error: BaseException) -> str:
    """What an error says, on one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= SAID else f"{text[:SAID]}..."


def _most_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
