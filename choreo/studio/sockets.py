"""What goes over WebSockets: changes of runs and jobs, and live performances."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from choreo.errors import ChoreoError
from choreo.schema import Maybe, Real, Whole
from choreo.studio.jobs import Job
from choreo.studio.pool import Worker, WorkerLost
from choreo.studio.refusal import Refusal, error_json
from choreo.studio.requests import CONDITIONS, checked
from choreo.studio.runs import Run
from choreo.studio.studio import Studio

LOOK = 1.0  # seconds between two looks at a run's files [ours]
MOST_WATCHERS = 128  # [ours]
BUSY, REFUSED = 1013, 1008  # codes that a WebSocket is closed with
WANTED: dict[str, Any] = {
    "start": {
        "score": dict,
        "condition": Maybe(CONDITIONS),
        "seed": Maybe(Whole()),
        "speed": Maybe(Real(0, 100)),
        "size": Maybe(Whole(64, 512)),
    },
    "skill": {"skill": Maybe(Whole())},
    "speed": {"speed": Real(0, 100)},
    "pause": {},
    "resume": {},
    "stop": {},
}
STOPPING = 5.0  # seconds for a simulator to come to the end of its step

Told = dict[str, Any]
GONE = (WebSocketDisconnect, RuntimeError, OSError, TimeoutError)
"""What sending to a client that has left or takes nothing raises."""


class Outbox:
    """What a client has still to be told: of each thing only how it stands now."""

    def __init__(self) -> None:
        self._waiting: dict[str, Told] = {}
        self._some = asyncio.Event()

    def put(self, name: str, message: Told) -> None:
        """Tell this, in place of what was to be told of the same thing."""
        self._waiting.pop(name, None)
        self._waiting[name] = message
        self._some.set()

    async def take(self) -> Told:
        """The next message."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        return self._waiting.pop(next(iter(self._waiting)))


class Watch:
    """Tells clients how a run goes on."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self._count = studio, 0

    async def serve(self, socket: WebSocket, id: str) -> None:
        """One client, until it leaves."""
        await socket.accept()
        if self._count >= MOST_WATCHERS:
            await _close(socket, BUSY)
            return
        self._count += 1
        try:
            run = await self.studio.run(id)
            await self._watch(socket, run)
        except ChoreoError as error:
            with suppress(*GONE):
                await self._send(socket, {"type": "error", **error_json(error)})
                await _close(socket, REFUSED)
        finally:
            self._count -= 1

    async def _watch(self, socket: WebSocket, run: Run) -> None:
        outbox = Outbox()

        def told(job: Job) -> None:
            if job.run.id == run.id:
                outbox.put(job.id, {"type": "job", **job.to_json()})

        with self.studio.jobs.watched(told):
            await _first_of(
                self._deliver(socket, outbox), self._look(run, outbox), _until_gone(socket)
            )

    async def _deliver(self, socket: WebSocket, outbox: Outbox) -> None:
        with suppress(*GONE):
            while True:
                await self._send(socket, await outbox.take())

    async def _send(self, socket: WebSocket, message: Told) -> None:
        await _sent(socket, message, self.studio.settings.send_patience)

    async def _look(self, run: Run, outbox: Outbox) -> None:
        """Look at the run's files again and again."""
        entry, mark = None, None
        while True:
            now = await self.studio.run(run.id)
            if now.entry != entry:
                entry = now.entry
                outbox.put("run", {"type": "run", **entry})
            if self.studio.mark(run) != mark:
                mark = self.studio.mark(run)
                with suppress(ChoreoError):  # asked for again when it has changed again
                    outbox.put("health", {"type": "health", **await self.studio.health(run)})
            await asyncio.sleep(LOOK)


