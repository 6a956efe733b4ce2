"""A pack: the folder in which an agent is given to others, with a hash of every file in it."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from choreo.errors import CheckpointError
from choreo.record.checkpoint import STATE, TENSORS
from choreo.record.files import write_whole
from choreo.schema import Named, Whole, plain_bytes, problem, read_json

FORMAT = 1
LISTING = "pack.json"
CARD, OPTIONS, PAGE, FIGURES = "README.md", "config.json", "report.html", "skills.json"
FILM = "film.mp4"
CONTRACT = "contract.json"  # by which an exported policy is known, which is no pack
FILES = (CARD, TENSORS, STATE, OPTIONS, FIGURES, PAGE, FILM)
"""Every file that a pack may list."""
NEEDED = (CARD, TENSORS, STATE)
MOST = 2**30  # bytes of all files together [ours]
FORM = {
    "format": (FORMAT,),
    "about": dict,
    "files": Named({"bytes": Whole(0, MOST), "sha256": str}),
    "sha256": str,
}
AGAIN = "Get the pack again from where it came from."


def is_pack(path: Path) -> bool:
    """Whether a folder says of itself that it is a pack."""
    return (path / LISTING).is_file()


def seal(folder: Path, about: Mapping[str, Any]) -> None:
    """List the files of a finished pack with their hashes; `about` is of what agent it is.

    Raises StorageError when the list cannot be written.
    """
    names = [name for name in FILES if (folder / name).is_file()]
    contents = {name: (folder / name).read_bytes() for name in names}
    content = {
        "format": FORMAT,
        "about": dict(about),
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in contents.items()
        },
    }
    seal = {"sha256": _digest(content)}
    write_whole(folder / LISTING, json.dumps(content | seal, indent=1) + "\n")


def read(folder: Path) -> dict[str, Any]:
    """What the list of a pack says, if it is what was written; the files are not looked at.

    Raises:
        CheckpointError: the list is damaged, edited, or names files that no pack has.
    """
    try:
        content = read_json(folder / LISTING)
    except (OSError, ValueError) as error:
        raise _broken(folder, f"{LISTING} cannot be read ({error})") from error
    if isinstance(content, dict) and content.get("format") not in (FORMAT, None):
        raise CheckpointError(
            f"{folder} is a pack of format {str(content['format'])[:20]}; this version of Choreo "
            f"reads format {FORMAT}. Use the version that wrote it."
        )
    if wrong := problem(content, FORM):
        raise _broken(folder, f"{LISTING}: {wrong}")
    if content["sha256"] != _digest({k: v for k, v in content.items() if k != "sha256"}):
        raise _broken(folder, f"{LISTING} is not what was packed")
    unknown = [name for name in content["files"] if name not in FILES]
    missing = [name for name in NEEDED if name not in content["files"]]
    if unknown or missing:
        wrong = f"lists {unknown[0]!r:.60}, which no pack has" if unknown else f"lacks {missing[0]}"
        raise _broken(folder, f"{LISTING} {wrong}")
    if sum(file["bytes"] for file in content["files"].values()) > MOST:
        raise _broken(folder, f"{LISTING} lists more than {MOST:,} bytes")
    return content


def check(folder: Path) -> dict[str, Any]:
    """What the list of a pack says, after every file was compared with it.

    Raises:
        CheckpointError: as `read`, or a file is missing, was changed or does not belong there.
    """
    content = read(folder)
    for _, wrong in compare(folder, content):
        if wrong is not None:
            raise _broken(folder, wrong)
    return content


def compare(folder: Path, content: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Every file of a pack by name, with what is wrong with it, None where nothing is.

    Files whose names begin with a dot are those of hubs and of git, and not looked at.
    """
    for name, listed in content["files"].items():
        yield name, _difference(folder / name, listed)
    known = {*content["files"], LISTING}
    for path in sorted(folder.iterdir()):
        if path.name not in known and not path.name.startswith("."):
            yield path.name, f"{path.name} does not belong to it: {LISTING} does not list it"


def _difference(path: Path, listed: Mapping[str, Any]) -> str | None:
    try:
        content = plain_bytes(path, listed["bytes"])
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} is not what was packed: {error.strerror or error}"
    if hashlib.sha256(content).hexdigest() != listed["sha256"]:
        return f"{path.name} is not what was packed"
    return None


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _broken(folder: Path, reason: str) -> CheckpointError:

    return CheckpointError(f"The pack {folder} is damaged: {reason}. {AGAIN}")
