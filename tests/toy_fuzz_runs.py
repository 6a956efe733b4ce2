"""Runs whose checkpoints, state, config or replay header are damaged by chance, and who reads them.

Shares with `toy_fuzz` what damages a file, the bounds on time and memory, and what is a fault.
"""

import contextlib
import hashlib
import importlib
import io
import json
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import toy_fuzz
from toy_fuzz import Rng
from toy_runs import QUIET, SMALL, last_checkpoint, pretrain

Damage = Callable[[Path, Rng], str]


def _any_file(run: Path, rng: Rng) -> str:
    """A file of the run is damaged in its bytes, or is no plain file."""
    names = ("config.json", "replay/replay.json")
    files = [*(run / name for name in names), *last_checkpoint(run).iterdir()]
    file = files[rng.integers(len(files))]
    ways = [toy_fuzz._bytes, toy_fuzz._cut, toy_fuzz._json]
    way = ways[rng.integers(3 if file.suffix == ".json" else 2)]
    way(file, rng)
    return f"{file.name}: {way.__name__.strip('_')}"


def _forged_state(run: Path, rng: Rng) -> str:
    """An entry of the state is another, and its hash made anew."""
    path = last_checkpoint(run) / "state.json"
    content = json.loads(path.read_text())
    inner = path.with_name("inner.json")
    inner.write_text(json.dumps(content["state"]))
    toy_fuzz._json(inner, rng)
    content["state"] = json.loads(inner.read_text())
    inner.unlink()
    text = json.dumps(content["state"])
    content["state_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(content))
    return "state.json: forged"


def _forged_tensors(run: Path, rng: Rng) -> str:
    """Bytes of the weights are others, most often in their header, and their hash made anew."""
    path = last_checkpoint(run) / "tensors.safetensors"
    toy_fuzz._bytes(path, rng)
    state = path.with_name("state.json")
    content = json.loads(state.read_text())
    content["tensors_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    state.write_text(json.dumps(content))
    return "tensors.safetensors: forged"


def _header(name: str) -> Damage:
    def change(run: Path, rng: Rng) -> str:
        toy_fuzz._json(run / name, rng)
        return f"{name}: json"

    return change


DAMAGE: list[Damage] = [
    _any_file,
    _forged_state,
    _forged_tensors,
    _header("config.json"),
    _header("replay/replay.json"),
]
POINT = ["--env", "toy_envs:point", "--snapshots"]
READERS: dict[str, Callable[[str, str], list[str]]] = {
    "resume": lambda run, out: ["pretrain", *SMALL, *POINT, "--frames", "64", "--run-dir", run],
    "finetune": lambda run, out: [
        "finetune", *QUIET, "--env", "toy_envs:point", "--frames", "4", "--from", run,
        "--run-dir", out,
    ],
    "evaluate": lambda run, out: ["evaluate", run, "--trust", "--episodes", "1", "--skill", "0"],
    "report": lambda run, out: ["report", run, "--out", out],
    "doctor": lambda run, out: ["doctor", run],
    "export": lambda run, out: ["data", "export", run, out, "--no-progress"],
}  # fmt: skip


def judge(run: Path, reader: str) -> str:
    """One command on a damaged run: "fine", "refused", or what should not have happened."""
    from choreo.cli import main

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            code = main(READERS[reader](str(run), str(run.parent / "out")))
    except MemoryError:
        return "memory"
    except SystemExit as end:
        return f"nameless {reader}: exit {end.code}"
    except BaseException:
        return f"traceback {reader}: " + traceback.format_exc()
    text = said.getvalue().replace("\n", "")
    if code in (0, None):
        return "fine"
    return "refused" if str(run) in text else f"nameless {reader}: {text[-300:]}"


def fuzz(root: Path, cases: int, seed: int, seconds: float) -> tuple[Counter[str], list[str]]:
    """Damage and read so many runs, as long as there is time; counts by judgement, and faults."""
    valid, until = root / "valid", time.monotonic() + seconds
    with contextlib.redirect_stdout(io.StringIO()):
        pretrain(valid, frames=60)
    for name in ("measure", "report", "data", "inspect"):  # once, and not in every case
        importlib.import_module(f"choreo.cli.{name}")
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    readers = list(READERS)
    for case in range(cases):
        if time.monotonic() > until:
            break
        rng = np.random.default_rng([seed, case])
        run = root / "case" / "run"
        shutil.copytree(valid, run)
        with contextlib.suppress(ValueError, TypeError, LookupError, RecursionError):
            how = DAMAGE[case % len(DAMAGE)](run, rng)
            reader = readers[case // len(DAMAGE) % len(readers)]
            found = toy_fuzz.in_child(lambda run=run, reader=reader: judge(run, reader))
            counts[found.split(" ")[0]] += 1
            if found not in ("fine", "refused"):
                wrong.append(f"case {case}, {reader}, {how}: {found}")
        shutil.rmtree(root / "case")
    return counts, wrong
