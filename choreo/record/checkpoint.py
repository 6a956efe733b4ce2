"""Checkpoints: a folder with tensors.safetensors and state.json, there whole or not at all."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safetensors import SafetensorError

from choreo.errors import CheckpointError, StorageError, UsageError
from choreo.record.files import sync, write_whole, writing
from choreo.schema import read_json

if TYPE_CHECKING:  # torch is imported where tensors are read: what a run says needs none
    from torch import Tensor

FORMAT = 1
TENSORS = "tensors.safetensors"
STATE = "state.json"
LATEST = "latest"
TEMPORARY = ".saving-"
REPLACED = ".replaced-"
TRIES = 5  # to read a checkpoint that is being replaced [ours]

T = TypeVar("T")


def save(
    folder: Path,
    name: str,
    tensors: "Mapping[str, Tensor]",
    state: Mapping[str, Any],
    keep: int | None,
    point: bool = True,
) -> Path:
    """Write checkpoint `name` into `folder`, point `latest` at it, and remove the oldest ones.

    Args:
        folder: the folder of all checkpoints of a run; made when missing.
        name: letters, digits, `._-`; the numbers in it give the order, such as `frames_4000`.
        tensors: what to store, on any device.
        state: values JSON knows.
        keep: how many to leave, the new one included; None leaves all. Those that come after the
            new one in order belong to a course the run has left, and are removed as well.
        point: whether `latest` shall name the new one.

    Returns:
        The folder of the new checkpoint.

    Raises:
        StorageError: it could not be written; all earlier checkpoints are intact.
    """
    _check_name(name)
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
    temporary, final = folder / f"{TEMPORARY}{name}", folder / name
    try:
        _write(temporary, tensors, state)
        _put_in_place(temporary, final)
        if point:
            write_whole(folder / LATEST, name + "\n")
    except StorageError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if keep is not None:
        _prune(folder, final, keep)
    return final


def load(path: Path) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """Tensors (on the CPU) and state of the checkpoint in the folder `path`.

    Raises:
        CheckpointError: it is missing, truncated, changed, foreign or of another format.
    """
    from safetensors.torch import load_file

    state = load_intact_state(path)
    file = Path(path) / TENSORS
    try:
        return load_file(file), state
    except (SafetensorError, OSError, RuntimeError) as error:  # a file that has just gone
        raise _broken(path, str(error)) from error


def load_intact_state(path: Path) -> dict[str, Any]:
    """The state of a checkpoint whose tensors are, by their hash, those that were saved.

    Raises:
        CheckpointError: as for `load`.
    """
    state = load_state(path)
    file = Path(path) / TENSORS
    if not file.is_file() or _sha256(file) != _read_json(path)["tensors_sha256"]:
        raise _broken(path, f"{TENSORS} is missing or not what was saved")
    return state


def load_state(path: Path) -> dict[str, Any]:
    """Only the state of a checkpoint, without its tensors.

    Raises:
        CheckpointError: as for `load`.
    """
    found = _read_json(path)
    if found.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a checkpoint of format {found.get('format')}; this version of Choreo reads "
            f"format {FORMAT}. Use the version that wrote it."
        )
    if not {"tensors_sha256", "state_sha256", "state"} <= found.keys():
        raise _broken(path, f"{STATE} lacks its parts")
    if _digest(json.dumps(found["state"])) != found["state_sha256"]:
        raise _broken(path, f"{STATE} is not what was saved")
    return found["state"]


def identity(path: Path) -> str:
    """A hash of the tensors of a checkpoint, as it was recorded when they were written."""
    load_state(path)
    return str(_read_json(path)["tensors_sha256"])


def steady(find: Callable[[], Path], read: Callable[[Path], T]) -> T:
    """What `read` makes of the checkpoint that `find` finds, also beside a run that replaces it.

    One that has gone or was exchanged meanwhile is looked for again.
    """
    for tries_left in reversed(range(TRIES)):
        path, before = None, None
        try:
            path = find()
            before = _mark(path)
            return read(path)
        except (CheckpointError, FileNotFoundError):
            if not tries_left or (path is not None and before == _mark(path) is not None):
                raise
    raise AssertionError("the last try returns or raises")


def _mark(path: Path) -> tuple[int, int] | None:
    """What changes when a checkpoint is replaced; None where there is none."""
    try:
        found = (path / STATE).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def latest(folder: Path) -> Path | None:
    """The checkpoint that was completed last, or None when there is none."""
    pointer = Path(folder) / LATEST
    if pointer.is_file():
        name = pointer.read_text(encoding="utf-8").strip()
        for path in (Path(folder) / name, Path(folder) / f"{REPLACED}{name}"):
            if (path / STATE).is_file():
                return path
    complete = list_checkpoints(folder)
    return complete[-1] if complete else None


def list_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints of a folder, in the order of the numbers in their names."""
    paths = [path.parent for path in Path(folder).glob(f"*/{STATE}")]
    return sorted((path for path in paths if not path.name.startswith(".")), key=_order)


