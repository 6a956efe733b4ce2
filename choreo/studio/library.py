"""The runs of a studio as they stand: what is listed, and which checkpoint of each is open."""

import time
from typing import TYPE_CHECKING, Any

from choreo.envs.rendering.backends import choose_backend
from choreo.errors import RendererUnavailable
from choreo.studio.cache import VERSIONS, name_of
from choreo.studio.refusal import Refusal
from choreo.studio.runs import Run, described, env_for, find_runs, identity_of, mark_of
from choreo.studio.settings import Settings
from choreo.studio.wire import Message

if TYPE_CHECKING:
    from choreo.studio.jobs import Job

FRESH = 2.0  # seconds for which the list of runs is taken as it was [ours]


class Library:
    """Runs by id; a checkpoint stays open until a newer one is asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.draws: str | None = None
        self._runs = {run.id: run for run in find_runs(settings.place)}
        self._marks: dict[str, tuple[int, ...]] = {}
        self._looked = time.monotonic()
        self._open: dict[str, str] = {}

    def find_renderer(self) -> None:
        """Find out, once for all workers, whether and with what pictures are drawn; seconds."""
        try:
            choose_backend()
        except RendererUnavailable as error:
            self.draws = str(error)
        self._marks.clear()

    def all(self) -> list[Run]:
        """Every run with its entry, also those that have come since; reads files."""
        if time.monotonic() - self._looked > FRESH:
            self._runs = {r.id: self._runs.get(r.id, r) for r in find_runs(self.settings.place)}
            self._looked = time.monotonic()
        return [self.get(key) for key in list(self._runs)]

    def get(self, id: str) -> Run:
        """The run of an id, its entry as its files stand now; raises Refusal (404)."""
        run = self._runs.get(id)
        if run is None:
            raise Refusal(404, "There is no such run here.", "Choose one of the list.")
        mark = mark_of(run)
        if self._marks.get(id) != mark or not run.entry:
            run = self._runs[id] = described(run, self.settings, self.draws)
            self._marks[id] = mark
        return run

    def identity(self, run: Run) -> str:
        """The checkpoint that is open, as the hash of its weights; at first the latest.

        Raises Refusal where there is none, CheckpointError where it is damaged.
        """
        if run.id not in self._open:
            self._open[run.id] = self._latest(run)
        return self._open[run.id]

    def newer(self, run: Run) -> bool:
        """Whether the run has saved a later checkpoint than the one that is open."""
        return run.id in self._open and identity_of(run) not in (None, self._open[run.id])

    def renew(self, run: Run) -> str:
        """Open the latest checkpoint."""
        self._open[run.id] = self._latest(run)
        return self._open[run.id]

    def map_name(self) -> str:
        """Under which name the map lies in the cache."""
        return name_of("map", VERSIONS["map"], {"env": self.settings.env})

    def moved(self, run: Run, identity: str) -> None:
        """Take note of the checkpoint that a worker has found in place of the wanted one."""
        self._open[run.id] = identity

    def _latest(self, run: Run) -> str:
        found = identity_of(run)
        if found is None:
            advice = "Wait until it has, or resume it if it stopped."
            raise Refusal(409, "This run has saved no checkpoint yet.", advice)
        return found

    def request(self, job: "Job") -> Message:
        """What a worker is asked for a job."""
        asked = self.asked(job.kind, job.run, dict(job.params))
        return {**asked, "name": job.name, "identity": job.identity}

    def asked(self, task: str, run: Run, params: dict[str, Any]) -> Message:
        """What a worker is asked for a run."""
        return {
            "task": task,
            "params": params,
            "run": {
                "path": str(run.path),
                "folder": str(run.folder),
                "env": env_for(str(run.entry.get("environment")), run, self.settings),
                "trust": self.settings.trust,
                "simulates": run.entry["simulates"],
            },
            "map": self.map_name(),
            "identity": self._open.get(run.id, ""),
            "cache_bytes": self.settings.cache_bytes,
        }
