import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from choreo.envs.vector import SerialVector, StepBatch, VectorEnv, make_vector, process
from choreo.envs.vector.process import ProcessVector
from choreo.errors import (
    ChoreoError,
    EnvironmentMismatch,
    NotFinite,
    RendererUnavailable,
    UsageError,
)
from choreo.studio import pool

TASK = "dmc:point_mass-easy"


def play(vector: VectorEnv) -> list[StepBatch]:
    """Play 30 steps in which environment 1 is reset anew in step 12."""
    rng = np.random.default_rng(0)
    batches = []
    for index in range(30):
        reset = np.array([index == 0, index in (0, 12)])
        actions = rng.uniform(-1, 1, (2, vector.spec.action_size)).astype(np.float32)
        batches.append(vector.step(actions, reset, np.array([index, 100 + index])))
    return batches


def is_alive(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().split(")")[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(process_ids: list[int], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while any(is_alive(process_id) for process_id in process_ids):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)


def test_serial_and_process_vectors_are_bitwise_equal() -> None:
    with make_vector(TASK, 2, False) as serial, make_vector(TASK, 2, True) as process:
        assert isinstance(serial, SerialVector) and isinstance(process, ProcessVector)
        assert serial.spec == process.spec and process.num == 2
        for left, right in zip(play(serial), play(process), strict=True):
            assert np.array_equal(left.observation["observation"], right.observation["observation"])
            assert left.reward.dtype == np.float32
            for name in ("reward", "is_first", "is_last", "is_terminal"):
                assert np.array_equal(getattr(left, name), getattr(right, name))
        assert np.array_equal(serial.coordinates(), process.coordinates())
    wait_until_gone(process.process_ids)


def test_a_worker_that_cannot_start_leaves_none_of_those_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes: list[subprocess.Popen[bytes]] = []
    popen: Any = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> Any:
        if processes:
            raise BlockingIOError("no more processes")
        processes.append(popen(*arguments, **options))
        return processes[0]

    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(BlockingIOError) as kept:  # and with it what the traceback holds
        make_vector(TASK, 2, True)
    assert kept.value.args == ("no more processes",)
    assert processes[0].returncode is not None


@pytest.mark.parametrize("command", [process._command, pool._command])
def test_workers_say_nothing_of_themselves(command: Callable[[int], list[str]]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = subprocess.Popen(
            command(theirs.fileno()), pass_fds=[theirs.fileno()], stderr=subprocess.PIPE
        )
        ours.shutdown(socket.SHUT_WR)  # it ends
        _, errors = child.communicate(timeout=60)
    assert child.returncode == 0 and errors == b""


@pytest.mark.rendering
def test_pictures_are_bitwise_equal_in_one_process_and_in_several(renderer: str) -> None:
    options = {"obs": "both", "image_size": 32}
    with (
        make_vector("point_mass", 2, False, **options) as serial,
        make_vector("point_mass", 2, True, **options) as process,
    ):
        for left, right in zip(play(serial), play(process), strict=True):
            for key in ("observation", "image"):
                assert np.array_equal(left.observation[key], right.observation[key])
            assert np.array_equal(left.reward, right.reward)
            assert left.observation["image"].shape == (2, 3, 32, 32)


HANGING = """
import time
import gymnasium, numpy
from gymnasium import spaces

class Hanging(gymnasium.Env):
    observation_space = spaces.Box(-1, 1, (1,))
    action_space = spaces.Box(-1, 1, (1,))
    def reset(self, *, seed=None, options=None):
        if seed == 1: time.sleep(60)
        return numpy.zeros(1), {}

def never():
    time.sleep(60)
"""


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "hanging.py").write_text(HANGING)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "hanging"


def test_a_first_reset_that_hangs_is_given_up_and_leaves_nothing_behind(
    hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vector = make_vector(f"{hanging}:Hanging", 2, True)
    assert isinstance(vector, ProcessVector)
    vector._limit = 0.3
    first = np.zeros((2, 1)), np.ones(2, dtype=bool), np.array([0, 1])
    with pytest.raises(RendererUnavailable, match=r"environment 1 .*MUJOCO_GL"):
        vector.step(*first)
    wait_until_gone(vector.process_ids, 2.0)


def test_making_that_hangs_is_given_up(hanging: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "START_SECONDS", 0.3)
    with pytest.raises(RendererUnavailable, match=r"environment 0 .*within 0 s"):
        make_vector(f"{hanging}:never", 1, True)


def test_only_the_environments_that_are_told_to_are_reset() -> None:
    with make_vector(TASK, 2, False) as vector:
        batches = play(vector)
    first = np.array([batch.is_first for batch in batches])
    assert np.flatnonzero(first[:, 0]).tolist() == [0]
    assert np.flatnonzero(first[:, 1]).tolist() == [0, 12]
    assert batches[0].observation["observation"].shape == (2, 4)


def test_a_killed_worker_is_named_and_nothing_is_left_behind() -> None:
    with make_vector(TASK, 2, True) as vector:
        assert isinstance(vector, ProcessVector)
        victim = vector.process_ids[1]
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(ChoreoError, match=f"environment 1 .*process {victim}.*signal 9"):
            play(vector)
        wait_until_gone(vector.process_ids)
        with pytest.raises(ChoreoError, match="closed"):
            play(vector)


def test_workers_end_with_a_parent_that_is_killed() -> None:
    code = f"""
import time
from choreo.envs.vector import make_vector
vector = make_vector({TASK!r}, 2, True)
print(*vector.process_ids, flush=True)
time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(word) for word in parent.stdout.readline().split()]
        assert len(workers) == 2
        parent.kill()
    wait_until_gone(workers)


def test_errors_in_a_process_keep_their_class_and_the_vector_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "breaking.py").write_text(
        "import gymnasium, numpy\n"
        "from gymnasium import spaces\n"
        "class Breaking(gymnasium.Env):\n"
        "    observation_space = spaces.Box(-1, 1, (1,))\n"
        "    action_space = spaces.Box(-1, 1, (1,))\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        return numpy.zeros(1), {}\n"
        "    def step(self, action):\n"
        "        if action > 0.75: raise KeyError('lost')\n"
        "        value = numpy.nan if action > 0.25 else 0.0\n"
        "        return numpy.full(1, value), 0.0, False, False, {}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    seeds, stay = np.zeros(2, dtype=np.int64), np.zeros(2, dtype=bool)
    with make_vector("breaking:Breaking", 2, True) as vector:
        vector.step(np.zeros((2, 1)), ~stay, seeds)
        with pytest.raises(NotFinite, match="breaking:Breaking"):
            vector.step(np.array([[0.5], [0.0]]), stay, seeds)
        batch = vector.step(np.zeros((2, 1)), np.array([True, False]), seeds)
        assert batch.is_first.tolist() == [True, False]
        with pytest.raises(ChoreoError, match="KeyError: 'lost'"):
            vector.step(np.array([[0.0], [1.0]]), stay, seeds)
        with pytest.raises(ValueError, match=r"\[-1, 1\]"):
            vector.step(np.array([[-2.0], [0.0]]), stay, seeds)


def test_what_cannot_be_made_is_refused_in_both_kinds() -> None:
    for parallel in (False, True):
        with pytest.raises(EnvironmentMismatch, match="discrete"):
            make_vector("gym:CartPole-v1", 1, parallel)
        with pytest.raises(UsageError, match="at least one"):
            make_vector(TASK, 0, parallel)
