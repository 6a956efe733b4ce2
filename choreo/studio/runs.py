"""The runs that a studio shows: where they lie and what their files say, without torch."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from choreo.envs.make import names_code
from choreo.envs.named import is_remembered
from choreo.errors import ChoreoError, UsageError
from choreo.record import checkpoint, is_claimed, pack
from choreo.record.hub import address_of
from choreo.schema import Maybe, Named, problem, read_json
from choreo.studio.settings import Settings

DEPTH = 4  # folders below the given one in which runs are looked for, as in reports
MOST_RUNS = 500  # that a page lists [ours]
MOST_FOLDERS = 20_000  # that are looked into [ours]
PHASES = {"pretraining": "pretrain", "offline": "offline", "adaptation": "finetune"}
COMMANDS = ("pretrain", "offline", "finetune")
AGENT = {
    "spec": {"id": str, "observations": Named(dict), "obs": Maybe(str)},
    "config": {"skills": {"codes": int}},
    "parts": str,
}


@dataclass(frozen=True)
class Run:
    """One run, checkpoint or saved agent that can be opened."""

    id: str
    title: str
    path: Path
    entry: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def folder(self) -> Path:
        """The run folder that it lies in; itself where there is none."""
        places = (self.path, *self.path.parents[:2])
        return next((p for p in places if (p / "config.json").is_file()), self.path)

    @property
    def metrics(self) -> Path:
        """The file of its metrics."""
        return self.folder / "metrics.jsonl"


def find_runs(place: Path) -> list[Run]:
    """All runs at and below a folder, which may be a run, a sweep, or hold either.

    Raises UsageError where there is none.
    """
    address, place = address_of(place), place.resolve()
    found = [_named(path, place) for path in _limited(_walk(place, DEPTH))]
    if len(found) == 1 and address is not None:  # else called by the hash of its commit
        found = [replace(found[0], title=address)]
    if not found and (place / pack.CONTRACT).is_file():
        raise UsageError(
            f"{place} is an exported policy, which has no world model to look into. Give the run "
            "that it was exported from"
        )
    if not found:
        raise UsageError(
            f"{place} holds no run: there is no config.json of a run and no checkpoint in it or "
            f"{DEPTH} folders below. Give the folder of a run, or one that holds runs"
        )
    return found


def _limited(paths: Iterator[Path]) -> Iterator[Path]:
    for number, path in enumerate(paths):
        if number < MOST_RUNS:
            yield path


def _named(path: Path, place: Path) -> Run:
    title = path.name if path == place else str(path.relative_to(place))
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:10]
    word = re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-")[-40:]
    return Run(f"{word}-{digest}".lstrip("-"), title, path)


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    if _is_run(folder) or (folder / checkpoint.STATE).is_file():
        yield folder
        return
    if depth > 0:
        for child in sorted(_children(folder), key=lambda p: _natural(p.name)):
            yield from _walk(child, depth - 1)


def _children(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [
                Path(entry.path)
                for _, entry in zip(range(MOST_FOLDERS), entries)
                if not entry.name.startswith(".") and entry.is_dir()
            ]
    except OSError:
        return []


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts s2 before s10."""
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", name)]


def _is_run(folder: Path) -> bool:
    return _options(folder).get("command") in COMMANDS


def _options(folder: Path) -> dict[str, Any]:
    """The options in config.json; none where there are none to be believed."""
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return {} if problem(content, {"config": dict}) else content["config"]


def checkpoint_of(path: Path) -> Path | None:
    """The checkpoint that a path means: itself, or the latest one of a run; None without one."""
    if (path / checkpoint.STATE).is_file():
        return path
    for folder in (path / "checkpoints", path):
        found = checkpoint.latest(folder) if folder.is_dir() else None
        if found is not None:
            return found
    return None


def identity_of(run: Run) -> str | None:
    """The hash of the weights of a run's checkpoint; None before the first one.

    Raises CheckpointError where it is damaged.
    """
    try:
        found = checkpoint.steady(lambda: _present(run.path), checkpoint.identity)
    except FileNotFoundError:
        return None
    return hashlib.sha256(found.encode()).hexdigest() if not is_hash(found) else found


