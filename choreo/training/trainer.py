"""What every training loop does: sample, update, log, save, and go on from where it was killed."""

import abc
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from choreo.agent import Agent, load_agent_tensors
from choreo.config import RunConfig
from choreo.errors import CheckpointError
from choreo.learning.learner import Learner, Metrics
from choreo.record import Logger, Progress, RunFolder, Stopwatch, Streams, WandbOptions, checkpoint
from choreo.replay import Replay, SequenceSampler
from choreo.schema import Listed, Maybe, Named, Whole, problem
from choreo.stopping import StopRequest
from choreo.training.batches import choose_batches
from choreo.training.exactness import computed_with, warn_if_inexact
from choreo.training.finite import FiniteCheck
from choreo.training.health import HealthWatch
from choreo.training.outlook import Outlook
from choreo.training.schedule import Every, Minutes, Ratio
from choreo.world_model import Batch

log = logging.getLogger(__name__)

STATE = {
    "agent": dict,
    "command": str,
    "count": Whole(),
    "learner": Named(Whole()),
    "streams": {
        "seed": Whole(most=2**64),
        "numpy": Named(dict),
        "torch": Named({"device": str, "state": str}),
    },
    "clocks": Named(Named(Whole())),
    "logger": {"metrics_bytes": Whole(), "timing_bytes": Whole(), "step": Whole()},
    "computed_with": Maybe(Named(str)),
    "health": Maybe({"returns": Maybe(Listed(float)), "critic": Maybe(Listed(float))}),
}
"""The form of what a checkpoint records of every loop."""

UNLIKE_A_STATE = (
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    RuntimeError,
    AttributeError,
)
"""What is raised over entries that have the form and cannot be what a run had."""

MOST_READ, READ_AT_ONCE = 100_000, 1_000  # steps for the scale of observations; some are images


@dataclass
class Parts:
    """What a trainer is given: an agent with its learner, and the random streams."""

    agent: Agent
    learner: Learner
    streams: Streams


