import subprocess
import sys

import pytest

HEAD = """
import ctypes, time
from choreo.envs.rendering import watchdog
watchdog.GRACE = 0.3
"""


def _run(code: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", HEAD + code]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_block_that_hangs_ends_the_process_with_the_sentence() -> None:
    done = _run("with watchdog.limited(0.2, 'the driver hangs'): time.sleep(50)")
    assert (done.returncode, done.stderr) == (1, "error: the driver hangs\n")


@pytest.mark.skipif(sys.platform != "linux", reason="names glibc's library")
def test_a_call_that_holds_pythons_lock_is_ended_too() -> None:
    done = _run("with watchdog.limited(0.2, 'x'): ctypes.PyDLL('libc.so.6').sleep(50)")
    assert done.returncode == 1 and "Timeout" in done.stderr


def test_a_block_that_ends_in_time_goes_on() -> None:
    done = _run("with watchdog.limited(0.2, 'x'): pass\ntime.sleep(0.8)\nprint('on')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "on\n", "")