class Stage:
    """Live performances: every client its own simulator, as long as there are any."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.settings = studio, studio.settings

    async def serve(self, socket: WebSocket, id: str) -> None:
        """One client, for as many performances as it starts."""
        await socket.accept()
        with suppress(*GONE):
            while True:
                try:
                    message = _message(await socket.receive_text(), 2**20)
                    if message["type"] == "start":
                        await self._perform(socket, await self.studio.playable(id), message)
                except KeyError:  # bytes in place of text
                    await self._send(socket, _told_error(Refusal(400, "Messages are text.")))
                except ChoreoError as error:
                    await self._send(socket, _told_error(error))
                    if isinstance(error, Refusal) and error.status == 503:
                        await _close(socket, BUSY)
                        return

    async def _perform(self, socket: WebSocket, run: Run, start: Told) -> None:
        if self.studio.live.full:
            raise Refusal(
                503,
                f"All {self.settings.performers} simulators of this studio are playing.",
                "Wait until one is free, or start the studio with more --performers.",
            )
        asked = self.studio.library.asked("perform", run, self._params(run, start))
        async with self.studio.live.lease(run.id) as worker:
            await worker.send(asked)
            playing = asyncio.create_task(self._play(worker, socket))
            hearing = asyncio.create_task(self._hear(worker, socket, run))
            try:
                await asyncio.wait({playing, hearing}, return_when=asyncio.FIRST_COMPLETED)
                await _cancelled(hearing)
                if not playing.done():
                    await _cancelled(playing)
                    await _stopped(worker)
                    raise WebSocketDisconnect(1001)
                ended = await _ended(playing, worker)
            finally:
                await _cancelled(playing)
                await _cancelled(hearing)
        await self._send(socket, ended)

    def _params(self, run: Run, start: Told) -> Told:
        entry, speed = run.entry, start.get("speed")
        self.studio.library.identity(run)
        score = start["score"]
        if start.get("seed") is not None:
            score = {**score, "seed": start["seed"]}
        return {
            "score": score,
            "condition": start.get("condition") or "trained",
            "speed": 1.0 if speed is None else speed,
            "size": start.get("size") or 256,
            "draws": entry["renders"],
            "why_not": entry["why_not"],
        }

    async def _play(self, worker: Worker, socket: WebSocket) -> Told:
        """Pass on steps and pictures until the performance ends; says what it ended with."""
        count, patience = 0, self.settings.patience
        while True:
            reply, frame = await worker.receive(patience)
            if reply["type"] in ("done", "error"):
                return reply
            if reply["type"] == "ready":
                patience = self.settings.live_patience
            if reply["type"] not in ("ready", "step"):
                continue
            await self._send(socket, reply)
            if frame:
                await self._send(socket, frame)
            if reply["type"] == "step":
                count += 1
                await worker.send({"type": "taken", "count": count})

    async def _send(self, socket: WebSocket, message: Told | bytes) -> None:
        await _sent(socket, message, self.settings.send_patience)

    async def _hear(self, worker: Worker, socket: WebSocket, run: Run) -> None:
        """Pass on what the client says; ends when it has left."""
        with suppress(*GONE):
            while True:
                try:
                    message = _message(await socket.receive_text(), run.entry["skills"])
                except KeyError:
                    continue
                except Refusal as error:
                    await self._send(socket, _told_error(error))
                    continue
                if message["type"] == "start":
                    error = Refusal(409, "A performance is under way.", "Stop it first.")
                    await self._send(socket, _told_error(error))
                    continue
                await worker.send(message)


async def _sent(socket: WebSocket, message: Told | bytes, patience: float) -> None:
    """Send a message once there is room for it; raises TimeoutError after `patience` seconds."""
    async with asyncio.timeout(patience):
        if isinstance(message, bytes):
            await socket.send_bytes(message)
        else:
            await socket.send_json(message)


def _message(text: str, skills: int) -> Told:
    """A message of a client, with what it may hold and nothing else; raises Refusal."""
    kind = checked(text, {"type": tuple(WANTED)})["type"]
    found = checked(text, WANTED[kind])
    message = {"type": kind, **{name: found[name] for name in WANTED[kind] if name in found}}
    if kind == "skill" and (message.setdefault("skill", None) or 0) >= skills:
        raise Refusal(404, f"There is no skill {message['skill']}.", f"There are {skills}.")
    return message


def _told_error(error: BaseException) -> Told:
    return {"type": "error", **error_json(error)}


async def _ended(playing: "asyncio.Task[Told]", worker: Worker) -> Told:
    """What the client is told of the end; a client that took nothing is left as one that is gone.

    Raises WorkerLost where the simulator was.
    """
    try:
        reply = playing.result()
    except WorkerLost:
        raise
    except GONE:
        await _stopped(worker)
        raise
    if reply["type"] == "error":
        return {"type": "error", **reply["error"]}
    return {"type": "ended", **reply["result"]}


async def _stopped(worker: Worker) -> None:
    """Have a worker come to its end without anybody listening; raises WorkerLost otherwise."""
    await worker.send({"type": "stop"})
    while (await worker.receive(STOPPING))[0]["type"] not in ("done", "error"):
        pass


async def _first_of(*parts: Awaitable[None]) -> None:
    """Run all until one of them ends, then end the others; its error, if any, is raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            await _cancelled(task)


async def _cancelled(task: "asyncio.Future[Any]") -> None:
    """End a task and wait for it; what it raises then is nobody's."""
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task


async def _until_gone(socket: WebSocket) -> None:
    with suppress(*GONE):
        while True:
            await socket.receive()
            if socket.client_state is not WebSocketState.CONNECTED:
                return


async def _close(socket: WebSocket, code: int) -> None:
    with suppress(*GONE):
        await socket.close(code)