class Trainer(abc.ABC):
    """Learns from a replay until `total`, in a run folder.

    The two loops over it say what is counted: frames of an environment, or updates.
    """

    total: int
    counted: Literal["frames", "updates"]

    def __init__(
        self, config: RunConfig, run: RunFolder, parts: Parts, replay: Replay, most_steps: int
    ) -> None:
        self.config, self.run_folder, self.replay = config, run, replay
        self.agent, self.learner, self.streams = parts.agent, parts.learner, parts.streams
        self.stopwatch = Stopwatch()
        t, logging = config.training, config.logging
        rng, within = self.streams.numpy("sampler"), t.sequences == "episode"
        self.sampler = SequenceSampler(replay, t.batch, t.length, rng, within)
        self.batches = choose_batches(self.sampler, self.agent.device, most_steps)
        self.finite = FiniteCheck(run.path)
        adapts_after = getattr(t, "random_frames", None) if config.command == "finetune" else None
        self.health = HealthWatch(self.agent.num_skills, adapts_after, self.counted)
        self.outlook = Outlook(config, self.agent.device, bool(self.agent.spec.images))
        self.log_due, self.save_due = Every(logging.every), Every(logging.checkpoint_every)
        self.minutes_due = Minutes(logging.checkpoint_minutes)
        wandb = WandbOptions(project=logging.wandb_project) if logging.wandb else None
        self.logger = Logger(run.path, logging.tensorboard, wandb, config.to_json())

    @property
    @abc.abstractmethod
    def count(self) -> int:
        """How far the run is, in what `total` counts."""

    @property
    @abc.abstractmethod
    def planned_updates(self) -> int:
        """Updates of the whole run."""

    @abc.abstractmethod
    def counters(self) -> dict[str, int]:
        """Every count that stands beside a line of metrics."""

    @abc.abstractmethod
    def round(self) -> None:
        """Go on by a little."""

    def train(self) -> None:
        """Resume if there is a checkpoint, then train to the end and save.

        A signal that ends programs (see `choreo.stopping`) lets the round end and saves; then
        `Stopped` is raised.
        """
        try:
            self._resume()
            if self.count < self.total:
                log.info("%s updates are planned", f"{self.planned_updates:,}")
            else:
                log.info("nothing is left to do: it has %s %s", f"{self.count:,}", self.counted)
            self.begin()
            stop = StopRequest()
            with stop.noted():
                self._rounds(stop)
                if self._saved_count() != self.count:
                    self.save()
        finally:
            self.close()

    def _rounds(self, stop: StopRequest) -> None:
        """Rounds until the end, or until a signal asks to stop."""
        with self._progress() as progress:
            while self.count < self.total and stop.number is None:
                before = self.count
                self.round()
                self._snapshot(before)
                if self.save_due(self.count) or self.minutes_due():
                    self.save()
                progress.note = self.health.note
                progress.update(self.count, self.learner.updates)

    @abc.abstractmethod
    def begin(self) -> None:
        """What is done once, after a run was begun or resumed."""

    def close(self) -> None:
        """Free files."""
        self.logger.close()
        self.replay.close()
        self.run_folder.release()

    def resting(self, batch: Mapping[str, np.ndarray]) -> tuple[str, ...]:
        """Names of the parts that do not learn from this batch."""
        return ()

    def update(self) -> None:
        """One update on a fresh batch, and its line of metrics when one is due."""
        if self.learner.updates == 0:
            self._standardize()
        with self.stopwatch.watch("sampling"):
            sample = self.batches.sample()
            batch = Batch.from_tensors(sample.tensors, list(self.agent.spec.observations))
        with self.stopwatch.watch("updating"):
            metrics = self.learner.update(batch, self.resting(sample))
            where = f"{self.count} {self.counted}"
            self.finite.watch(self.learner.updates, where, metrics, sample.tensors)
        self.outlook.updated(self.planned_updates - self.learner.updates)
        if self.log_due(self.count):
            self._log(metrics)

    def settle(self) -> None:
        """Wait for the last update, and look whether it was finite, see `FiniteCheck`."""
        with self.stopwatch.watch("updating"):  # on CUDA it goes on until here
            self.finite.settle()

    def _standardize(self) -> None:
        """Before the first update: take the scale of the observations from what is in replay."""
        model, deviation = self.agent.world_model, self.agent.config.model.standardize
        keys = model.standardizer.keys
        if not deviation or not keys or bool(model.standardizer.fitted):
            return
        rows: dict[str, list[np.ndarray]] = {key: [] for key in keys}
        for stream, start, stop in self._spread():
            steps = self.replay.read(stream, start, stop)
            for key in keys:
                rows[key].append(steps[key])
        device = self.agent.device
        seen = {key: torch.as_tensor(np.concatenate(rows[key])).to(device) for key in keys}
        model.standardizer.fit(seen, deviation, self.agent.config.model.standardize_floor)

    def _spread(self) -> list[tuple[int, int, int]]:
        """Stream, start and stop of pieces of the replay: all of it, or as much spread over it."""
        pieces = [
            (stream, start, min(start + READ_AT_ONCE, int(last)))
            for stream, (first, last) in enumerate(zip(*self.replay.bounds(), strict=True))
            for start in range(int(first), int(last), READ_AT_ONCE)
        ]
        return pieces[:: -(-len(pieces) * READ_AT_ONCE // MOST_READ)]

    def _log(self, metrics: Metrics) -> None:
        self.settle()
        values = torch.stack([value.double() for value in metrics.values()]).tolist()
        line = dict(zip(metrics, values, strict=True))
        line |= self.health.look(line, self.count)
        self.logger.write("train", self.counters(), line)
        self._time()

    def _time(self) -> None:
        """Write down how long this process has worked, and on what."""
        shares = {f"share/{key}": value for key, value in self.stopwatch.shares().items()}
        self.logger.timing(self.counters(), {"seconds": self.stopwatch.elapsed(), **shares})

    def _progress(self) -> Progress:
        label = f"{self.config.command} {self.run_folder.path.name}"
        return Progress(
            self.total,
            self.count,
            self.stopwatch,
            label,
            self.counted,
            every=15.0,
            quiet=not self.config.logging.progress,
        )

    def _snapshot(self, before: int) -> None:
        """Save the agent for good at the counts the configuration names."""
        for count in getattr(self.config, "snapshots", ()):
            if before < count <= self.count:
                self.settle()
                self.agent.save(self.run_folder.snapshots / f"{self.counted}_{count}")

    def save(self) -> None:
        """Write a checkpoint from which `train` goes on exactly."""
        self.settle()
        self._time()  # also of a run that is too short for a line of metrics
        groups = {"agent": self.agent.state_dict(), "learner": self.learner.state_dict()}
        tensors = {
            f"{group}.{key}": value
            for group, entries in (groups | self.own_tensors()).items()
            for key, value in entries.items()
        }
        name = f"{self.counted}_{self.count:09d}"
        folder = self.run_folder.checkpoints
        checkpoint.save(folder, name, tensors, self._state(), keep=self.config.logging.keep)
        self.minutes_due.restart()

    def own_tensors(self) -> dict[str, dict[str, Tensor]]:
        """Further groups of tensors that a checkpoint of this loop holds."""
        return {}

    def own_state(self) -> dict[str, Any]:
        """Further entries of a checkpoint of this loop, as JSON."""
        return {}

    @abc.abstractmethod
    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go on where `own_tensors` and `own_state` were taken."""

    def clocks(self) -> dict[str, Every | Ratio]:
        """The clocks that a checkpoint records."""
        return {"log": self.log_due, "save": self.save_due}

    def form(self) -> dict[str, Any]:
        """The form of a checkpoint's state, with the entries of this loop."""
        return STATE

    def _computes_with(self) -> dict[str, str]:
        return computed_with(self.agent.device, self.config.precision, self.config.mode)

    def _state(self) -> dict[str, Any]:
        return {
            "computed_with": self._computes_with(),
            "agent": self.agent.description(),
            "command": self.config.command,
            "count": self.count,
            "learner": self.learner.counters(),
            "streams": self.streams.state(),
            "clocks": {name: clock.state() for name, clock in self.clocks().items()},
            "logger": self.logger.state(),
            "health": self.health.state(),
            **self.own_state(),
        }

    def _saved_count(self) -> int | None:
        path = checkpoint.latest(self.run_folder.checkpoints)
        return None if path is None else checkpoint.load_state(path)["count"]

    def _resume(self) -> None:
        path = checkpoint.latest(self.run_folder.checkpoints)
        if path is None:
            self.logger.restore(None)
            return
        tensors, state = checkpoint.load(path)
        if "count" not in state and "streams" not in state:
            raise CheckpointError(
                f"{path} cannot be resumed: it holds an agent without its training. Give another "
                "folder with --run-dir, and this one to `choreo finetune --from`"
            )
        wrong = problem(state, self.form())
        if wrong:
            raise CheckpointError(_cannot(path, wrong))
        try:
            self._take_up(tensors, state)
        except CheckpointError as error:
            raise CheckpointError(f"{path} cannot be resumed: {error}") from error
        except UNLIKE_A_STATE as error:
            raise CheckpointError(_cannot(path, f"{type(error).__name__}: {error}")) from error
        if self.count != state["count"]:
            raise CheckpointError(_cannot(path, f"count is {state['count']}, it has {self.count}"))
        warn_if_inexact(state.get("computed_with"), self._computes_with())

    def _take_up(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Put every part where the checkpoint has it."""
        load_agent_tensors(self.agent, tensors)
        self.learner.load_state_dict(group_of(tensors, "learner"), state["learner"])
        self.streams.restore(state["streams"])
        for name, clock in self.clocks().items():
            clock.restore(state["clocks"][name])
        self.restore(tensors, state)
        self.health.restore(state.get("health") or {})
        self.logger.restore(state["logger"])


def _cannot(path: Path, reason: str) -> str:
    return (
        f"{path} cannot be resumed: its state is not one that a run has ({reason:.300}). Remove "
        "that folder to go on from the checkpoint before it, or copy it back"
    )


def group_of(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors of one group of a checkpoint, by their own names."""
    prefix = f"{name}."
    return {key[len(prefix) :]: v for key, v in tensors.items() if key.startswith(prefix)}
