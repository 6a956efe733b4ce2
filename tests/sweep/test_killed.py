"""A real sweep that is killed again and again ends as its commands do by hand, bit for bit."""

import os
import random
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from toy_runs import assert_same_run, frames_of
from toy_specs import TESTS, alive, children, start, table, until, write

from choreo.cli import main

TUNED = [f"finetune/toy_envs_point-{method}-s0" for method in ("skills", "scratch")]
RUNS = ["pretrain/toy_envs_silent-s0", *TUNED]
SCORE = "evaluate/toy_envs_point-skills-s0/evaluation.json"
FRAMES = 200


def spec(folder: Path) -> Path:
    """Pre-training, two fine-tunings and their evaluations on toy environments."""
    data = table(tasks={"toy_envs:silent": ["toy_envs:point"]})
    quiet = {"frames": FRAMES, "training.time-limit": 20, "logging.tensorboard": False}
    for stage in ("pretrain", "finetune"):
        data["stage"][stage]["options"] = dict(quiet)
    return write(folder / "real.toml", data)


def by_hand(path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Every command of the sweep in this process, undisturbed; returns what SCORE should hold."""
    assert main(["sweep", str(path), "--dir", str(root), "--dry-run"]) == 0
    score = ""
    for line in capsys.readouterr().out.splitlines():
        command = shlex.split(line)[1:]
        assert main(command) == 0
        printed = capsys.readouterr().out
        score = printed if command[0] == "evaluate" and "-skills-" in line else score
    return score


def begin(path: Path, root: Path) -> subprocess.Popen[str]:
    """The sweep in the folder `root`."""
    words = ["sweep", path, "--workers", "2", "--dir", root]
    return start(*words, folder=path.parent, PYTHONPATH=str(TESTS))


def finish(sweep: subprocess.Popen[str]) -> None:
    said, _ = sweep.communicate(timeout=300)
    assert sweep.returncode == 0, said


def wait_for(sweep: subprocess.Popen[str], root: Path, frames: float) -> None:
    """Until the runs of a sweep have written down so many frames in all."""
    until(lambda: sum(frames_of(root / run / "run") for run in RUNS) >= frames, 300)
    assert sweep.poll() is None


@pytest.mark.slow  # a dozen processes, each of which imports everything
def test_a_sweep_killed_at_random_ends_as_one_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, alone, often = spec(tmp_path), tmp_path / "alone", tmp_path / "often"
    score = by_hand(path, alone, capsys)
    chance = random.Random(0)
    for first, last in ((20, FRAMES), (FRAMES + 20, 3 * FRAMES - 60)):
        cell, whole = sorted(chance.uniform(first, last) for _ in range(2))
        sweep = begin(path, often)
        wait_for(sweep, often, cell)
        os.kill(until(lambda pid=sweep.pid: children(pid))[0], signal.SIGKILL)
        wait_for(sweep, often, whole)
        running = children(sweep.pid)
        sweep.kill()
        sweep.communicate()
        until(lambda pids=running: not any(map(alive, pids)))
    finish(begin(path, often))
    for run in RUNS:
        assert_same_run(alone / run / "run", often / run / "run")
    assert (often / SCORE).read_text() == score
    attempts = [(often / run / "log.txt").read_text().count("# attempt") for run in RUNS]
    assert sum(attempts) >= len(RUNS) + 3, "every kill met a cell, but for one between two of them"
