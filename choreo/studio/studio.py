"""Everything that one server holds: its runs, jobs, simulators, and the health of runs."""

import asyncio
import threading
from collections import Counter
from contextlib import suppress
from typing import Any

from choreo.errors import ChoreoError
from choreo.studio.guard import Keys
from choreo.studio.jobs import Jobs
from choreo.studio.library import Library
from choreo.studio.pool import Pool
from choreo.studio.refusal import Refusal
from choreo.studio.runs import Run, mark_of
from choreo.studio.settings import Settings


class Studio:
    """The state of a server; nothing of it lies in modules."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.keys = settings, Keys()
        self.library = Library(settings)
        self.jobs = Jobs(self.library, settings)
        self.asking = Pool(1, settings.idle)
        self.live = Pool(settings.performers, settings.idle)
        self.measuring = Pool(1, settings.idle)
        self._health: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {}
        self._measured: dict[str, tuple[int, ...]] = {}
        self._renewals: Counter[str] = Counter()
        self._wanted: set[str] = set()
        self._under_way: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    def start(self) -> None:
        """Begin to compute, and find out in the background what draws here.

        In a thread of its own, which nobody waits for at the end.
        """
        self.jobs.start()
        threading.Thread(target=self.library.find_renderer, daemon=True).start()

    def close(self) -> None:
        """End all worker processes."""
        for task in self._tasks:
            task.cancel()
        for part in (self.jobs, self.asking, self.live, self.measuring):
            part.close()

    async def run(self, id: str) -> Run:
        """The run of an id; raises Refusal (404)."""
        return await asyncio.to_thread(self.library.get, id)

    async def playable(self, id: str) -> Run:
        """A run that has a simulator; raises Refusal with what to do."""
        run = await self.run(id)
        if not run.entry["simulates"]:
            why = run.entry["why_not"] or "This run has no simulator here."
            raise Refusal(409, why.split(". ", 1)[0] + ".", why.partition(". ")[2])
        return run

    async def ask(self, task: str, run: Run | None, params: dict[str, Any]) -> Any:
        """Have a worker answer at once what needs no agent."""
        asked = {"task": task, "params": params, "run": None}
        if run is not None:
            asked = self.library.asked(task, run, params)
        return await self._answer(self.asking, asked)

    async def _answer(self, pool: Pool, asked: dict[str, Any]) -> Any:
        async with pool.lease("") as worker:
            await worker.send(asked)
            while True:
                reply, _ = await worker.receive(self.settings.patience)
                if reply["type"] == "done":
                    return reply["result"]
                if reply["type"] == "error":
                    found = reply["error"]
                    raise Refusal(reply["status"], found["error"], found["do"], found["what"])

    async def health(self, run: Run, wanted: bool = False) -> dict[str, Any]:
        """How a run's training stands; read anew only where its files have changed.

        Once it was `wanted` by somebody who looks at it, the run's checkpoints are measured too.
        """
        async with self._one_at_a_time:
            self._wanted |= {run.id} if wanted else set()
            self._measure(run)
            mark = self.mark(run)
            known = self._health.get(run.id)
            if known is None or known[0] != mark:
                known = mark, await self.ask("health", run, {})
                self._health[run.id] = known
            return known[1] | {"measuring": self._under_way[run.id] > 0}

    def mark(self, run: Run) -> tuple[int, ...]:
        """What changes when there is more to tell of a run's health."""
        return (*mark_of(run), self._renewals[run.id])

    def _measure(self, run: Run) -> None:
        """Have the checkpoints measured that a run has saved since, in the background."""
        mark = mark_of(run, saved_only=True)
        asked = run.id in self._wanted and run.entry["phase"] != "finetune"
        if not asked or self._measured.get(run.id) == mark:
            return
        self._measured[run.id] = mark
        task = asyncio.create_task(self._measure_all(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _measure_all(self, run: Run) -> None:
        self._under_way[run.id] += 1
        try:
            with suppress(ChoreoError):  # the curve lacks a point; the next checkpoint tries again
                await self._answer(self.measuring, self.library.asked("growth", run, {}))
        finally:
            self._under_way[run.id] -= 1
            self._renewals[run.id] += 1
