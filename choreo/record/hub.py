"""Packs on a hub: an address such as hf://owner/name@revision, and the folder it leads to."""

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from choreo.errors import UsageError
from choreo.record import pack

SCHEME = re.compile(r"hf:/{1,2}")  # a path loses one of two slashes
PART = r"[A-Za-z0-9_-][A-Za-z0-9_.-]*"
NAME = re.compile(rf"{PART}/{PART}")
ADDRESS = re.compile(rf"hf:/{{1,2}}({PART}/{PART})(?:@({PART}(?:/{PART})*))?")
CACHED = re.compile(rf"models--({PART}?)--({PART})/snapshots/([0-9a-f]+)$")
FORM = "hf://OWNER/NAME or hf://OWNER/NAME@REVISION"


def is_address(path: str | Path) -> bool:
    """Whether a path is meant to be on a hub."""
    return SCHEME.match(str(path)) is not None


def local(path: str | Path) -> Path:
    """The folder that a path or the address of a pack leads to, downloaded where it is not here.

    Raises UsageError as `fetch`.
    """
    return fetch(str(path)) if is_address(path) else Path(path)


def fetch(address: str) -> Path:
    """The folder of a pack on a hub, in the cache of `huggingface_hub`.

    Only files that a pack can have are taken, at most `pack.MOST` bytes of them. Without a
    network, one that was downloaded before is used.

    Raises:
        UsageError: no such address, the hub does not give it, or it is no pack.
    """
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise UsageError(f"{address} is no address of a pack; wanted is {FORM}")
    hub = _library(address)
    wanted: dict[str, Any] = {
        "repo_id": found[1],
        "revision": found[2],
        "allow_patterns": [pack.LISTING, *pack.FILES],
    }
    with _asking(address):
        try:
            planned = hub.snapshot_download(**wanted, dry_run=True)
        except hub.errors.DryRunError:  # no network, so that only what is here can be meant
            planned = []
        _check_sizes(address, {file.filename: file.file_size for file in planned})
        if planned:
            wanted["revision"] = planned[0].commit_hash
        folder = Path(hub.snapshot_download(**wanted))
    if not pack.is_pack(folder):
        raise UsageError(f"{address} is no pack: there is no {pack.LISTING} in it")
    return folder


def push(folder: Path, name: str, private: bool = False) -> str:
    """Upload a pack to `name` (OWNER/NAME) on the hub, made where it is missing; its address.

    Raises:
        UsageError: no such name, or the hub does not take it.
        CheckpointError: the folder is no sound pack.
    """
    check_name(name)
    hub, address = _library(name), f"hf://{name}"
    listed = [pack.LISTING, *pack.check(folder)["files"]]
    with _asking(address):
        api = hub.HfApi()
        api.create_repo(name, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            commit_message="Pack of choreo",
            allow_patterns=listed,
            delete_patterns=[one for one in pack.FILES if one not in listed],
        )
    return f"{address}@{done.oid}"


def check_name(name: str) -> None:
    """Refuse what cannot name a repository of a hub, before anything is done for it."""
    if NAME.fullmatch(name) is None:
        raise UsageError(f"{name!r} cannot name a pack on a hub; wanted is OWNER/NAME")
    _library(name)


def address_of(folder: Path) -> str | None:
    """The address of a folder in the cache of the hub, None for any other."""
    found = CACHED.search(folder.as_posix())
    return f"hf://{found[1]}/{found[2]}@{found[3][:12]}" if found else None


def _check_sizes(address: str, sizes: dict[str, int]) -> None:
    total = sum(sizes.values())
    if total > pack.MOST:
        raise UsageError(f"{address} has {total:,} bytes; a pack has at most {pack.MOST:,}")


def _library(what: str) -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise UsageError(
            f"{what} is on a hub, which needs the package huggingface_hub: "
            "pip install 'choreo[hub]'"
        ) from error


@contextmanager
def _asking(address: str) -> Iterator[None]:
    """Turn whatever the library of the hub raises into a sentence."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise UsageError(
            f"{address}: the hub said {type(error).__name__}: {' '.join(lines)[:400]}"
        ) from error
