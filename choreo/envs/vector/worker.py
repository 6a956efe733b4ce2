"""The program of one environment's process: `main`, with the arguments FD and PARENT.

FD is the file descriptor of its socket, PARENT the number of the process it ends with; `main` after
them says that the parent's main thread started it.

Messages are pickled tuples between a parent and its own child. Arrays travel as their bytes, which
is several times quicker than pickling arrays.
"""

import ctypes
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from choreo.envs.base import Environment, TimeStep
from choreo.envs.make import make
from choreo.envs.spaces import EnvSpec
from choreo.errors import ChoreoError
from choreo.stopping import leave_to_parent

MAIN = "main"
_WATCH_SECONDS = 1.0
_SIGNAL_OF_PARENTS_DEATH = 1  # PR_SET_PDEATHSIG


def main() -> None:
    """Serve requests until the parent hangs up or dies."""
    leave_to_parent()
    end_with(int(sys.argv[2]), by_main_thread=MAIN in sys.argv)
    serve(Connection(int(sys.argv[1])))


def send(connection: Connection, message: tuple[Any, ...]) -> None:
    """Send a tuple; raises `OSError` when the other side is gone."""
    connection.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))


def receive(connection: Connection) -> tuple[Any, ...]:
    """Return the next tuple; raises `EOFError` or `OSError` when the other side is gone."""
    return pickle.loads(connection.recv_bytes())


def pack(step: TimeStep) -> tuple[Any, ...]:
    """Return a time step as numbers and bytes."""
    arrays = [array.tobytes() for array in step.observation.values()]
    return arrays, step.reward, step.is_first, step.is_last, step.is_terminal


def unpack(packed: tuple[Any, ...], spec: EnvSpec) -> TimeStep:
    """Return the time step that `pack` took apart; its arrays are read-only."""
    arrays, *rest = packed
    observation = {
        key: np.frombuffer(data, dtype=array.dtype).reshape(array.shape)
        for (key, array), data in zip(spec.observations.items(), arrays, strict=True)
    }
    return TimeStep(observation, *rest)


def serve(connection: Connection) -> None:
    """Answer each request with ("value", it) or ("error", class name, message)."""
    made: list[Environment] = []
    try:
        while _serve_one(connection, made):
            pass
    finally:
        for environment in made:
            environment.close()


def _serve_one(connection: Connection, made: list[Environment]) -> bool:
    """Answer one request; False when the other side is gone."""
    try:
        name, *arguments = receive(connection)
    except (EOFError, OSError):
        return False
    try:
        if name == "make":
            made.append(make(arguments[0], **arguments[1]))
            reply = ("value", made[0].spec)
        else:
            reply = ("value", _answer(made[0], name, arguments))
    except (ChoreoError, ValueError) as error:
        reply = ("error", type(error).__name__, str(error))
    except Exception:
        reply = ("error", "", traceback.format_exc())
    return _try_send(connection, reply)


def _answer(environment: Environment, name: str, arguments: list[Any]) -> Any:
    if name == "step":
        return pack(environment.step(np.frombuffer(arguments[0], dtype=np.float32)))
    if name == "reset":
        return pack(environment.reset(arguments[0]))
    answers = {
        "coordinates": environment.coordinates,
        "joints_at_limits": environment.joints_at_limits,
        "render": environment.render,
        "set_goal": environment.set_goal,
        "set_observed": environment.set_observed,
    }
    return answers[name](*arguments)


def _try_send(connection: Connection, reply: tuple[Any, ...]) -> bool:
    try:
        send(connection, reply)
    except OSError:
        return False
    return True


def end_with(parent: int, by_main_thread: bool) -> None:
    """End soon after the parent, whatever this process does then; its environment closes if it can.

    A thread watches. Code that never lets go of Python's lock would stop it too, so the system is
    asked for a signal, whose handler is `alarm` of the C library itself: called with the signal's
    number, 3, it ends the process after as many seconds, without Python. The system means by the
    parent the thread that started this process, so only a main thread will do.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if by_main_thread and sys.platform == "linux":
        c = ctypes.CDLL(None)
        c.signal.argtypes, c.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
        c.signal(signal.SIGQUIT, ctypes.cast(c.alarm, ctypes.c_void_p))
        c.prctl(_SIGNAL_OF_PARENTS_DEATH, signal.SIGQUIT, 0, 0, 0)
    if os.getppid() != parent:  # it has gone before it was asked for
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    time.sleep(signal.SIGQUIT)
    os._exit(1)
