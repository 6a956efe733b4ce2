"""The program of one environment's process: `python -m choreo.envs.vector.worker FILE_DESCRIPTOR`.

Messages are pickled tuples between a parent and its own child. Arrays travel as their bytes, which
is several times quicker than pickling arrays.
"""

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

_WATCH_SECONDS = 1.0


def main() -> None:
    """Serve requests until the parent hangs up or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
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
    environment: Environment | None = None
    while True:
        try:
            name, *arguments = receive(connection)
        except (EOFError, OSError):
            break
        try:
            if name == "make":
                environment = make(arguments[0], **arguments[1])
                reply = ("value", environment.spec)
            else:
                assert environment is not None, "the first request makes the environment"
                reply = ("value", _answer(environment, name, arguments))
        except (ChoreoError, ValueError) as error:
            reply = ("error", type(error).__name__, str(error))
        except Exception:
            reply = ("error", "", traceback.format_exc())
        if not _try_send(connection, reply):
            break
    if environment is not None:
        environment.close()


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
    }
    return answers[name](*arguments)


def _try_send(connection: Connection, reply: tuple[Any, ...]) -> bool:
    try:
        send(connection, reply)
    except OSError:
        return False
    return True


def _end_with(parent: int) -> None:
    """End this process at once when its parent is gone, also in the middle of a step."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
