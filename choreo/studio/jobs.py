"""Figures that are being computed: each once, in the background, with progress for who watches."""

import asyncio
import hashlib
import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from choreo.studio.cache import VERSIONS, Cache, name_of
from choreo.studio.library import Library
from choreo.studio.pool import Pool, Worker
from choreo.studio.refusal import Refusal, error_json
from choreo.studio.runs import Run
from choreo.studio.settings import Settings
from choreo.studio.wire import Message

State = Literal["waiting", "working", "ready", "failed"]
BACKGROUND = {"map": 0, "dreamt": 1, "compared": 1, "score": 1, "film": 2}
"""Kinds that take long, with what goes first among them; a person waits for the others."""
MOST_JOBS = 256  # remembered, finished ones included; an imagined score may be 0.3 MB [ours]
MOST_WAITING = 400  # [ours]
TRY_AGAIN = 60.0  # seconds after which a figure that failed is tried again when asked for [ours]


Lane = asyncio.PriorityQueue[tuple[int, int, "Job"]]


@dataclass
class Job:
    """One figure of one checkpoint of one run."""

    id: str
    run: Run
    identity: str
    kind: str
    params: Mapping[str, Any]
    name: str
    data: bytes = b""
    state: State = "waiting"
    progress: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    result: Any = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    failed_at: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """What the page sees."""
        return {
            "job": self.id,
            "run": self.run.id,
            "kind": self.kind,
            "state": self.state,
            "progress": self.progress,
            "error": self.error,
            "result": self.result,
        }

    @property
    def stale(self) -> bool:
        """Whether it failed a while ago, so that asking for it means trying again."""
        return time.monotonic() - self.failed_at > TRY_AGAIN

    @property
    def settled(self) -> bool:
        """Whether it is ready or has failed."""
        return self.state in ("ready", "failed")


class Jobs:
    """The table of jobs, with the consumers that have workers compute them."""

    def __init__(self, library: Library, settings: Settings) -> None:
        self.library, self.settings = library, settings
        self.pool = Pool(3, settings.idle)
        self.table: OrderedDict[str, Job] = OrderedDict()
        self._lanes = {name: Lane() for name in ("quick", "background")}
        self._numbers = itertools.count()
        self._watchers: set[Callable[[Job], None]] = set()
        self._consumers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to compute."""
        for lane in ("quick", "background", "background"):
            self._consumers.append(asyncio.create_task(self._consume(self._lanes[lane])))

    def close(self) -> None:
        """End all work."""
        for task in self._consumers:
            task.cancel()
        self.pool.close()

    @contextmanager
    def watched(self, watcher: Callable[[Job], None]) -> Iterator[None]:
        """Have every change of a job told within the block."""
        self._watchers.add(watcher)
        try:
            yield
        finally:
            self._watchers.discard(watcher)

    def ensure(
        self,
        run: Run,
        kind: str,
        params: Mapping[str, Any],
        data: bytes = b"",
        again: bool = False,
    ) -> Job:
        """The job for a figure: the one there is, or a new one; `again` starts a failed one anew.

        Raises Refusal where too many wait or the run has no checkpoint.
        """
        identity = self.library.identity(run)
        asked = {**params, "data": hashlib.sha256(data).hexdigest()} if data else dict(params)
        name = name_of(kind, VERSIONS[kind], {**asked, "env": self.settings.env})
        number = hashlib.sha256(f"{run.id} {identity} {name}".encode()).hexdigest()[:20]
        found = self.table.get(number)
        if found is not None and not (found.state == "failed" and (again or found.stale)):
            return found
        job = Job(number, run, identity, kind, params, name, data)
        if not self._take_kept(job):
            self._queue(job)
        self._remember(job)
        return job

    def kept(self, run: Run, name: str) -> bool:
        """Whether a figure of the open checkpoint lies in the cache."""
        return self.cache(run, self.library.identity(run)).holds(f"{name}.json")

    def renewed(self, job: Job) -> Job:
        """A job whose result is no longer in the cache, begun anew."""
        self.table.pop(job.id, None)
        self.cache(job.run, job.identity).forget(job.name)
        return self.ensure(job.run, job.kind, job.params)

    def cache(self, run: Run, identity: str) -> Cache:
        """The cache of a checkpoint."""
        return Cache(run.folder, identity, self.settings.cache_bytes)

    def _queue(self, job: Job) -> None:
        lane = self._lanes["background" if job.kind in BACKGROUND else "quick"]
        if lane.qsize() >= MOST_WAITING:
            raise Refusal(429, "Too many figures wait already.", "Try again when some are done.")
        lane.put_nowait((BACKGROUND.get(job.kind, 0), next(self._numbers), job))

    def _remember(self, job: Job) -> None:
        self.table[job.id] = job
        for number in [number for number, one in self.table.items() if one.settled]:
            if len(self.table) <= MOST_JOBS:
                break
            del self.table[number]

    def _take_kept(self, job: Job) -> bool:
        """Whether the result lies in the cache; then the job is ready."""
        kept = self.cache(job.run, job.identity).read_json(job.name)
        if kept is None:
            return False
        job.result = {} if job.kind == "map" else with_urls(kept, job)
        job.state, job.data = "ready", b""
        job.over.set()
        return True

    async def _consume(self, lane: Lane) -> None:
        while True:
            _, _, job = await lane.get()
            try:
                await self._work(job)
            except Exception as error:  # also a fault of ours must not end the lane
                job.state, job.error = "failed", error_json(error)
            job.progress, job.data, job.failed_at = None, b"", time.monotonic()
            job.over.set()
            self._tell(job)

    async def _work(self, job: Job) -> None:
        async with self.pool.lease(job.run.id) as worker:
            job.state = "working"
            self._tell(job)
            reply = await self._computed(worker, job)
        if reply["type"] == "error":
            job.state, job.error = "failed", reply["error"]
            return
        job.identity = reply["result"]["identity"]
        self.library.moved(job.run, job.identity)
        if not self._take_kept(job):
            raise Refusal(507, "The result is not in the cache any more.", "Try again.")

    async def _computed(self, worker: Worker, job: Job) -> Message:
        """What the worker says in the end; its progress goes to who watches."""
        await worker.send(self.library.request(job), job.data)
        while True:
            reply, _ = await worker.receive(self.settings.patience)
            if reply["type"] != "progress":
                return reply
            job.progress = {key: reply[key] for key in ("stage", "done", "total")}
            self._tell(job)

    def _tell(self, job: Job) -> None:
        for watcher in list(self._watchers):
            with suppress(Exception):
                watcher(job)


def with_urls(value: Any, job: Job) -> Any:
    """A result with the names of its files as urls."""
    if isinstance(value, dict):
        return {key: with_urls(one, job) for key, one in value.items()}
    if isinstance(value, list):
        return [with_urls(one, job) for one in value]
    if isinstance(value, str) and value.startswith("file:"):
        file = job.name + value.removeprefix("file:")
        return f"/api/runs/{job.run.id}/files/{job.identity[:16]}/{file}"
    if isinstance(value, str) and value.startswith("job:"):
        return f"/api/jobs/{job.id}/{value.removeprefix('job:')}"
    return value
