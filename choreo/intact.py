"""Whether a run folder is as it was written: every byte of it is compared with its hash."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from choreo.config_form import options_of
from choreo.data.card import CARD, IMPORTED, read_card
from choreo.data.finishing import verify
from choreo.doctor import Finding
from choreo.errors import ChoreoError, UsageError
from choreo.record import RunFolder, checkpoint, is_claimed, pack
from choreo.record.hub import local
from choreo.replay import Replay
from choreo.schema import Named, problem, read_json

AGAIN = "Copy it back from where it was whole."
ANEW = "Export the policy again, or copy it back from where it was whole."


def examine_run(folder: Path) -> list[Finding]:
    """What of a run, checkpoint, pack, export or imported set is not what was written, by name.

    Reads all of it and changes nothing.

    Raises:
        UsageError: the folder is not there or none of them, or another process works on it.
    """
    folder = local(folder)
    if not folder.is_dir():
        raise UsageError(f"no such folder: {folder}; give a run, pack, export or imported set")
    if pack.is_pack(folder):
        return list(_pack(folder))
    if (folder / checkpoint.STATE).exists():
        return [_guarded(folder.name, lambda: _checkpoint(folder))]
    if (folder / CARD).is_file():
        return list(_data(folder, "data"))
    if (folder / pack.CONTRACT).is_file():
        return list(_exported(folder))
    run = RunFolder(folder)
    if not run.config_path.exists():
        raise UsageError(
            f"{folder} is no run, checkpoint, pack, export or imported set: there is no "
            f"{run.config_path.name}, {checkpoint.STATE}, {pack.LISTING}, {pack.CONTRACT} or "
            f"{CARD} in it. Give the folder of one."
        )
    if is_claimed(folder):
        raise UsageError(f"{folder} is being worked on: wait until that ends, or stop it first.")
    return list(_findings(run))


def _findings(run: RunFolder) -> Iterator[Finding]:
    def options() -> Finding:
        count = len(options_of(run))
        return Finding("config.json", f"{count} options, each of its kind", True)

    yield _guarded("config.json", options)
    for path in (*_folders(run.checkpoints), *_folders(run.snapshots)):
        name = path.relative_to(run.path).as_posix()
        yield _guarded(name, lambda path=path: _checkpoint(path, run.path))
    yield _guarded("replay", lambda: _replay(run))
    yield from _data(run.path / "data", "data")
    yield from _recorded_elsewhere(run)


def _pack(folder: Path) -> Iterator[Finding]:
    """Every file of a pack."""
    try:
        content = pack.read(folder)
    except ChoreoError as error:
        yield Finding(pack.LISTING, str(error), False, pack.AGAIN)
        return
    yield Finding(pack.LISTING, f"lists {len(content['files'])} files", True)
    for name, wrong in pack.compare(folder, content):
        told = "is what was packed" if wrong is None else f"{folder / name}: {wrong}"
        yield Finding(name, told, wrong is None, "" if wrong is None else pack.AGAIN)


def _exported(folder: Path) -> Iterator[Finding]:
    """The contract of an exported policy, and every file that it lists."""
    from choreo.export.act import SUMS  # brings torch, which no other folder needs here

    path, told = folder / pack.CONTRACT, folder / SUMS
    if told.is_file():
        wanted = told.read_text(encoding="utf-8").split()
        yield _hashed(pack.CONTRACT, path, wanted[0] if wanted else "nothing")
    else:
        yield Finding(SUMS, f"{told} is not there", False, ANEW)
    try:
        files = read_json(path)["files"]
        if wrong := problem(files, Named(str), "files"):
            raise ValueError(wrong)
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Finding("files", f"{path} lists no files: {error}", False, ANEW)
        return
    for name, digest in sorted(files.items()):
        yield _guarded(name, lambda name=name, digest=digest: _hashed(name, folder / name, digest))


def _hashed(name: str, path: Path, wanted: str) -> Finding:
    """Whether a file has the hash that was written down for it."""
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == wanted:
            return Finding(name, "is what was exported", True)
    return Finding(name, f"{path} is not what was exported: its hash is another one", False, ANEW)


def _folders(folder: Path) -> list[Path]:
    """Folders of checkpoints, also of those that lack their state; none that is half written."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _guarded(name: str, check: Callable[[], Finding]) -> Finding:
    """The finding of a check; where that is refused, the refusal."""
    try:
        return check()
    except ChoreoError as error:
        return Finding(name, str(error), False, AGAIN)
    except OSError as error:
        return Finding(name, f"{error.filename or name} cannot be read: {error}", False, AGAIN)


def _checkpoint(path: Path, base: Path | None = None) -> Finding:
    name = path.name if base is None else path.relative_to(base).as_posix()
    checkpoint.load_intact_state(path)
    return Finding(name, "weights and state are what was saved", True)


def _replay(run: RunFolder) -> Finding:
    """Every segment that a checkpoint knows, compared with the hash recorded there."""
    changed: dict[str, None] = {}
    compared, without = 0, 0
    for path in checkpoint.list_checkpoints(run.checkpoints):
        try:
            state: Any = checkpoint.load_state(path).get("replay")
        except ChoreoError:  # told of the checkpoint
            continue
        if state is None:
            continue
        replay = Replay.open(run.replay, state)
        changed |= dict.fromkeys(str(one) for one in replay.changed(state))
        sums = state.get("sums") or []
        compared, without = max(compared, sum(map(len, sums))), without + (not sums)
        replay.close()
    if changed:
        return Finding("replay", f"changed: {', '.join(changed)}", False, AGAIN)
    told = f"{compared} segments are what was recorded" if compared else "nothing to compare"
    older = f"; {without} checkpoints recorded no hashes" if without else ""
    return Finding("replay", told + older, True)


def _data(folder: Path, name: str) -> Iterator[Finding]:
    """The files of an imported set, if there is one."""
    if not (folder / CARD).is_file():
        return

    def compare() -> Finding:
        card = read_card(folder) or {}
        if card.get("kind") != IMPORTED:
            return Finding(name, f"{folder / CARD} has no hashes: only imported sets do", True)
        changed = verify(folder, card)
        told = " ".join(changed) or f"{len(card['files'])} files are what was imported"
        return Finding(name, told, not changed, AGAIN if changed else "")

    yield _guarded(name, compare)


def _recorded_elsewhere(run: RunFolder) -> Iterator[Finding]:
    """The set outside of its folder that an offline run learns from, where it is still there."""
    try:
        data = options_of(run).get("data")
    except ChoreoError:  # told of config.json
        return
    if data is not None and not (run.path / "data" / CARD).is_file():
        if Path(data).is_dir():
            yield from _data(Path(data), data)
        else:
            yield Finding(data, "not here by now, so it was not compared", True)
