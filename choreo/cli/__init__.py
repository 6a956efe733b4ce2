"""The `choreo` command: finds the command named first and turns errors into exit codes."""

import importlib
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from choreo.errors import ChoreoError, UsageError

# name -> module, function, what it does
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "learn skills on a point mass, show them, adapt them to a task"),
    "pretrain": ("train", "explore without rewards; learn a world model and skills"),
    "offline": ("train", "learn a world model and skills from recorded data"),
    "finetune": ("train", "adapt the skills of a run to a task"),
    "evaluate": ("measure", "returns of a skill, all skills, the meta-controller, or chance"),
    "skills": ("measure", "report on what the skills of a run are: report.html, skills.json"),
    "report": ("report", "many runs on one page: tables, intervals, curves, what is missing"),
    "zeroshot": ("zeroshot", "fraction of goals that skills find without adaptation"),
    "data": ("data", "recorded data: inspect, import, export, collect, relabel"),
    "env": ("inspect", "list environments, or check one: `choreo env check ID`"),
    "doctor": ("inspect", "versions, device, renderer, threads, disk; what to install"),
    "bench": ("bench", "what updates, acting, sampling and environments cost on this machine"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (0 done, 1 failed, 2 cannot be done as given)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments[0] == "--version":
        from choreo import __version__

        print(f"choreo {__version__}")
        return 0
    try:
        return run(arguments[0], arguments[1:])
    except ChoreoError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


def run(name: str, arguments: list[str]) -> int:
    """Run the command called `name`."""
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean `choreo {near[0]}`?" if near else "`choreo --help` lists them."
        raise UsageError(f"unknown command {name!r}; {hint}")
    module = importlib.import_module(f"choreo.cli.{COMMANDS[name][0]}")
    code = getattr(module, name)(arguments)
    return int(code or 0)


def usage() -> str:
    """The list of commands."""
    rows = "\n".join(f"  {name:<10} {text}" for name, (_, text) in COMMANDS.items())
    return (
        "Choreo learns skills without rewards and adapts them to tasks.\n\n"
        f"usage: choreo COMMAND [OPTIONS]\n\n{rows}\n\n"
        "`choreo COMMAND --help` explains the options of a command."
    )