def _write(temporary: Path, tensors: "Mapping[str, Tensor]", state: Mapping[str, Any]) -> None:
    """Write both files into the temporary folder and make them survive a power cut."""
    from safetensors.torch import save_file

    text = json.dumps(state)
    file = temporary / TENSORS
    with writing(temporary):
        temporary.mkdir()
        try:
            save_file(_separate(tensors), file)
        except SafetensorError as error:  # how that library reports a full disk
            raise OSError(str(error)) from error
        sync(file)
        content = {
            "format": FORMAT,
            "tensors_sha256": _sha256(file),
            "state_sha256": _digest(json.dumps(json.loads(text))),
            "state": json.loads(text),
        }
        (temporary / STATE).write_text(json.dumps(content), encoding="utf-8")
        shutil.copymode(temporary / STATE, file)  # its library keeps it from all others
        sync(temporary / STATE)
        sync(temporary)


def _separate(tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """The tensors on the CPU, contiguous, no two in the same memory, as the file format wants."""
    seen: set[int] = set()
    separate: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().to("cpu").contiguous()
        address = plain.untyped_storage().data_ptr()
        separate[name] = plain.clone() if address in seen else plain
        seen.add(address)
    return separate


def _put_in_place(temporary: Path, final: Path) -> None:
    """Give the finished folder its name; one of the same name gives way."""
    replaced = final.with_name(f"{REPLACED}{final.name}")
    with writing(final):
        if final.exists():
            final.rename(replaced)
        temporary.rename(final)
        sync(final.parent)
        shutil.rmtree(replaced, ignore_errors=True)


def _prune(folder: Path, newest: Path, keep: int) -> None:
    """Remove all but the last `keep` checkpoints up to `newest`."""
    paths = list_checkpoints(folder)
    position = paths.index(newest) + 1
    for path in paths[: max(0, position - keep)] + paths[position:]:
        # First out of sight, then gone: a kill in between leaves no half checkpoint behind.
        hidden = path.rename(path.with_name(f"{TEMPORARY}{path.name}"))
        shutil.rmtree(hidden, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left unfinished, and give back a name it had taken away."""
    for path in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(path)
    for path in folder.glob(f"{REPLACED}*"):
        final = folder / path.name.removeprefix(REPLACED)
        if final.exists():
            shutil.rmtree(path)
        else:
            path.rename(final)


def _read_json(path: Path) -> dict[str, Any]:
    """The content of state.json, whatever it holds."""
    file = Path(path) / STATE
    if not file.is_file():
        raise CheckpointError(
            f"{path} holds no checkpoint: there is no {STATE} in it. Give the folder of one."
        )
    try:
        content = read_json(file)
    except (OSError, ValueError) as error:
        raise _broken(path, f"{STATE} cannot be read ({error})") from error
    if not isinstance(content, dict) or "format" not in content:
        raise CheckpointError(f"{path} is not a checkpoint of Choreo. Give the folder of one.")
    return content


def _broken(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"The checkpoint {path} is damaged: {reason}. Remove that folder to use the one before it."
    )


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or name == LATEST:
        raise UsageError(
            f"'{name}' cannot name a checkpoint; use letters, digits, '.', '_' and '-'."
        )


def _order(path: Path) -> list[tuple[int, str]]:
    """Sort key in which `frames_900` comes before `frames_1000`."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
