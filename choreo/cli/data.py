"""`choreo data`: recorded data in, out, and looked at."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from choreo.data import ImportOptions, Reading, export_data, import_data, inspect_data
from choreo.data.bounds import EXTREMES
from choreo.data.card import CARD
from choreo.data.episode import RESERVED
from choreo.data.exporter import To
from choreo.data.formats.source import Skipped
from choreo.data.inspection import few_steps
from choreo.data.reading import parse_map
from choreo.errors import UsageError

# name -> module, function, what it does
COMMANDS: dict[str, tuple[str, str, str]] = {
    "inspect": ("data", "inspect", "what recorded data hold, lack, and which of them are bad"),
    "import": ("data", "import_", "bring recorded data into this project's form"),
    "export": ("data", "export", "write a run's replay or an imported set as npz or Minari"),
    "collect": ("data_collect", "collect", "record episodes of an environment"),
    "relabel": ("data_collect", "relabel", "give episodes the reward of another task"),
}


@dataclass(frozen=True)
class InspectOptions:
    """Look at recorded data of any known format: what is there, missing and bad."""

    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]
    """Folder or file of the data."""
    keys: tuple[str, ...] | None = None
    """Observations to take; None takes every vector and image that is not known as something
    else."""
    map: tuple[str, ...] = ()
    """Arrays of other names, as NAME=NAME: action=actions takes the files' "actions" as action."""
    verify: bool = False
    """Compare every file of an imported set with the hash in its card."""
    progress: bool = True
    """Show progress."""
    json: bool = False
    """Print JSON instead of tables."""


@dataclass(frozen=True, kw_only=True)
class ImportCommand(ImportOptions):
    """Bring recorded data into this project's form; the same command again goes on."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")]
    """Folder or file of the data."""
    destination: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DST")]
    """New folder for the imported set."""
    progress: bool = True
    """Show progress."""
    json: bool = False
    """Print the data card as JSON."""


@dataclass(frozen=True)
class ExportOptions:
    """Write a run's replay or an imported set as files for others."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")]
    """Run folder or imported set."""
    destination: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DST")]
    """New folder."""
    to: To = "npz"
    """npz: one file per episode in ExORL's layout. minari: a Minari data set."""
    progress: bool = True
    """Show progress."""


def data(arguments: list[str]) -> int:
    """`choreo data inspect|import|export|collect|relabel`."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean `choreo data {near[0]}`?" if near else "`choreo data --help` lists."
        raise UsageError(f"unknown command 'data {name}'; {hint}")
    module, function, _ = COMMANDS[name]
    code = getattr(importlib.import_module(f"choreo.cli.{module}"), function)(arguments[1:])
    return int(code or 0)


def usage() -> str:
    """The list of commands."""
    rows = "\n".join(f"  {name:<8} {text}" for name, (_, _, text) in COMMANDS.items())
    return (
        f"usage: choreo data COMMAND [OPTIONS]\n\n{rows}\n\n"
        "`choreo data COMMAND --help` explains the options of a command."
    )


def inspect(arguments: list[str]) -> int:
    """`choreo data inspect PATH`; 1 when files of a set have changed, 2 when none can be used."""
    options = tyro.cli(InspectOptions, args=arguments, prog="choreo data inspect")
    reading = Reading(options.keys, named=parse_map(options.map))
    with episodes_progress("inspect", not options.progress) as tell:
        found = inspect_data(options.path, reading, options.verify, tell)
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        _tell(found)
    if not found["usable"]:
        print("error: none of the episodes can be used", file=sys.stderr)
        return 2
    return 1 if found.get("changed") else 0


def import_(arguments: list[str]) -> None:
    """`choreo data import SRC DST`."""
    command = tyro.cli(ImportCommand, args=arguments, prog="choreo data import")
    options = ImportOptions(**{f.name: getattr(command, f.name) for f in fields(ImportOptions)})
    with episodes_progress("import", not command.progress) as tell:
        card = import_data(command.source, command.destination, options, tell)
    if command.json:
        print(json.dumps(card, indent=1))
        return
    tell_import(card)
    print(f"done: {command.destination / CARD}")


def export(arguments: list[str]) -> None:
    """`choreo data export SRC DST --to npz|minari`."""
    options = tyro.cli(ExportOptions, args=arguments, prog="choreo data export")
    with episodes_progress("export", not options.progress) as tell:
        folder = export_data(options.source, options.destination, options.to, tell)
    print(f"done: {folder}")


def tell_import(card: Mapping[str, Any]) -> None:
    """What was imported, what was left out, and what the actions were taken for."""
    skipped, actions = card["skipped"], card["actions"]
    print(f"{card['episodes']} episodes, {card['steps']} steps, {skipped['count']} skipped")
    tell_skipped(skipped, card["episodes"])
    for line in card["notes"]:
        print(f"  - {line}")
    print(f"actions were {_span(actions['low'], actions['high'])} ({actions['origin']})")
    if few := few_steps(card["steps"]):
        print(f"warning: {few}")
    if actions["origin"] == EXTREMES:
        print("  - if the environment takes others, tell them with --spec: both have to agree")


def tell_skipped(skipped: Mapping[str, Any], used: int) -> None:
    """Say how many episodes were left out, and what was wrong with the first of them."""
    count = skipped["count"]
    if not count:
        return
    print(f"{count} of {count + used} episodes cannot be used and were left out:")
    for line in Skipped(**skipped).sentences() or skipped["first"]:
        print(f"  - {line}")
    if count > used:
        print("  More were left out than taken: see what they have in common before you go on.")


@contextmanager
def episodes_progress(label: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Shows how many episodes are done."""
    from choreo.record import Progress  # slow to import, and of no use to `--help`

    with Progress(0, label=label, unit="episodes", quiet=quiet) as shown:

        def tell(done: int, total: int) -> None:
            shown.total = total
            shown.update(done)

        yield tell


