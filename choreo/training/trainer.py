"""The training loop: collect, sample, update, log, save; and go on from where a run was killed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from choreo.agent import Agent, load_agent_tensors
from choreo.config import RunConfig
from choreo.envs.vector import VectorEnv, make_vector
from choreo.errors import CheckpointError, NotFinite
from choreo.learner import Learner, Metrics
from choreo.record import Logger, Progress, RunFolder, Stopwatch, Streams, WandbOptions, checkpoint
from choreo.replay import Replay, SequenceSampler
from choreo.training.collector import Collector, replay_keys
from choreo.training.phases import Phase
from choreo.training.schedule import Every, Ratio
from choreo.world_model import Batch

READ_AT_ONCE = 1024  # steps; with images a step can be large

Evaluator = Callable[[Agent, int], dict[str, float]]
"""Scores the agent after a number of frames, without touching its training."""


@dataclass
class Parts:
    """What a trainer is given: an agent with its learner and phase, and the random streams."""

    agent: Agent
    learner: Learner
    phase: Phase
    streams: Streams
    update_start: int
    """Frames before the first update."""


class Trainer:
    """Runs one phase in a run folder until `config.frames`."""

    def __init__(
        self, config: RunConfig, run: RunFolder, parts: Parts, evaluator: Evaluator | None = None
    ) -> None:
        self.config, self.run_folder, self.evaluator = config, run, evaluator
        self.agent, self.learner, self.phase = parts.agent, parts.learner, parts.phase
        self.streams = parts.streams
        self.stopwatch = Stopwatch()
        t, logging = config.training, config.logging
        self.vector: VectorEnv = make_vector(
            config.env, t.environments, t.parallel, **config.env_options
        )
        max_bytes = int(config.replay.max_gb * 1e9)
        self.replay = Replay(run.replay, replay_keys(self.vector), t.environments, max_bytes)
        self.collector = Collector(self.vector, self.replay, config.seed)
        self.session = self.agent.session(t.environments)
        self.session.generator = self.streams.torch("acting", self.agent.device)
        rng = self.streams.numpy("sampler")
        self.sampler = SequenceSampler(self.replay, t.batch, t.length, rng)
        self.updates_due = Ratio(t.update_every, parts.update_start)
        self.log_due, self.save_due = Every(logging.every), Every(logging.checkpoint_every)
        self.evaluate_due = Every(t.evaluate_every)
        wandb = WandbOptions(project=logging.wandb_project) if logging.wandb else None
        self.logger = Logger(run.path, logging.tensorboard, wandb, config.to_json())

    def train(self) -> None:
        """Resume if there is a checkpoint, then train to the end and save."""
        try:
            self._resume()
            if self.collector.pending is None:
                self._begin()
            with self._progress() as progress:
                while self.collector.frames < self.config.frames:
                    self._round()
                    progress.update(self.collector.frames, self.learner.updates)
            if self._saved_frames() != self.collector.frames:
                self.save()
        finally:
            self.close()

    def close(self) -> None:
        """Free environments and files."""
        self.vector.close()
        self.logger.close()
        self.replay.close()

    def _round(self) -> None:
        """Record a step, begin the next one in every environment, and learn while they move."""
        before = self.collector.frames
        with self.stopwatch.watch("environment"):
            ended = self.collector.finish()
        for episode in ended:
            self.logger.write("episode", self._counters(), episode)
        self._begin()
        if self.sampler.ready():
            for _ in range(self.updates_due(self.collector.frames)):
                if self.learner.updates == 0:
                    self._standardize()
                metrics = self._update()
                if self.log_due(self.collector.frames):
                    self._log(metrics)
        self._evaluate()
        self._snapshot(before)
        if self.save_due(self.collector.frames):
            self.save()

    def _begin(self) -> None:
        with self.stopwatch.watch("acting"):
            self.collector.begin(
                lambda step: self.phase.act(self.session, step, self.collector.frames)
            )

    def _standardize(self) -> None:
        """Before the first update: take the scale of the observations from what is in replay."""
        model, deviation = self.agent.world_model, self.agent.config.model.standardize
        keys = model.standardizer.keys
        if not deviation or not keys or bool(model.standardizer.fitted):
            return
        rows: dict[str, list[np.ndarray]] = {key: [] for key in keys}
        for stream, (start, stop) in enumerate(zip(*self.replay.bounds(), strict=True)):
            for part in range(int(start), int(stop), READ_AT_ONCE):
                steps = self.replay.read(stream, part, min(part + READ_AT_ONCE, int(stop)))
                for key in keys:
                    rows[key].append(steps[key])
        device = self.agent.device
        seen = {key: torch.as_tensor(np.concatenate(rows[key])).to(device) for key in keys}
        model.standardizer.fit(seen, deviation)

    def _update(self) -> Metrics:
        with self.stopwatch.watch("sampling"):
            raw = self.sampler.sample()
            data = {key: torch.as_tensor(value) for key, value in raw.items()}
            data = {key: value.to(self.agent.device) for key, value in data.items()}
            batch = Batch.from_tensors(data, list(self.agent.spec.observations))
        with self.stopwatch.watch("updating"):
            resting = self.phase.resting(raw, self.collector.frames)
            metrics = self.learner.update(batch, resting)
            self._check_finite(metrics, raw)
        return metrics

    def _check_finite(self, metrics: Metrics, raw: dict[str, np.ndarray]) -> None:
        """Stop before a checkpoint can be spoilt, and keep the batch that did it."""
        values = torch.stack([value.to(torch.float32) for value in metrics.values()])
        if bool(values.isfinite().all()):
            return
        wrong = [name for name, value in zip(metrics, values, strict=True) if not value.isfinite()]
        path = self.run_folder.path / f"not-finite-update-{self.learner.updates}.npz"
        np.savez(path, allow_pickle=False, **raw)
        raise NotFinite(
            f"update {self.learner.updates} at {self.collector.frames} frames gave NaN or infinity "
            f"in {', '.join(wrong)}; its batch is in {path}. The last checkpoint is unharmed: look "
            "at that batch, then resume with a smaller learning rate or repaired data"
        )

    def _log(self, metrics: Metrics) -> None:
        self.logger.write("train", self._counters(), {k: float(v) for k, v in metrics.items()})
        shares = {f"share/{key}": value for key, value in self.stopwatch.shares().items()}
        self.logger.timing(self._counters(), shares)

    def _evaluate(self) -> None:
        if self.evaluator is not None and self.evaluate_due(self.collector.frames):
            with self.stopwatch.watch("evaluating"):
                values = self.evaluator(self.agent, self.collector.frames)
            self.logger.write("evaluation", self._counters(), values)

    def _counters(self) -> dict[str, int]:
        steps = self.collector.frames // self.vector.spec.action_repeat
        return {"frames": self.collector.frames, "steps": steps, "updates": self.learner.updates}

    def _progress(self) -> Progress:
        label = f"{self.config.command} {self.run_folder.path.name}"
        return Progress(
            self.config.frames,
            self.collector.frames,
            self.stopwatch,
            label,
            every=15.0,
            quiet=not self.config.logging.progress,
        )

    def _snapshot(self, before: int) -> None:
        """Save the agent for good at the frames the configuration names."""
        for frames in getattr(self.config, "snapshots", ()):
            if before < frames <= self.collector.frames:
                self.agent.save(self.run_folder.snapshots / f"frames_{frames}")

    def save(self) -> None:
        """Write a checkpoint from which `train` goes on exactly."""
        self.replay.flush()
        tensors: dict[str, Tensor] = {}
        groups = {
            "agent": self.agent.state_dict(),
            "learner": self.learner.state_dict(),
            "session": self.session.state_dict(),
        }
        for group, entries in groups.items():
            tensors |= {f"{group}.{key}": value for key, value in entries.items()}
        name = f"frames_{self.collector.frames:09d}"
        folder = self.run_folder.checkpoints
        checkpoint.save(folder, name, tensors, self._state(), keep=self.config.logging.keep)
        kept = [
            checkpoint.load_state(path)["replay"] for path in checkpoint.list_checkpoints(folder)
        ]
        self.replay.collect_garbage(kept)

    def _state(self) -> dict[str, Any]:
        return {
            "agent": self.agent.description(),
            "command": self.config.command,
            "learner": self.learner.counters(),
            "streams": self.streams.state(),
            "replay": self.replay.state(),
            "collector": self.collector.state(),
            "phase": self.phase.state(),
            "clocks": {name: clock.state() for name, clock in self._clocks().items()},
            "logger": self.logger.state(),
        }

    def _clocks(self) -> dict[str, Every | Ratio]:
        return {"update": self.updates_due, "log": self.log_due, "save": self.save_due}

    def _saved_frames(self) -> int | None:
        path = checkpoint.latest(self.run_folder.checkpoints)
        return None if path is None else checkpoint.load_state(path)["collector"]["frames"]

    def _resume(self) -> None:
        path = checkpoint.latest(self.run_folder.checkpoints)
        if path is None:
            self.logger.restore(None)
            return
        tensors, state = checkpoint.load(path)
        if "collector" not in state:
            raise CheckpointError(
                f"{path} cannot be resumed: it holds an agent without its training. Give another "
                "folder with --run-dir, and this one to `choreo finetune --from`"
            )
        load_agent_tensors(self.agent, tensors)
        self.learner.load_state_dict(_group(tensors, "learner"), state["learner"])
        self.replay.restore(state["replay"])
        self.collector.restore(state["collector"])
        self.streams.restore(state["streams"])
        self.session.load_state_dict(_group(tensors, "session"))
        self.phase.restore(state["phase"])
        for name, clock in self._clocks().items():
            clock.restore(state["clocks"][name])
        self.evaluate_due(self.collector.frames)
        self.logger.restore(state["logger"])


def _group(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key[len(prefix) :]: v for key, v in tensors.items() if key.startswith(prefix)}
