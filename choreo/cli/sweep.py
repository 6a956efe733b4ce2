"""`choreo sweep`: many runs from one spec."""

import io
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, cast

import torch
import tyro

from choreo.cli.measure import EvaluateOptions, SkillsOptions
from choreo.cli.sweep_view import View, listing
from choreo.cli.zeroshot import ZeroshotOptions
from choreo.config import FinetuneConfig, OfflineConfig, PresetName, PretrainConfig
from choreo.errors import UsageError
from choreo.presets import apply_preset
from choreo.runtime import usable_cores
from choreo.stopping import TRY_AGAIN, Stopped, handling
from choreo.sweep.begun import with_settings
from choreo.sweep.board import Board
from choreo.sweep.cells import Cell, expand
from choreo.sweep.cluster import Cluster, RayRunner
from choreo.sweep.folder import SWEEP, open_sweep, read_sweep
from choreo.sweep.local import LocalRunner, Wish, slots
from choreo.sweep.one import run_one
from choreo.sweep.overrides import Overrides
from choreo.sweep.selection import find, select
from choreo.sweep.spec import Spec, parse, read_toml, shipped

SCHEMA: dict[str, type] = {
    "pretrain": PretrainConfig,
    "offline": OfflineConfig,
    "finetune": FinetuneConfig,
    "evaluate": EvaluateOptions,
    "skills": SkillsOptions,
    "zeroshot": ZeroshotOptions,
}
Slots = Sequence[Mapping[str, str]]
"""Variables of the environment of every worker."""
EVERY = 1.0  # seconds between two looks at how cells stand


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Many runs from one spec. The same command again finishes what is missing.

    Exit codes: 0 all is done, 1 something failed, 75 (after SIGTERM) or 130 (after Ctrl-C) stopped
    and saved, 74 the disk is full.
    """

    spec: Annotated[str | None, tyro.conf.Positional] = None
    """A spec of the package by name, a TOML file, or the folder of a sweep to go on with."""
    dir: Path | None = None
    """Folder of the sweep; None is runs/NAME."""
    list: bool = False
    """List the cells and how they stand, or without a spec the specs of the package."""
    dry_run: bool = False
    """Print the command of every cell that would be run; nothing is written."""
    commands: bool = False
    """Print one shell command per missing cell, each after the one that it starts from, for a batch
    system."""
    cell: str | None = None
    """Run this cell alone: exit code 0 done, 75 stopped or not its turn yet, 1 failed."""
    workers: int | None = None
    """Cells at the same time on this machine; None is one per core, or --per-device per GPU."""
    per_device: int | None = None
    """Cells at the same time on each GPU; None is 1."""
    ray: str | None = None
    """Run on a Ray cluster: local starts one here, auto finds one, else HOST:PORT. All nodes share
    the disk of the folder."""
    retry: int = 0
    """How often a failed cell is tried again, also one that failed in an earlier call."""
    only: tuple[str, ...] | None = None
    """Only the cells (stage/name) or stages that match one of these patterns, and what they start
    from; after SPEC."""
    methods: tuple[str, ...] = ()
    """Only cells of these methods, and what they start from."""
    first_only: bool = False
    """Only one cell of every stage, to see that it works."""
    seeds: tuple[int, ...] = ()
    """Seeds instead of those of the spec."""
    tasks: tuple[str, ...] = ()
    """Tasks instead of those of the spec, of domains that it has."""
    preset: str | None = None
    """Preset of every stage that starts from nothing, instead of that of the spec."""
    device: str | None = None
    """Device of every cell, instead of that of the spec."""
    set: tuple[str, ...] = ()
    """STAGE.OPTION=VALUE ...: options of stages, such as pretrain.frames=50000."""


def sweep(arguments: list[str]) -> int:
    """`choreo sweep SPEC`."""
    options = tyro.cli(SweepOptions, args=arguments, prog="choreo sweep")
    if options.spec is None:
        return _list_specs(options)
    _check_counts(options)
    spec, root = _read(options, options.spec)
    cells = _as_begun(root, expand(spec, SCHEMA))
    _check_values(cells, root)
    chosen = select(cells, options.only or (), options.methods, options.first_only)
    board = Board(root, cells, chosen, options.retry)
    if options.list:
        listing(board)
        return 0
    if options.dry_run:
        return _print_commands(board, lambda cell: shlex.join(["choreo", *cell.arguments(root)]))
    open_sweep(root, spec, cells)
    if options.commands:
        retry = ["--retry", str(options.retry)] if options.retry else []
        words = ["choreo", "sweep", str(root), *retry, "--cell"]
        return _print_commands(board, lambda cell: shlex.join([*words, cell.name]))
    places = _places(options, spec)
    if options.cell is not None:
        return _run_one(options, root, cells, options.cell, places[0])
    return _run(options, board, places)


def _as_begun(root: Path, cells: list[Cell]) -> list[Cell]:
    """The cells with what presets said when the sweep in the folder was begun."""
    if not (root / SWEEP).is_file():
        return cells
    settings = read_sweep(root).get("settings")
    cells, told = with_settings(cells, settings or {})
    if settings is None:
        told = [
            f"{root} was begun before sweeps recorded what presets say: cells that are not begun "
            "take what presets say now"
        ]
    for line in told:
        print(line, file=sys.stderr)
    return cells


def _check_counts(options: SweepOptions) -> None:
    if options.only == ():
        raise UsageError("--only: no pattern was given; --list shows the names of cells")
    for name, least in (("workers", 1), ("per_device", 1), ("retry", 0)):
        if (value := getattr(options, name)) is not None and value < least:
            raise UsageError(f"--{name.replace('_', '-')} {value}: at least {least} is needed")


def _places(options: SweepOptions, spec: Spec) -> Slots:
    """Where cells run on this machine; on a cluster it decides about devices."""
    devices = 0 if spec.data.get("device") == "cpu" else torch.cuda.device_count()
    per_device = None if options.ray is not None else options.per_device
    return slots(options.workers, per_device, usable_cores(), devices)


def _list_specs(options: SweepOptions) -> int:
    if not options.list:
        raise UsageError(f"name a spec: {', '.join(shipped())}, or a TOML file; --list tells more")
    for name in shipped():
        print(f"{name:<14} {read_toml(name)[1].get('title', '')}")
    return 0


def _read(options: SweepOptions, given: str) -> tuple[Spec, Path]:
    """The spec with what the command line changes, and the folder of its sweep."""
    folder = Path(given)
    if (folder / SWEEP).is_file():
        if options.dir is not None and options.dir.absolute() != folder.absolute():
            raise UsageError(f"{given} is the folder of a sweep: leave out --dir")
        content = read_sweep(folder)
        name, data, root = content["name"], content["spec"], folder
    elif folder.is_dir() and given not in shipped():
        raise UsageError(
            f"{given} is a folder, but no sweep: there is no {SWEEP} in it. Give the folder of a "
            f"sweep, or a spec: {', '.join(shipped())}, or a TOML file"
        )
    else:
        name, data = read_toml(given)
        root = options.dir or Path("runs") / name
    changes = Overrides(options.seeds, options.tasks, options.preset, options.device, options.set)
    return parse(name, changes.apply(name, data), SCHEMA), root.absolute()


def _reason(said: str) -> str:
    """What is wrong, of a box with a title, the reason and where to read on."""
    text = " ".join(said.translate(str.maketrans("│╭╮╰╯─", "     -")).split())
    parts = [part.strip(" -") for part in re.split("-{3,}", text)]
    reason = next((part for part in parts[1:] if part), text).rstrip(".")
    found = re.search(r"invalid choice '(.+?)'.*one of \((.*)\)", reason)
    near = get_close_matches(found[1], re.findall("'(.+?)'", found[2]), n=1) if found else []
    return f"{reason}; did you mean {near[0]!r}?" if near else reason


def _check_values(cells: Sequence[Cell], root: Path) -> None:
    """Let the command line read one cell of every stage and method, as values can be wrong, too."""
    seen: set[tuple[str, Any]] = set()
    for cell in cells:
        kind = (cell.stage, cell.labels.get("method"))
        if kind in seen:
            continue
        seen.add(kind)
        said = io.StringIO()
        try:
            with redirect_stderr(said), redirect_stdout(said):
                _parse_cell(cell, cell.arguments(root)[1:])
        except SystemExit as error:
            raise UsageError(
                f"stage {cell.stage}: choreo {cell.command} refuses: {_reason(said.getvalue())}"
            ) from error


def _parse_cell(cell: Cell, words: list[str]) -> None:
    if "preset" in cell.options:
        config = PretrainConfig(env="")
        apply_preset(config, cast(PresetName, cell.options["preset"]))
    tyro.cli(SCHEMA[cell.command], args=words, prog=f"choreo {cell.command}")


def _print_commands(board: Board, line: Callable[[Cell], str]) -> int:
    standings = board.standings()
    for cell in board.cells:
        if cell.name in board.chosen and standings[cell.name].kind in ("ready", "waiting"):
            print(line(cell))
    return 0


def _run(options: SweepOptions, board: Board, places: Slots) -> int:
    """Run cells until nothing is left to do; the last lines say what failed."""
    wish, numbers = Wish(), []
    runner = _runner(options, board, places, wish)
    with handling(_telling(wish, numbers)), View(board) as view:
        runner.run(view.update, EVERY)
    code = view.tell_end()
    if numbers and code != 0:
        raise Stopped(numbers[0], "stopped, all cells are saved; the same command goes on")
    return code


def _runner(
    options: SweepOptions, board: Board, places: Slots, wish: Wish
) -> LocalRunner | RayRunner:
    if options.ray is None:
        return LocalRunner(board, places, wish)
    gpus = None if options.per_device is None else 1 / options.per_device
    return RayRunner(board, Cluster(options.ray, options.workers or usable_cores(), gpus), wish)


def _telling(wish: Wish, numbers: list[int]) -> Callable[[int, Any], None]:
    """A handler of signals: the first lets all cells save, the second ends them."""

    def told(number: int, _: Any) -> None:
        numbers.append(number)
        wish.say()

    return told


def _run_one(
    options: SweepOptions, root: Path, cells: Sequence[Cell], name: str, slot: Mapping[str, str]
) -> int:
    """Run one cell; its exit code."""
    cell, wish, numbers = find(cells, name), Wish(), []
    source = None if cell.source is None else find(cells, cell.source)
    with handling(_telling(wish, numbers)):
        outcome = run_one(root, cell, source, options.retry + 1, slot, wish)
    if outcome.kind == "busy":
        print(f"{cell.name}: {outcome.reason or 'another process is working on it'}")
    else:
        print(f"{outcome.kind}: {cell.name}{f': {outcome.reason}' if outcome.reason else ''}")
    if numbers and outcome.kind != "done":
        raise Stopped(numbers[0], "stopped and saved; the same command goes on")
    return {"done": 0, "failed": 1}.get(outcome.kind, TRY_AGAIN)