def _tell(found: dict[str, Any]) -> None:
    """The findings as tables."""
    console = Console(file=sys.stdout)
    lengths, actions = found["lengths"], found["actions"]
    table = Table("", "found", title=f"{found['path']}: {found['format']}")
    table.add_row("files", f"{found['files']}, {found['bytes'] / 1e6:.1f} MB")
    table.add_row("episodes", f"{found['episodes']}, {found['terminated']} of them terminated")
    table.add_row("steps", str(found["steps"]))
    table.add_row("lengths", f"{lengths['min']} to {lengths['max']}, mean {lengths['mean']:.1f}")
    table.add_row("returns", _range(found["returns"]))
    if "bounds" in actions:
        table.add_row("action bounds", f"{_span(*actions['bounds'])} ({actions['origin']})")
    table.add_row("action repeat", ", ".join(map(str, found["action_repeat"])) or "not told")
    table.add_row("timing", found["timing"])
    table.add_row("bad", str(found["bad"]["count"]))
    console.print(table)
    arrays = Table("array", "in files", "as read", "range, mean", "NaN")
    for name, extent in found["ranges"].items():
        seen = found["observations"].get(name)
        form = "" if seen is None else f"{seen['dtype']}{seen['shape']}"
        raw = found["in_files"].get(name, "not there")
        arrays.add_row(name, raw, form, _range(extent), f"{extent['nan']:.2%}")
    for name in sorted(found["in_files"].keys() - found["ranges"].keys()):
        arrays.add_row(name, found["in_files"][name], _use(name, found["left_out"]), "", "")
    console.print(arrays)
    _tell_lists(found)


def _use(name: str, left_out: Mapping[str, str]) -> str:
    """What became of an array that is no observation."""
    if name in left_out:
        return f"left out: {left_out[name]}"
    return "tells the end" if name in RESERVED else "not taken"


def _tell_lists(found: dict[str, Any]) -> None:
    lists = {
        "missing": found["missing"],
        "bad": found["wrong"],
        "changed": found.get("changed", []),
        "advice": found["advice"],
    }
    for title, lines in lists.items():
        for line in lines:
            print(f"{title}: {line}")


def _range(extent: dict[str, float | None]) -> str:
    if extent["min"] is None:
        return "no number"
    return f"{extent['min']:.4g} to {extent['max']:.4g}, {extent['mean']:.4g}"


def _span(low: Any, high: Any) -> str:
    """Bounds in few words where all dimensions agree."""
    pairs = [f"{a:.4g} to {b:.4g}" for a, b in zip(low, high)]
    return pairs[0] if len(set(pairs)) == 1 else ", ".join(pairs)
