"""Runs of the `debug` preset on toy environments, through the command line and in this process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from choreo.cli import main
from choreo.record import checkpoint
from choreo.replay import Replay

TESTS = Path(__file__).parent
QUIET = [
    "--threads", "1", "--device", "cpu", "--logging.no-progress", "--logging.no-tensorboard",
]  # fmt: skip
SMALL = ["--preset", "debug", "--training.time-limit", "20", *QUIET]


def pretrain(folder: Path, *options: str, env: str = "toy_envs:point", frames: int = 120) -> Path:
    """A finished pre-training run in `folder`."""
    where = ["--env", env, "--frames", str(frames), "--run-dir", str(folder)]
    none = [] if "--snapshots" in options else ["--snapshots"]
    assert main(["pretrain", *SMALL, *none, *where, *options]) == 0
    return folder


def finetune(folder: Path, *options: str, env: str = "toy_envs:point", frames: int = 120) -> Path:
    """A finished fine-tuning run in `folder`; `options` say from what."""
    where = ["--env", env, "--frames", str(frames), "--run-dir", str(folder)]
    assert main(["finetune", *QUIET, *where, *options]) == 0
    return folder


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Everything the last checkpoint of a run holds."""
    return checkpoint.load(last_checkpoint(folder))[0]


def state(folder: Path) -> dict:
    """The rest of the last checkpoint of a run."""
    return checkpoint.load_state(last_checkpoint(folder))


def last_checkpoint(folder: Path) -> Path:
    found = checkpoint.latest(folder / "checkpoints")
    assert found is not None
    return found


def metrics(folder: Path, without: str = "") -> list[dict]:
    """The lines of metrics.jsonl, but for those of kind `without`."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] != without]


def steps(folder: Path, stream: int = 0) -> dict[str, np.ndarray]:
    """All recorded steps of one environment of a run, each (T, ...)."""
    replay = Replay.open(folder / "replay", state(folder)["replay"])
    start, stop = replay.bounds()
    return replay.read(stream, int(start[stream]), int(stop[stream]))


def replay_files(folder: Path) -> dict[str, bytes]:
    """Every file of a run's replay."""
    root = folder / "replay"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def assert_same_run(one: Path, other: Path) -> None:
    """Bitwise equal parameters, optimisers, replay and metrics."""
    assert last_checkpoint(one).name == last_checkpoint(other).name
    a, b = (last_checkpoint(folder) / "tensors.safetensors" for folder in (one, other))
    assert a.read_bytes() == b.read_bytes()
    assert replay_files(one) == replay_files(other)
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()


def start(*arguments: str) -> subprocess.Popen[str]:
    """The command in a process of its own, whose errors can be read."""
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "choreo", *arguments]
    variables = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=variables, text=True, stderr=subprocess.PIPE)


def frames_of(folder: Path) -> int:
    """Frames of the last whole line of metrics.jsonl."""
    path = folder / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return int(lines[-1].split(b'"frames": ')[1].split(b",")[0]) if lines else 0
