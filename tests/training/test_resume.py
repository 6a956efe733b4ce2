"""Kill -9 at random moments, through the real command line: the end is bitwise the same."""

import random
import subprocess
import time
from pathlib import Path

import pytest
from toy_runs import QUIET, assert_same_run, finetune, frames_of, metrics, pretrain, start

FRAMES, KILLS = 400, 5
CLOCKS = [
    "--training.update-every", "4", "--logging.every", "4", "--logging.checkpoint-every", "60",
    "--training.environments", "2", "--model.standardize", "1.0",
]  # fmt: skip


def run_with_kills(folder: Path, *arguments: str) -> int:
    """Run to the end, killed whenever it passes one of five random numbers of frames."""
    chance, kills = random.Random(1), 0
    targets = sorted(chance.sample(range(60, FRAMES - 30), KILLS))
    while True:
        process = start(*arguments)
        deadline = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < deadline:
            if kills < KILLS and frames_of(folder) >= targets[kills] and fresh(process, folder):
                time.sleep(chance.uniform(0, 0.02))
                process.kill()
                break
            time.sleep(0.005)
        _, errors = process.communicate(timeout=300)
        if process.returncode == 0:
            return kills
        assert process.returncode == -9, errors
        kills += 1


def fresh(process: subprocess.Popen[str], folder: Path) -> bool:
    """Whether this process has written: what an earlier one left is no sign of progress."""
    started = Path(f"/proc/{process.pid}")
    return (
        not started.exists() or (folder / "metrics.jsonl").stat().st_mtime > started.stat().st_mtime
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted pre-training run."""
    return pretrain(tmp_path_factory.mktemp("runs") / "whole", *CLOCKS, frames=FRAMES)


def test_a_killed_pre_training_ends_as_an_uninterrupted_one(source: Path, tmp_path: Path) -> None:
    where = ["--env", "toy_envs:point", "--frames", str(FRAMES), "--run-dir", str(tmp_path / "run")]
    limit = ["--preset", "debug", "--training.time-limit", "20", "--snapshots"]
    kills = run_with_kills(tmp_path / "run", "pretrain", *limit, *QUIET, *where, *CLOCKS)
    assert kills == KILLS
    assert_same_run(source, tmp_path / "run")
    assert metrics(source)[-1]["frames"] == FRAMES


def test_a_killed_fine_tuning_ends_as_an_uninterrupted_one(source: Path, tmp_path: Path) -> None:
    given = ["--from", str(source), "--training.random-frames", "100"]
    whole = finetune(tmp_path / "whole", *given, frames=FRAMES)
    where = ["--env", "toy_envs:point", "--frames", str(FRAMES), "--run-dir", str(tmp_path / "run")]
    kills = run_with_kills(tmp_path / "run", "finetune", *QUIET, *where, *given)
    assert kills == KILLS
    assert_same_run(whole, tmp_path / "run")
    assert any("adaptation/reward" in line for line in metrics(whole))
