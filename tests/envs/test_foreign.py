"""What of an environment's code is its own: errors, prints, programs, and a lock it never frees."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from envs.vector.test_vector import wait_until_gone
from toy_runs import QUIET, TESTS, start

from choreo.envs.foreign import Foreign
from choreo.errors import EnvironmentFailed, UsageError
from choreo.stopping import Stopped, handling, raise_stopped

RESET = "np.zeros((1, 2)), np.array([True]), np.array([5])"
STEP = "np.zeros((1, 2)), np.array([False]), np.array([5])"


def child(
    code: str, folder: Path | None = None, stderr: int | None = None
) -> subprocess.Popen[str]:
    """A program of its own that has numpy and `make_vector`; it prints the first line at once."""
    program = f"import numpy as np\nfrom choreo.envs import make_vector\n{code}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (TESTS, *sys.path)))}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", program],
        env=environment,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)
    time.sleep(5)


def end() -> None:
    signal.raise_signal(signal.SIGTERM)
    time.sleep(5)


def exit_by_itself() -> None:
    sys.exit(3)


def raise_interrupt() -> None:
    raise KeyboardInterrupt


def refuse() -> None:
    raise UsageError("another")


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (interrupt, KeyboardInterrupt),
        (end, Stopped),
        (refuse, UsageError),
        (exit_by_itself, EnvironmentFailed),
        (raise_interrupt, EnvironmentFailed),
    ],
)
@pytest.mark.parametrize("handled", [False, True])
def test_signals_and_our_errors_pass_and_its_own_do_not(
    act: Callable[[], None], kind: type[BaseException], handled: bool
) -> None:
    if act is end and not handled:
        return  # without a handler it ends the process
    handler = raise_stopped if handled else _default
    with pytest.raises(kind) as raised, handling(handler), Foreign("mine")("on reset"):
        act()
    assert isinstance(raised.value, EnvironmentFailed) == (kind is EnvironmentFailed)


def _default(number: int, frame: object) -> None:
    signal.default_int_handler(number, None)


def test_what_an_environment_prints_is_no_result() -> None:
    command = [sys.executable, "-P", "-m", "choreo", "env", "check", "odd_envs:Chatty"]
    path = os.pathsep.join([str(TESTS), *sys.path])
    variables = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("odd_envs:Chatty: fits\n") and "chatty:" not in done.stdout
    assert "chatty: made" in done.stderr and "chatty: from C" in done.stderr


def test_what_a_worker_prints_is_no_result() -> None:
    code = f"""
vector = make_vector('odd_envs:Chatty', 1, True)
vector.step({RESET}), vector.step({STEP})
print('ok')
"""
    with child(code) as program:
        assert program.stdout is not None and program.stdout.read() == "ok\n"


def test_a_working_directory_shadows_nothing_in_a_worker(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("open('HIJACKED', 'w')")
    (tmp_path / "mine.py").write_text("from odd_envs import Odd as make")
    code = f"make_vector('mine:make', 1, True).step({RESET})\nprint('ok')"
    with child(code, tmp_path) as program:
        assert program.stdout is not None and program.stdout.read() == "ok\n"
    assert not (tmp_path / "HIJACKED").exists()


@pytest.mark.parametrize("name", ["holds_the_lock", "spins", "Odd"])
def test_a_worker_ends_with_its_parent_whatever_it_does(name: str) -> None:
    code = f"""
vector = make_vector('odd_envs:{name}', 1, True)
print(*vector.process_ids, flush=True)
vector.step({RESET})
while True: vector.step({STEP})
"""
    with child(code if name != "Odd" else code.replace("while True", "for _ in range(3)")) as p:
        assert p.stdout is not None
        worker = int(p.stdout.readline())
        time.sleep(0.5)
        p.kill()
    wait_until_gone([worker], 8.0)


def test_a_thread_that_started_a_worker_may_end(tmp_path: Path) -> None:
    code = f"""
import threading, time
made = []
thread = threading.Thread(target=lambda: made.append(make_vector('odd_envs:Odd', 1, True)))
thread.start(); thread.join(); time.sleep(4)
made[0].step({RESET})
print('alive')
"""
    with child(code) as program:
        assert program.stdout is not None and program.stdout.read() == "alive\n"


def test_a_stopped_command_leaves_no_program_of_an_environment(tmp_path: Path) -> None:
    options = ["--preset", "debug", "--env", "odd_envs:Program", "--frames", "1000000", *QUIET]
    with start("pretrain", *options, "--run-dir", str(tmp_path / "r")) as command:
        assert command.stderr is not None
        program = 0
        for line in command.stderr:
            words = line.split()
            program = int(words[1]) if words[:1] == ["program"] else program
            if program and (tmp_path / "r" / "metrics.jsonl").exists():
                break
        command.send_signal(signal.SIGTERM)
        command.stderr.read()
        assert command.wait() == 75
    wait_until_gone([program], 2.0)


def test_a_worker_whose_parent_is_killed_closes_its_environment() -> None:
    code = f"""
vector = make_vector('odd_envs:Program', 1, True)
vector.step({RESET})
print('ready', flush=True)
input()
"""
    with child(code, stderr=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stderr is not None
        assert parent.stdout.readline() == "ready\n"
        words = next(line.split() for line in parent.stderr if line.startswith("program"))
        parent.kill()
    wait_until_gone([int(words[1])], 3.0)
