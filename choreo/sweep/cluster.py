"""Cells on a Ray cluster: plain remote tasks around the function that runs cells here, too."""

import importlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from choreo.errors import ChoreoError, StorageError, UsageError
from choreo.sweep.board import Board
from choreo.sweep.cells import Cell
from choreo.sweep.local import POLL, THREADS, Wish
from choreo.sweep.work import GRACE, Outcome, run_cell

CONNECT, ANSWER = 5.0, 60.0  # seconds for a connection, and for a cluster to take us [ours]
STORE = 80 * 2**20  # bytes of Ray's object store, the least it takes: cells share files [ours]

# Ray waits for minutes, and may end the process, where nobody answers: so it is asked elsewhere.
_ASK = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False, logging_level='error')"


@dataclass(frozen=True)
class Cluster:
    """Where to run: "local" starts a cluster here, "auto" finds one, else HOST:PORT.

    `cpus` is how many a local one has; every cell asks for one CPU and `gpus` GPUs, None being a
    whole one where the cluster has any.
    """

    address: str
    cpus: int
    gpus: float | None = None


class RayRunner:
    """Does the cells of a board as remote tasks; the folder is on a disk that all nodes share."""

    def __init__(self, board: Board, cluster: Cluster, wish: Wish) -> None:
        self._board, self._cluster, self._wish = board, cluster, wish
        self._tasks: dict[Any, Cell] = {}

    def run(self, watch: Callable[[], None], every: float) -> None:
        """Work until nothing is left to do or the wish is to stop; `watch` is called meanwhile.

        Raises UsageError without Ray or an answer, and StorageError on a full disk.
        """
        with _connected(self._cluster) as ray:
            try:
                self._rounds(ray, watch, every)
            except ray.exceptions.RayError as error:
                raise ChoreoError(
                    f"the Ray cluster stopped answering ({error}); the same command goes on"
                ) from error
            finally:
                self._stop(ray, watch, every)

    def _rounds(self, ray: Any, watch: Callable[[], None], every: float) -> None:
        task = self._task(ray)
        while not self._wish.now:
            while (cell := self._board.take()) is not None:
                root = self._board.root
                self._tasks[task.options(name=cell.name).remote(root, cell, _threads())] = cell
            if not self._tasks and self._board.finished():
                return
            self._settle(ray, every)
            watch()

    def _task(self, ray: Any) -> Any:
        gpus = self._cluster.gpus
        if gpus is None:
            gpus = 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0
        return ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(run_cell)

    def _settle(self, ray: Any, every: float) -> None:
        """Wait a little; put back the cells of tasks that have ended, however they did."""
        if not self._tasks:
            self._wish.changed.wait(POLL)
            return
        for ref in ray.wait(list(self._tasks), num_returns=1, timeout=every)[0]:
            cell = self._tasks.pop(ref)
            self._board.put_back(cell, _outcome(ray, ref))

    def _stop(self, ray: Any, watch: Callable[[], None], every: float) -> None:
        """Let the cells that are under way save, and wait until they have."""
        told = ""
        waited = 0.0
        while self._tasks and waited < GRACE:
            wish = self._wish.now or "save"
            for ref in self._tasks if wish != told else ():
                ray.cancel(ref, force=wish == "kill")
            told = wish
            for ref in ray.wait(list(self._tasks), num_returns=1, timeout=every)[0]:
                self._tasks.pop(ref)
            waited += every
            watch()


def _outcome(ray: Any, ref: Any) -> Outcome:
    """What a task gave; a node that died under it has killed it."""
    errors = ray.exceptions
    try:
        return ray.get(ref)
    except errors.RayTaskError as error:
        if isinstance(error.cause, StorageError):
            raise StorageError(str(error.cause)) from error
        raise ChoreoError(f"a cell could not be run: {error}") from error
    except errors.TaskCancelledError:
        return Outcome("stopped")
    except errors.RayError as error:
        return Outcome("killed", f"lost with its node ({type(error).__name__})")


@contextmanager
def _connected(cluster: Cluster) -> Iterator[Any]:
    """Ray, connected; what a local cluster leaves on disk is removed at the end."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = _import_ray()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    folder: Path | None = None
    if cluster.address == "local":
        folder = Path(tempfile.mkdtemp(prefix="choreo-ray-"))
        options |= {"num_cpus": cluster.cpus, "include_dashboard": False}
        options |= {"object_store_memory": STORE, "_temp_dir": str(folder)}
    else:
        _check_answer(cluster.address)
    try:
        ray.init(address=cluster.address, **options)
        yield ray
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _import_ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UsageError(
            f"--ray needs Ray, which cannot be imported ({error}): pip install 'choreo[ray]', or "
            "leave out --ray to run on this machine"
        ) from error


def _check_answer(address: str) -> None:
    """Refuse an address at which no Ray cluster answers, within about a minute."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if address != "auto":
        if not colon or not port.isdecimal():
            raise UsageError(f"--ray {address}: wanted local, auto or HOST:PORT, as 10.0.0.1:6379")
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT).close()
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"--ray {address}: nobody answers there ({error}). {_ADVICE}"
            ) from error
    command = [sys.executable, "-c", _ASK, address]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER)
    except subprocess.TimeoutExpired as error:
        text = f"no Ray cluster answers within {ANSWER:.0f} s"
        raise UsageError(f"--ray {address}: {text}. {_ADVICE}") from error
    if asked.returncode:
        said = (asked.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise UsageError(f"--ray {address}: {said}. {_ADVICE}")


_ADVICE = "Start one with `ray start --head` and give the address it prints, or use --ray local"


def _threads() -> dict[str, str]:
    return {name: os.environ.get(name, "1") for name in THREADS}
