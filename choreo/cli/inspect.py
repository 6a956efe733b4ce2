"""`choreo env` and `choreo doctor`."""

import json
import sys
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table

from choreo.doctor import diagnose
from choreo.envs.check import check
from choreo.envs.make import list_environments
from choreo.envs.spaces import Obs
from choreo.errors import UsageError


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
    """Look at this machine and say what is missing."""

    json: bool = False
    """Print JSON instead of a table."""


def doctor(arguments: list[str]) -> int:
    """`choreo doctor`."""
    options = tyro.cli(DoctorOptions, args=arguments, prog="choreo doctor")
    findings = diagnose()
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        table = Table("", "found", "advice", title="choreo doctor")
        for finding in findings:
            table.add_row(finding.name, finding.value, finding.advice or "ok")
        Console(file=sys.stdout).print(table)
    return 0 if all(finding.ok for finding in findings) else 1
