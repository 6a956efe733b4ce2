"""The `choreo` command: finds the command named first and turns errors into exit codes."""

import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches

from choreo.errors import ChoreoError, UsageError
from choreo.stopping import Stopped, handling, raise_stopped

# name -> module, function, what it does
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "learn skills on a point mass, show them, adapt them to a task"),
    "pretrain": ("train", "explore without rewards; learn a world model and skills"),
    "offline": ("train", "learn a world model and skills from recorded data"),
    "finetune": ("train", "adapt the skills of a run to a task"),
    "evaluate": ("measure", "returns of a skill, all skills, the meta-controller, or chance"),
    "skills": ("measure", "report on what the skills of a run are: report.html, skills.json"),
    "play": ("play", "play a choreography of skills: a film, a table, or what the model imagines"),
    "sweep": ("sweep", "many runs from one spec: pre-train, fine-tune, evaluate, over seeds"),
    "report": ("report", "many runs on one page: tables, intervals, curves, what is missing"),
    "studio": ("studio", "see, string and steer the skills of runs on a page in the browser"),
    "zeroshot": ("zeroshot", "fraction of goals that skills find without adaptation"),
    "data": ("data", "recorded data: inspect, import, export, collect, relabel"),
    "env": ("inspect", "list environments, or check one: `choreo env check ID`"),
    "doctor": ("inspect", "what this machine lacks; with RUN, whether a run is as it was written"),
    "bench": ("bench", "what updates, acting, sampling and environments cost on this machine"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (0 done, 1 failed, 2 cannot be done as given)."""
    arguments = [_at_home(one) for one in (sys.argv[1:] if arguments is None else arguments)]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments[0] == "--version":
        from choreo import __version__

        print(f"choreo {__version__}")
        return 0
    try:
        with handling(raise_stopped):
            return run(arguments[0], arguments[1:])
    except ChoreoError as error:
        _say(f"error: {error}")
        return error.exit_code
    except Stopped as stop:
        _say(str(stop))
        return stop.exit_code


def _at_home(argument: str) -> str:
    """`~` as the home folder, also in `--run-dir=~/runs`, where shells leave it as it is."""
    option, equals, value = argument.partition("=")
    if argument.startswith("--") and value.startswith("~"):
        return f"{option}{equals}{_at_home(value)}"
    return os.path.expanduser(argument)  # noqa: PTH111 - leaves unknown users be


def _say(text: str) -> None:
    """Put `text` on stderr; where that cannot be written, the exit code has to do."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


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
