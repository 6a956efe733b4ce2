"""A run whose environments live in processes of their own, one of which is killed."""

import os
import signal
import time
from pathlib import Path

from toy_runs import QUIET, assert_same_run, frames_of, pretrain, start

FRAMES = 300
CLOCKS = [
    "--training.environments",
    "2",
    "--logging.checkpoint-every",
    "60",
    "--logging.every",
    "4",
]


def children(process: int) -> list[int]:
    """Process numbers of the worker processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
            command = (path.parent / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == process and b"choreo.envs.vector.worker" in command:
            found.append(int(path.parent.name))
    return sorted(found)


def test_a_killed_worker_stops_the_run_cleanly_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    where = ["--env", "toy_envs:point", "--frames", str(FRAMES), "--run-dir", str(tmp_path / "run")]
    command = ["pretrain", "--preset", "debug", "--training.time-limit", "20", "--snapshots"]
    command += [*QUIET, *where, *CLOCKS, "--training.parallel"]
    process = start(*command)
    deadline = time.monotonic() + 120
    while frames_of(tmp_path / "run") < 100 and process.poll() is None:
        assert time.monotonic() < deadline, "the run does not get on"
        time.sleep(0.005)
    workers = children(process.pid)
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "killed by signal 9" in errors and "resume" in errors
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    process = start(*command)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert_same_run(pretrain(tmp_path / "whole", *CLOCKS, frames=FRAMES), tmp_path / "run")
