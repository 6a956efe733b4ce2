"""From a run to a pack: written beside its place and then given its name, whole or not at all."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from choreo.agent import Agent
from choreo.config_form import COMMANDS, options_of
from choreo.errors import UsageError
from choreo.evaluation.runs.files import read_lines
from choreo.packing.card import CardContent, Health, card_text
from choreo.record import RunFolder, checkpoint, pack
from choreo.record.files import sync, write_whole, writing
from choreo.record.hub import is_address
from choreo.record.run_folder import FORMAT
from choreo.report.provenance import Provenance, provenance_of, run_folder_of

TEMPORARY = ".packing-"
PERSONAL = ("wandb", "wandb_project")
"""Options of the log that tell of who trained."""

Measure = Callable[[Path, Provenance], Health]
"""Writes report, figures and film into a folder, and says what was found."""


def pack_run(
    run: Path,
    folder: Path,
    agent: Agent,
    measure: Measure,
    license: str = "mit",
    address: str | None = None,
    time_limit: int | None = None,
) -> Path:
    """Write the agent of a run, checkpoint, snapshot or pack as a pack into a new folder.

    Args:
        run: where the agent was loaded from.
        folder: is made; nothing may be there. A pack that was not finished leaves nothing.
        agent: what was loaded.
        measure: see `Measure`.
        license: identifier of the licence of the weights, as hubs know them.
        address: what the card calls it; None is the name of the folder.
        time_limit: agent steps of an episode for whoever opens it; None is that of the run.

    Raises:
        UsageError: something is there already.
        StorageError: it could not be written.
    """
    folder = Path(folder).absolute()
    check_free(folder)
    partial = folder.with_name(f"{TEMPORARY}{folder.name}")
    try:
        with writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(partial, ignore_errors=True)  # of one that was killed
            partial.mkdir()
        about = _without_folders(provenance_of(run, agent))
        _write_agent(partial, agent, about)
        versions = _write_options(run, partial, time_limit)
        health = measure(partial, about)
        filmed = (partial / pack.FILM).exists()
        warnings = _warnings(run_folder_of(run))
        named = address or folder.name
        content = CardContent(agent, about, health, versions, warnings, license, named, filmed)
        write_whole(partial / pack.CARD, card_text(content))
        pack.seal(partial, about.to_json())
        pack.check(partial)
        with writing(folder):
            check_free(folder)
            partial.rename(folder)
            sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def check_free(folder: Path) -> None:
    """Refuse a place where something is already, before anything is measured for it."""
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already. Give a new folder for the pack.")


def _without_folders(about: Provenance) -> Provenance:
    """The same with the name alone of what it came from: the folder above may be a user's."""
    if about.source is None or is_address(about.source):
        return about
    return replace(about, source=Path(about.source).name)


def _write_agent(folder: Path, agent: Agent, about: Provenance) -> None:
    """Networks that act, and counts; the files lie in the pack itself."""
    tensors, description = agent.inference()
    state = {"agent": description, "count": about.count, "learner": {"updates": about.updates}}
    made = checkpoint.save(folder, "agent", tensors, state, keep=None, point=False)
    with writing(folder):
        for file in made.iterdir():
            file.rename(folder / file.name)
        made.rmdir()


def _write_options(run: Path, folder: Path, time_limit: int | None) -> Mapping[str, str]:
    """The options of the run without paths and what is of its machine; returns the versions."""
    found = RunFolder(run_folder_of(run))
    if not found.config_path.exists():  # of an agent that was saved outside of a run
        return {}
    options, versions = public_options(options_of(found)), found.content().get("versions") or {}
    if time_limit is not None and options["command"] != "offline":
        options["training"] = options["training"] | {"time_limit": time_limit}
    content = {"format": FORMAT, "config": options, "versions": versions}
    write_whole(folder / pack.OPTIONS, json.dumps(content, indent=1) + "\n")
    return versions


def public_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that mean the same on another machine."""
    hints = get_type_hints(COMMANDS[options["command"]])
    paths = {
        field.name
        for field in fields(COMMANDS[options["command"]])
        if "Path" in str(hints[field.name])
    }
    kept = {name: value for name, value in options.items() if name not in paths}
    logging = {name: value for name, value in kept["logging"].items() if name not in PERSONAL}
    return kept | {"device": "auto", "logging": logging}


def _warnings(run: Path) -> list[str]:
    """What the last line of training metrics warns of."""
    lines = [one for one in read_lines(run / "metrics.jsonl", []) if one.get("kind") == "train"]
    names = [name for name, value in (lines[-1] if lines else {}).items() if value]
    return [n.removeprefix("warning/").replace("_", " ") for n in names if n.startswith("warning/")]
