"""Writes an exported policy: one folder that is there whole or not at all."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from choreo.agent import Agent
from choreo.data.claim import claimed
from choreo.errors import StorageError, UsageError
from choreo.export import act, parity, run
from choreo.export.contract import Source, contract
from choreo.export.graph import To, check_target, write_graph
from choreo.export.load import loader
from choreo.export.readme import readme
from choreo.export.recorded import Recorded
from choreo.export.step import ExportPolicy, PolicyStep
from choreo.record.files import sync
from choreo.record.pack import CONTRACT

SKILLS, PARITY = "skills.json", "parity.npz"
PICTURES = "thumbnails"


@dataclass(frozen=True)
class Settings:
    """What is exported, and as what; `time_limit` in agent steps is noted for `choreo evaluate`."""

    policy: ExportPolicy
    sampled: bool = False
    to: To = "onnx"
    opset: int = 18
    time_limit: int | None = None


@dataclass(frozen=True)
class Extras:
    """What goes along with a policy: content of skills.json, and pictures by file name."""

    skills: Mapping[str, Any]
    pictures: Mapping[str, bytes] = field(default_factory=dict)


def export(
    agent: Agent,
    source: Source,
    recorded: Recorded,
    extras: Extras,
    folder: Path,
    settings: Settings,
) -> dict[str, Any]:
    """Write the agent's policy to a new folder and return the contract.

    The policy is compared with the agent on the recorded steps before the folder gets its name.

    Raises:
        UsageError: the folder is there, the agent has no such policy, an opset or a library is
            missing, or the skills are of another checkpoint.
        NotTheSame: the exported policy does not act as the agent does.
        StorageError: the folder cannot be written.
    """
    check_target(settings.to, settings.opset)
    check_new(folder)
    if extras.skills["checkpoint"]["sha256"] != source.sha256:
        raise UsageError(f"skills.json is of another checkpoint than {source.checkpoint}")
    step = PolicyStep(agent, settings.policy, settings.sampled).eval()
    told = contract(step, source, settings.to, settings.opset, settings.time_limit)
    steps = parity.agents_steps(step, recorded)
    with _whole(Path(folder)) as temporary:
        write_graph(step, temporary / told["model"], settings.to, settings.opset)
        parity.save_parity(temporary / PARITY, steps)
        _write_extras(temporary, extras, settings.to)
        told["files"] = _hashes(temporary)
        _write_contract(temporary, told)
        rows = recorded.skill.shape[1]
        policy = act.Policy(temporary, rows, load=loader(settings.to))
        found = parity.check(policy, steps)
        found |= {"apart": parity.APART, "steps_together": parity.steps_together(policy, steps)}
        single = act.Policy(temporary, load=loader(settings.to))
        told["parity"] = {**found, **_tried(recorded, settings)}
        told["latency_ms"] = parity.latencies(agent, step, single, steps)
        _write_contract(temporary, told)
        (temporary / "README.md").write_text(readme(told, extras.skills), encoding="utf-8")
    return told


def check_new(folder: Path) -> None:
    """Refuse a folder that is there already, and a place where none can be made."""
    folder = Path(folder)
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already. Give a new folder for the export.")
    above = next(path for path in folder.absolute().parents if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise UsageError(f"{folder} cannot be made: {above} cannot be written to. Give another.")


def _tried(recorded: Recorded, settings: Settings) -> dict[str, Any]:
    """On what the policy was compared."""
    switches = recorded.switches if settings.policy == "skill" else 0
    return {
        "tolerance": run.TOLERANCE,
        "tie": run.TIE,
        "source": recorded.source,
        "resets": recorded.resets,
        "skill_switches": switches,
    }


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder beside it to write into, which gets its name at the end, or goes with an error.

    What a killed process has left there goes first.
    """
    temporary = folder.absolute().with_name(f".{folder.name}.partial")
    with claimed(temporary):
        try:
            for left in temporary.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield temporary
            for path in (*temporary.rglob("*"), temporary):
                sync(path)
            check_new(folder)
            temporary.rename(folder.absolute())
            sync(folder.absolute().parent)
        except OSError as error:
            raise StorageError(
                f"{folder} could not be written: {error.strerror or error}. Nothing was left; "
                "free some space or give another place, then export again"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _write_extras(folder: Path, extras: Extras, to: To) -> None:
    _write_json(folder / SKILLS, extras.skills)
    scripts = (act, run) if to == "onnx" else ()
    for module in scripts:
        path = Path(str(module.__file__))
        (folder / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    for name, picture in extras.pictures.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture)


def _write_contract(folder: Path, told: dict[str, Any]) -> None:
    _write_json(folder / CONTRACT, told)
    found = hashlib.sha256((folder / CONTRACT).read_bytes()).hexdigest()
    (folder / act.SUMS).write_text(f"{found}  {CONTRACT}\n", encoding="utf-8")


def _hashes(folder: Path) -> dict[str, str]:
    """The hash of every file by its name in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
