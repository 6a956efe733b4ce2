"""The folder a run lives in, and the options it was started with."""

import fcntl
import json
import os
import platform
import time
import weakref
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from choreo.errors import UsageError
from choreo.record.files import write_whole, writing
from choreo.record.machine import commit, hardware, versions_of
from choreo.record.pack import is_pack
from choreo.schema import Maybe, Named, problem, read_json

FORMAT = 1
FORM = {
    "format": (FORMAT,),
    "config": dict,
    "versions": Maybe(Named(str)),
    "machine": Maybe(dict),
    "inputs": Maybe(Named(Maybe(str))),
}
"""The form of config.json; that of the options in it is `choreo.config_form`'s."""
LOCK = "lock"
LOOKS = 2  # times that a claim waits for a look at the lock to be over
PACKAGES = ("choreo", "torch", "numpy", "mujoco", "dm_control", "gymnasium")


@dataclass(frozen=True)
class RunFolder:
    """Where the parts of a run lie."""

    path: Path
    claims: list[weakref.finalize] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def release(self) -> None:
        """Let others, in this process or in another, write into the folder."""
        while self.claims:
            self.claims.pop()()

    @property
    def config_path(self) -> Path:
        """The file with options and versions."""
        return self.path / "config.json"

    @property
    def replay(self) -> Path:
        """The folder of the replay."""
        return self.path / "replay"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints a run resumes from."""
        return self.path / "checkpoints"

    @property
    def snapshots(self) -> Path:
        """The folder of the snapshots that are kept for good."""
        return self.path / "snapshots"

    def config(self) -> dict[str, Any]:
        """The options the run was started with, nested as in the config classes.

        Raises:
            UsageError: the file is missing, damaged or of another format.
        """
        return self.content()["config"]

    def content(self) -> dict[str, Any]:
        """All of config.json: options, versions, machine. Raises as `config`."""
        return _read(self.config_path)


def open_run(
    path: Path,
    config: Mapping[str, Any],
    may_change: Collection[str] = (),
    later: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str | None] | None = None,
) -> RunFolder:
    """Make a run folder, or open one to go on with its run.

    Args:
        path: the folder; a new or empty one becomes a run.
        config: all options, nested dicts of values JSON knows (paths become text).
        may_change: dotted names of options that may differ on resume, such as "run.frames"; the
            name of a group, such as "logging", stands for all options in it.
        later: options that runs begun before they existed do not have, by dotted name, and what
            such runs did.
        inputs: hashes of what options that are paths lead to, by their names: where the hash is
            the same, the path may differ, as it does in a project that was moved.

    Raises:
        UsageError: the folder holds something else, or a run with other options, each named, or
            another process works on it.
        StorageError: the folder cannot be written.
    """
    run = RunFolder(Path(path).absolute())
    if is_pack(run.path):
        raise UsageError(
            f"{run.path} is a pack, which holds no optimiser and no experience to resume from. "
            "Give another folder with --run-dir; `choreo finetune --from` goes on from a pack."
        )
    wanted = {
        "format": FORMAT,
        "config": as_json(config),
        "versions": versions(),
        "machine": {**hardware(config.get("device") != "cpu"), "commit": commit()},
    }
    if inputs:
        wanted["inputs"] = dict(inputs)
    if not run.config_path.exists():
        _make(run)
    _claim(run)
    if run.config_path.exists():
        found = _read(run.config_path)
        moved = _same_inputs(found.get("inputs") or {}, inputs or {})
        may_change = (*may_change, *moved)
        _compare(run.path, found["config"], wanted["config"], may_change, later or {})
        if found == wanted:
            return run
    write_whole(run.config_path, json.dumps(wanted, indent=2) + "\n")
    return run


def existing_run(path: Path) -> RunFolder:
    """The run in a folder, to be looked at and not changed.

    Raises:
        UsageError: there is none.
    """
    run = RunFolder(Path(path).absolute())
    _read(run.config_path)
    return run


def versions() -> dict[str, str]:
    """Versions of Python and of the packages a run's numbers depend on."""
    return {"python": platform.python_version()} | versions_of(PACKAGES)


def is_claimed(path: Path) -> bool:
    """Whether somebody works on the run in a folder; the claim is shared for the look alone."""
    try:
        with (path / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:  # no such file, or a file system without locks
        return False
    return False


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options as one dict with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _make(run: RunFolder) -> None:
    """Make the folder; one that holds anything but what a killed start leaves is refused."""
    ours = {LOCK, f".{run.config_path.name}.tmp"}
    if run.path.exists() and (
        not run.path.is_dir() or any(path.name not in ours for path in run.path.iterdir())
    ):
        raise UsageError(
            f"{run.path} exists and is not a run: there is no config.json in it. Give a new or "
            "empty folder with --run-dir."
        )
    with writing(run.path):
        run.path.mkdir(parents=True, exist_ok=True)


def _claim(run: RunFolder) -> None:
    """Keep other processes from writing into the folder for as long as `run` lives.

    The system lets go of the claim when this process ends, however it ends.
    """
    with writing(run.path):
        descriptor = os.open(run.path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(descriptor)
    except (BlockingIOError, PermissionError) as error:
        os.close(descriptor)
        raise UsageError(
            f"Another process is working on the run in {run.path}, or another part of this one. "
            "Wait until it ends or end it, or give another folder with --run-dir."
        ) from error
    except OSError:
        os.close(descriptor)  # a file system without locks: go on without
        return
    run.claims.append(weakref.finalize(run, os.close, descriptor))


def _lock(descriptor: int) -> None:
    """Lock a file, although `is_claimed` may look at it for a moment."""
    for _ in range(LOOKS):
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.05)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _compare(
    path: Path,
    found: Mapping[str, Any],
    wanted: Mapping[str, Any],
    may_change: Collection[str],
    later: Mapping[str, Any],
) -> None:
    """Raise a UsageError that names every option which differs and may not."""
    new = flatten(wanted)
    old = {**{name: value for name, value in later.items() if name in new}, **flatten(found)}
    missing = "(not there)"
    lines = [
        f"  {name}: found {old.get(name, missing)}, wanted {new.get(name, missing)}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name, missing) != new.get(name, missing) and not _covered(name, may_change)
    ]
    if lines:
        raise UsageError(
            f"{path} holds a run with other options that may not change on resume:\n"
            + "\n".join(lines)
            + "\nGive another folder with --run-dir, or the same options to resume this run."
        )


def _same_inputs(found: Mapping[str, Any], wanted: Mapping[str, str | None]) -> list[str]:
    """Names of the inputs that are what they were, wherever they lie now."""
    return [name for name, one in wanted.items() if one is not None and found.get(name) == one]


def _covered(name: str, may_change: Collection[str]) -> bool:
    return any(name == allowed or name.startswith(f"{allowed}.") for allowed in may_change)


def as_json(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they will be read back: tuples are lists, paths are text."""
    return json.loads(json.dumps(config, default=str))


def _read(path: Path) -> dict[str, Any]:
    """The content of a config.json."""
    if not path.is_file():
        raise UsageError(
            f"{path.parent} holds no run: there is no {path.name} in it. Give a folder of a run."
        )
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read ({error}). Copy it back, or start a run in another folder."
        ) from error
    wrong = problem(content, FORM)
    if wrong is not None:
        raise UsageError(
            f"{path} is not a run's config.json of format {FORMAT} ({wrong}). Give a folder of a "
            "run, or copy the file back."
        )
    return content
