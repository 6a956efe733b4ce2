"""Worker processes: started when needed, given back, ended when idle, hanging or lost."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from choreo.envs.vector.process import child_environment, child_output
from choreo.envs.vector.worker import MAIN
from choreo.errors import ChoreoError
from choreo.studio import wire
from choreo.studio.wire import Message

END_SECONDS = 2.0  # for a worker that is told to end [ours]
WAITING = 4  # messages of a worker that nobody has taken [ours]
MEMORY = "If the machine ran out of memory, play fewer simulators at once."


class WorkerLost(ChoreoError):
    """A worker died or hangs; it has been ended, and the next one starts afresh."""


class Worker:
    """One process with agents and simulators in it, asked for one thing at a time."""

    def __init__(self, process: subprocess.Popen[bytes], end: socket.socket) -> None:
        self.process, self._end = process, end
        self.run, self.idle_since, self.at_rest = "", time.monotonic(), True
        self._inbox: asyncio.Queue[tuple[Message, bytes] | None] = asyncio.Queue(WAITING)
        self._writer: asyncio.StreamWriter
        self._reading: asyncio.Task[None]

    @staticmethod
    async def start() -> "Worker":
        """A new process; what it imports takes some seconds, during which it can be asked."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                _command(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                env=child_environment(),
                stdin=subprocess.DEVNULL,
                stdout=child_output(),
            )
        worker = Worker(process, ours)
        try:
            reader, worker._writer = await asyncio.open_connection(sock=ours)
        except BaseException:  # cancelled, most often: nobody else knows of the process
            _end(process)
            raise
        worker._reading = asyncio.create_task(worker._read(reader))
        return worker

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Take in whole messages, whoever waits for one and gives up; None at the end."""
        try:
            while True:
                await self._inbox.put(await wire.read(reader))
        except (asyncio.IncompleteReadError, OSError, ValueError):
            await self._inbox.put(None)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    async def send(self, message: Message, data: bytes = b"") -> None:
        """Send a message; raises WorkerLost."""
        self.at_rest = self.at_rest and "task" not in message
        try:
            self._writer.write(wire.pack(message, data))
            await self._writer.drain()
        except OSError as error:
            raise self._lost() from error

    async def receive(self, patience: float) -> tuple[Message, bytes]:
        """The next message; raises WorkerLost after `patience` seconds without one."""
        try:
            async with asyncio.timeout(patience):
                found = await self._inbox.get()
        except TimeoutError as error:
            self.kill()
            raise WorkerLost(
                f"The simulator gave no answer within {patience:.0f} s and was ended. Start again: "
                "the next start makes a new one"
            ) from error
        if found is None:
            raise self._lost()
        self.at_rest = found[0]["type"] in ("done", "error")
        return found

    def _lost(self) -> WorkerLost:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS / 4)  # it hangs up a moment before it has ended
        self.kill()
        code = self.process.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return WorkerLost(
            f"The process of the simulator {how}. {MEMORY} Start again: the next start makes a new "
            "process"
        )

    def kill(self) -> None:
        """End the process at once; a second call does nothing."""
        _end(self.process)
        self._reading.cancel()
        self._writer.close()


class Pool:
    """At most so many workers; the one that did a run last is preferred for it again."""

    def __init__(self, most: int, idle: float) -> None:
        self.most, self.idle = most, idle
        self.workers: set[Worker] = set()
        self._free: list[Worker] = []
        self._ending: list[Worker] = []  # killed, and not gone yet on a busy machine
        self._slots = asyncio.Semaphore(most)
        self._reaper: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether all are at work."""
        return self._slots.locked()

    @asynccontextmanager
    async def lease(self, run: str) -> AsyncIterator[Worker]:
        """A worker for the block; one that is left in the middle of something is ended."""
        async with self._slots:
            worker = self._pick(run) or await self._start()
            worker.run = run
            try:
                yield worker
            finally:
                self._give_back(worker)

    def _pick(self, run: str) -> Worker | None:
        for dead in [worker for worker in self._free if not worker.alive]:
            self._free.remove(dead)
            self._drop(dead)
        if not self._free:
            return None
        same = [worker for worker in self._free if worker.run == run]
        if not same and len(self.workers) < self.most:
            return None
        worker = same[-1] if same else self._free[0]
        self._free.remove(worker)
        return worker

    async def _start(self) -> Worker:
        self._refuse_when_closed()
        if self._reaper is None:
            self._reaper = asyncio.create_task(self._reap())
        worker = await Worker.start()
        self.workers.add(worker)
        if self._closed:  # while it started
            self._drop(worker)
        self._refuse_when_closed()
        return worker

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise WorkerLost("The studio has ended")

    def _give_back(self, worker: Worker) -> None:
        if worker.at_rest and worker.alive:
            worker.idle_since = time.monotonic()
            self._free.append(worker)
        else:
            self._drop(worker)

    def _drop(self, worker: Worker) -> None:
        worker.kill()
        self.workers.discard(worker)
        self._ending = [one for one in (*self._ending, worker) if one.alive]

    async def _reap(self) -> None:
        """End workers that had nothing to do for a while."""
        while True:
            await asyncio.sleep(min(self.idle / 4, 10.0))
            self._ending = [one for one in self._ending if one.alive]
            for worker in list(self._free):
                if time.monotonic() - worker.idle_since > self.idle:
                    self._free.remove(worker)
                    self._drop(worker)

    def close(self) -> None:
        """End all workers, also those that are still starting."""
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
        for worker in list(self.workers):
            self._drop(worker)
        self._free.clear()


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)


def _command(descriptor: int) -> list[str]:
    main = [MAIN] if threading.current_thread() is threading.main_thread() else []
    program = [sys.executable, "-P", "-m", "choreo.studio.worker"]
    return [*program, str(descriptor), str(os.getpid()), *main]
