"""One process per environment, spoken to over a socket that dies with either side."""

import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from choreo import errors
from choreo.envs.rendering import backends
from choreo.envs.spaces import EnvSpec
from choreo.envs.vector.base import StepBatch, VectorEnv, common_spec, stack
from choreo.envs.vector.worker import MAIN, receive, send, unpack
from choreo.errors import ChoreoError, RendererUnavailable

_EXIT_SECONDS = 5.0
START_SECONDS = 180.0  # until an environment is made, and then for its first reset


class ProcessVector(VectorEnv):
    """Steps N environments at once, each in a fresh Python process that imports no torch.

    The workers are started as commands and not by `multiprocessing`, so that the user's script is
    not run again in each. They end with their parent, however that ends. A worker that dies
    raises a `ChoreoError` that names it and closes the vector.
    """

    def __init__(self, id: str, num: int, **options: Any) -> None:
        self.num = num
        self._id = id
        self._limit: float | None = START_SECONDS
        if options.get("obs", "states") != "states":
            # Once for all, before the workers inherit it. Environments that draw themselves need
            # no back end, and the others say in their worker that there is none.
            with suppress(RendererUnavailable):
                backends.choose_backend()
        self._workers: list[_Worker] = []
        self._finalizer = weakref.finalize(self, _end_all, self._workers)
        try:
            for index in range(num):
                self._workers.append(_Worker(id, index))
            self.spec: EnvSpec = common_spec(self._ask_all([("make", id, options)] * num))
        except BaseException:  # also an interrupt leaves none of them
            self.close()
            raise

    @property
    def process_ids(self) -> list[int]:
        """Process numbers of the workers, in the order of the environments."""
        return [worker.process.pid for worker in self._workers]

    def send(self, actions: np.ndarray, reset: np.ndarray, seeds: np.ndarray) -> None:
        actions = np.ascontiguousarray(actions, dtype=np.float32)
        self._send_all(
            [
                ("reset", int(seeds[index])) if reset[index] else ("step", actions[index].tobytes())
                for index in range(self.num)
            ]
        )

    def receive(self) -> StepBatch:
        replies = self._receive_all()
        self._limit = None  # every environment has drawn what it shows
        return stack([unpack(packed, self.spec) for packed in replies])

    def coordinates(self) -> np.ndarray:
        return np.stack(self._ask_all([("coordinates",)] * self.num))

    def joints_at_limits(self) -> np.ndarray:
        return np.array(self._ask_all([("joints_at_limits",)] * self.num))

    def render(self, index: int, height: int, width: int) -> np.ndarray:
        return self._ask(index, ("render", height, width))

    def set_observed(self, index: int, observation: Mapping[str, np.ndarray]) -> bool:
        return self._ask(index, ("set_observed", dict(observation)))

    def set_goal(self, index: int, goal: np.ndarray | None) -> None:
        given = None if goal is None else np.asarray(goal, dtype=np.float64)
        self._ask(index, ("set_goal", given))

    def close(self) -> None:
        self._finalizer()

    def _ask(self, index: int, request: tuple[Any, ...]) -> Any:
        with self._closing_when_one_dies():
            self._workers[index].send(request)
            return _value(self._workers[index].receive())

    def _ask_all(self, requests: list[tuple[Any, ...]]) -> list[Any]:
        """Send all, then receive all, so that the workers run at the same time."""
        self._send_all(requests)
        return self._receive_all()

    def _send_all(self, requests: list[tuple[Any, ...]]) -> None:
        with self._closing_when_one_dies():
            for worker, request in zip(self._workers, requests, strict=True):
                worker.send(request)

    def _receive_all(self) -> list[Any]:
        with self._closing_when_one_dies():
            deadline = None if self._limit is None else time.monotonic() + self._limit
            for worker in self._workers:
                worker.wait_until(deadline)
            replies = [worker.receive() for worker in self._workers]
        return [_value(reply) for reply in replies]

    @contextmanager
    def _closing_when_one_dies(self) -> Iterator[None]:
        try:
            yield
        except _WorkerDied as error:
            self.close()
            raise ChoreoError(str(error)) from error
        except _WorkerHangs as error:
            for worker in self._workers:
                worker.process.kill()
            self.close()
            raise RendererUnavailable(str(error)) from error


class _WorkerDied(Exception):
    """The process at the other end is gone."""


class _WorkerHangs(Exception):
    """The process at the other end does not answer in time."""


class _Worker:
    """The parent's end of one worker process."""

    def __init__(self, id: str, index: int) -> None:
        self._name = f"environment {index} ({id})"
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours.detach())
        with theirs:
            self.process = subprocess.Popen(
                _command(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                env=child_environment(),
                stdin=subprocess.DEVNULL,
                stdout=child_output(),  # what simulators print is no result
            )

    def send(self, request: tuple[Any, ...]) -> None:
        try:
            send(self._connection, request)
        except OSError as error:
            raise _WorkerDied(self._obituary()) from error

    def receive(self) -> tuple[Any, ...]:
        try:
            return receive(self._connection)
        except (EOFError, OSError) as error:
            raise _WorkerDied(self._obituary()) from error

    def wait_until(self, deadline: float | None) -> None:
        """Wait for a reply until a moment of `time.monotonic`, or without end."""
        if deadline is None or self._connection.closed:
            return
        if not self._connection.poll(max(0.0, deadline - time.monotonic())):
            raise _WorkerHangs(
                f"{self._name} gave no answer within {START_SECONDS:.0f} s of its start, most often"
                " because the graphics driver hangs when many begin to draw at once. Try"
                " fewer environments, or another back end with MUJOCO_GL=osmesa or MUJOCO_GL=egl;"
                " `choreo doctor` tries both."
            )

    def hang_up(self) -> None:
        """Close the socket, on which the worker ends by itself."""
        self._connection.close()

    def end(self) -> None:
        """Wait for the worker to end and kill it when it does not."""
        try:
            self.process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _obituary(self) -> str:
        if self._connection.closed:
            return f"the worker of {self._name} is closed; make a new vector"
        try:
            code = self.process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return f"the worker of {self._name}, process {self.process.pid}, hung up"
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return (
            f"the worker of {self._name}, process {self.process.pid}, {how}. If the machine ran out"
            " of memory, use fewer environments; start the command again to resume."
        )


def _end_all(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.hang_up()
    for worker in workers:
        worker.end()


def _command(descriptor: int) -> list[str]:
    """Return the worker's command; -P keeps modules of the working directory out of its path.

    Not -m, which warns of a module that its own package has imported before.
    """
    program = [sys.executable, "-P", "-c", "from choreo.envs.vector.worker import main; main()"]
    main = [MAIN] if threading.current_thread() is threading.main_thread() else []
    return [*program, str(descriptor), str(os.getpid()), *main]


def child_output() -> int:
    """Where a child's output goes: standard error, or nowhere where that is closed."""
    try:
        os.fstat(2)
    except OSError:  # `2>&-` closes it
        return subprocess.DEVNULL
    return 2


def child_environment() -> dict[str, str]:
    """Return the parent's environment with its import path and one thread for arithmetic."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def _value(reply: tuple[Any, ...]) -> Any:
    """Return what a worker gave, or raise its error under the same class."""
    kind, *rest = reply
    if kind == "value":
        return rest[0]
    class_name, message = rest
    error_class = getattr(errors, class_name, ValueError if class_name == "ValueError" else None)
    if error_class is None:
        raise ChoreoError(f"an environment's process failed:\n{message}")
    raise error_class(message)
