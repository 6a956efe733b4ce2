"""`choreo env` and `choreo doctor`."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from choreo.doctor import diagnose
from choreo.envs.check import check
from choreo.envs.make import list_environments
from choreo.envs.spaces import Obs
from choreo.errors import UsageError
from choreo.intact import examine_run


@dataclass(frozen=True)
class EnvOptions:
    """List the environments, or check one of them or your own."""

    action: Annotated[Literal["list", "check"], tyro.conf.Positional]
    """What to do."""
    id: Annotated[str | None, tyro.conf.Positional] = None
    """Environment to check."""
    obs: Obs = "states"
    """What an agent would see: the environment's own observations, pictures of it, or both."""
    image_size: int = 64
    """Height and width of the pictures (pixels): 32, 64 or 128."""
    cameras: tuple[str, ...] = ()
    """Names or indices of the cameras; the domain's own unless given."""
    keys: tuple[str, ...] = ()
    """Observations to use; all unless given."""
    action_repeat: int | None = None
    """Frames per agent step; unless given 1 from states, 2 with pictures and in Meta-World."""
    time_limit: int | None = None
    """Agent steps after which an episode is cut; the environment's own unless given."""


def env(arguments: list[str]) -> int:
    """`choreo env list` and `choreo env check ID`."""
    options = tyro.cli(EnvOptions, args=arguments, prog="choreo env")
    if options.action == "list":
        for family, names in list_environments().items():
            print(f"{family}:\n  " + "\n  ".join(names))
        return 0
    if options.id is None:
        raise UsageError("`choreo env check` needs the id of an environment, such as walker_run")
    found = check(
        options.id,
        obs=options.obs,
        image_size=options.image_size,
        cameras=options.cameras,
        keys=options.keys,
        action_repeat=options.action_repeat,
        time_limit=options.time_limit,
    )
    print(f"{found.id}: {'fits' if found.ok else 'does not fit'}")
    for sentence in found.fits:
        print(f"  + {sentence}")
    for sentence in found.problems:
        print(f"  - {sentence}")
    return 0 if found.ok else 2


@dataclass(frozen=True)
class DoctorOptions:
    """Look at this machine and say what is missing, or at a run and say what has changed."""

    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = None
    """Run folder, checkpoint, pack, export or imported set whose bytes are compared with their
    hashes; None is the machine."""
    json: bool = False
    """Print JSON instead of a table."""


def doctor(arguments: list[str]) -> int:
    """`choreo doctor` and `choreo doctor RUN`; 1 where something is missing or has changed."""
    options = tyro.cli(DoctorOptions, args=arguments, prog="choreo doctor")
    findings = diagnose() if options.run is None else examine_run(options.run)
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        title = "choreo doctor" if options.run is None else str(options.run)
        table = Table("", "found", "advice", title=title)
        for finding in findings:
            found, fine = Text(finding.value), "ok" if finding.ok else ""
            table.add_row(Text(finding.name), found, finding.advice or fine)
        Console(file=sys.stdout).print(table)
    return 0 if all(finding.ok for finding in findings) else 1
