"""Everything that one server holds: its runs, jobs, simulators, and the health of runs."""

import asyncio
import threading
from typing import Any

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
        self._health: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {}
        self._one_at_a_time = asyncio.Lock()

    def start(self) -> None:
        """Begin to compute, and find out in the background what draws here.

        In a thread of its own, which nobody waits for at the end.
        """
        self.jobs.start()
        threading.Thread(target=self.library.find_renderer, daemon=True).start()

    def close(self) -> None:
        """End all worker processes."""
        for part in (self.jobs, self.asking, self.live):
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
        async with self.asking.lease("") as worker:
            await worker.send(asked)
            while True:
                reply, _ = await worker.receive(self.settings.patience)
                if reply["type"] == "done":
                    return reply["result"]
                if reply["type"] == "error":
                    found = reply["error"]
                    raise Refusal(reply["status"], found["error"], found["do"], found["what"])

    async def health(self, run: Run) -> dict[str, Any]:
        """How a run's training stands; read anew only where its files have changed."""
        async with self._one_at_a_time:
            mark = mark_of(run)
            known = self._health.get(run.id)
            if known is None or known[0] != mark:
                known = mark, await self.ask("health", run, {})
                self._health[run.id] = known
            return known[1]