def is_hash(text: str) -> bool:
    """Whether this can be the hash of a checkpoint's tensors."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def _present(path: Path) -> Path:
    found = checkpoint_of(path)
    if found is None:
        raise FileNotFoundError(path)
    return found


def mark_of(run: Run, saved_only: bool = False) -> tuple[int, ...]:
    """What changes when a run has gone on: times and sizes of its metrics and checkpoints.

    With `saved_only` what changes when it has saved another checkpoint.
    """
    marks = []
    saved = run.path / "checkpoints" / checkpoint.LATEST
    for path in (saved,) if saved_only else (run.metrics, saved):
        try:
            found = path.stat()
            marks += [found.st_mtime_ns, found.st_size] if stat.S_ISREG(found.st_mode) else [0, 0]
        except OSError:
            marks += [0, 0]
    return tuple(marks) if saved_only else (*marks, int(is_claimed(run.folder)))


def described(run: Run, settings: Settings, draws: str | None) -> Run:
    """The run with its entry for the list; `draws` says why pictures cannot be drawn, or None."""
    options = _options(run.folder)
    agent, frames, why = _agent_of(run)
    spec, codes = agent.get("spec", {}), agent.get("config", {}).get("skills", {}).get("codes", 0)
    environment = str(spec.get("id") or options.get("env") or options.get("data") or "unknown")
    cannot = why or cannot_play(environment, run, settings)
    own = names_code(environment) or environment.startswith("gym:")  # may draw themselves
    undrawn = None if own else draws
    command = options.get("command")
    phase = command if command in COMMANDS else PHASES.get(agent.get("parts", ""), "finetune")
    entry = {
        "checkpoint": _identity_or_none(run) if agent else None,
        "id": run.id,
        "title": run.title,
        "phase": phase,
        "environment": environment,
        "obs": str(spec.get("obs") or options.get("obs") or "states"),
        "preset": _text(options.get("preset")),
        "seed": options.get("seed") if isinstance(options.get("seed"), int) else None,
        "frames": frames,
        "counted": "updates" if phase == "offline" else "frames",
        "skills": codes,
        "codes": codes,
        "running": is_claimed(run.folder),
        "has_task": agent.get("parts") in ("adaptation", "task"),
        "simulates": cannot is None,
        "renders": cannot is None and undrawn is None,
        "why_not": cannot or undrawn,
    }
    return replace(run, entry=entry)


def _identity_or_none(run: Run) -> str | None:
    try:
        return identity_of(run)
    except (ChoreoError, OSError):
        return None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _agent_of(run: Run) -> tuple[dict[str, Any], int | None, str | None]:
    """What the checkpoint says of the agent, its frames, and why it cannot be opened or None."""
    try:
        state = checkpoint.steady(lambda: _present(run.path), checkpoint.load_state)
    except FileNotFoundError:
        return (
            {},
            None,
            "This run has saved no checkpoint yet. Wait until it has, or resume it if it stopped.",
        )
    except (ChoreoError, OSError) as error:
        return {}, None, str(error)
    agent = state.get("agent")
    if wrong := problem(agent, AGENT, "agent"):
        return {}, None, f"The checkpoint does not describe an agent: {wrong}."
    assert agent is not None
    count = state.get("count")
    return agent, count if isinstance(count, int) else None, None


def cannot_play(environment: str, run: Run, settings: Settings) -> str | None:
    """Why no simulator of this environment is started, or None."""
    if env_for(environment, run, settings) is not None:
        return None
    if environment.startswith("data:"):
        return (
            "This agent learned from recorded data and knows no environment: it can be imagined, "
            "not performed. Start the studio on this run with --env to give it one."
        )
    if names_code(environment) and not (settings.trust or is_remembered(environment)):
        return (
            f"This run names the code {environment} as its environment, which whoever made the "
            f"folder chose. Start the studio with --env {environment} if that is what you want to "
            "run, or with --trust for runs of your own."
        )
    return None


def env_for(environment: str, run: Run, settings: Settings) -> str | None:
    """What `--env` means for a run: its environment, or that its own code of this name may run.

    The former where the studio was opened on this run alone.
    """
    if run.path == settings.place.resolve() or settings.env == environment:
        return settings.env
    return None
