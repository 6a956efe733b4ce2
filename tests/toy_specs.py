"""Specs of sweeps for tests, and a command that stands in for `choreo` and starts in no time."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from choreo.cli.sweep import SCHEMA
from choreo.sweep import Cell, Spec, expand, parse

TESTS = Path(__file__).parent
STAND_IN = {"PYTHONPATH": str(TESTS / "sweep" / "stand_in")}


def table(task: str = "toy:point", **top: Any) -> dict[str, Any]:
    """The table of a spec: pre-train, fine-tune in two ways, evaluate."""
    return {
        "preset": "debug",
        "device": "cpu",
        "seeds": [0],
        "tasks": {"toy:silent": [task]},
        "stage": {
            "pretrain": {"command": "pretrain", "options": {"frames": 60, "snapshots": [30, 60]}},
            "finetune": {
                "command": "finetune",
                "from": "pretrain",
                "over": ["task", "method", "seed"],
                "options": {"frames": 60},
                "methods": {"skills": {}, "scratch": {"start": "scratch"}},
            },
            "evaluate": {"command": "evaluate", "from": "finetune", "options": {"episodes": 2}},
        },
        **top,
    }


def spec(**top: Any) -> Spec:
    """The spec of `table`."""
    return parse("toy", table(**top), SCHEMA)


def cells(**top: Any) -> list[Cell]:
    """The cells of `table`."""
    return expand(spec(**top), SCHEMA)


def write(path: Path, data: dict[str, Any], key: str = "") -> Path:
    """A spec as a TOML file."""
    path.write_text("\n".join(_lines(data, key)))
    return path


def _lines(data: dict[str, Any], key: str) -> list[str]:
    values = {k: v for k, v in data.items() if not isinstance(v, dict)}
    tables = {k: v for k, v in data.items() if isinstance(v, dict)}
    lines = [f"[{key}]"] if key else []
    lines += [f'"{k}" = {_value(v)}' for k, v in values.items()]
    for name, entries in tables.items():
        lines += _lines(entries, f'{key}."{name}"' if key else f'"{name}"')
    return lines


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


def start(*arguments: str | Path, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """`choreo` as a process, in `folder`; cells are done by the stand-in unless told otherwise."""
    program = (
        "import json, os, sys; from choreo.cli import main\n"
        "os.environ.update(json.loads(sys.argv[1])); sys.exit(main(sys.argv[2:]))"
    )
    command = [sys.executable, "-c", program, json.dumps(environment or STAND_IN)]
    command += map(str, arguments)
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    out = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, env=variables, text=True, stdout=out, stderr=subprocess.STDOUT
    )


def until(what: Callable[[], Any], seconds: float = 300.0) -> Any:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


def children(pid: int) -> list[int]:
    """Processes that a process has started and that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
