"""Training in environments: collect a step, learn while the next one is under way."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from choreo.agent import Agent
from choreo.config import OnlineConfig
from choreo.envs.vector import VectorEnv, make_vector
from choreo.learning.modes import choose_mode
from choreo.record import RunFolder, checkpoint
from choreo.replay import Replay
from choreo.schema import Listed, Maybe, Whole
from choreo.training.collector import Collector, replay_keys
from choreo.training.phases import Phase
from choreo.training.schedule import Every, Ratio
from choreo.training.trainer import Parts, Trainer, group_of

Evaluator = Callable[[Agent, int], dict[str, float]]
"""Scores the agent after a number of frames, without touching its training."""


COLLECTOR = {
    "frames": Whole(),
    "episodes": Listed(Whole()),
    "open_steps": Listed(Whole()),
    "returns": Listed(float),
    "pending": Maybe({"actions": list, "reset": Listed(bool)}),
}
"""The form of `Collector.state`."""


class OnlineTrainer(Trainer):
    """Runs one phase, pre-training or fine-tuning, until `config.frames`.

    `update_start` is the number of frames before the first update.
    """

    counted = "frames"

    def __init__(
        self,
        config: OnlineConfig,
        run: RunFolder,
        parts: Parts,
        phase: Phase,
        update_start: int,
        evaluator: Evaluator | None = None,
    ) -> None:
        t = config.training
        self.vector: VectorEnv = make_vector(
            config.env, t.environments, t.parallel, **config.env_options
        )
        max_bytes = int(config.replay.max_gb * 1e9)
        replay = Replay(run.replay, replay_keys(self.vector), t.environments, max_bytes)
        super().__init__(config, run, parts, replay, self._most_steps(config))
        self.total, self.phase, self.evaluator = config.frames, phase, evaluator
        self.collector = Collector(self.vector, replay, config.seed)
        self.agent.captures = choose_mode(config.mode, self.agent.device).startswith("captured")
        self.session = self.agent.session(t.environments)
        self.session.generator = self.streams.torch("acting", self.agent.device)
        self.random_frames = t.random_frames
        self.updates_due = Ratio(t.update_every, update_start)
        self.evaluate_due = Every(t.evaluate_every)

    def _most_steps(self, config: OnlineConfig) -> int:
        """Steps that the whole run may record: one for every decision and one for every reset."""
        spec, streams = self.vector.spec, config.training.environments
        steps = -(-config.frames // spec.action_repeat)
        return steps + steps // (spec.episode_steps or 1) + 2 * streams

    @property
    def count(self) -> int:
        return self.collector.frames

    @property
    def planned_updates(self) -> int:
        due = self.updates_due
        return max(self.total - due.start, 0) // due.every if due.every > 0 else 0

    def counters(self) -> dict[str, int]:
        steps = self.count // self.vector.spec.action_repeat
        return {"frames": self.count, "steps": steps, "updates": self.learner.updates}

    def begin(self) -> None:
        self.evaluate_due(self.count)
        if self.collector.pending is None:
            self._begin_step()

    def round(self) -> None:
        """Record a step, begin the next one in every environment, and learn while they move."""
        with self.stopwatch.watch("environment"):
            ended = self.collector.finish()
        for episode in ended:
            self.logger.write("episode", self.counters(), episode)
        self._begin_step()
        if self.sampler.ready():
            for _ in range(self.updates_due(self.count)):
                self.update()
        else:
            self.health.wait(self.count, self.random_frames)
        self._evaluate()

    def _begin_step(self) -> None:
        self.settle()
        with self.stopwatch.watch("acting"):
            self.collector.begin(lambda step: self.phase.act(self.session, step, self.count))

    def resting(self, batch: Mapping[str, np.ndarray]) -> tuple[str, ...]:
        return self.phase.resting(batch, self.count)

    def _evaluate(self) -> None:
        if self.evaluator is not None and self.evaluate_due(self.count):
            self.settle()
            with self.stopwatch.watch("evaluating"):
                values = self.evaluator(self.agent, self.count)
            self.logger.write("evaluation", self.counters(), values)
            if self.phase.has_task:
                self.health.evaluated(values)

    def close(self) -> None:
        """Free environments and files."""
        self.vector.close()
        super().close()

    def save(self) -> None:
        """Write a checkpoint, and let go of what no kept checkpoint needs of the replay."""
        self.replay.flush()
        super().save()
        self._collect_garbage()

    def _collect_garbage(self) -> None:
        kept = checkpoint.list_checkpoints(self.run_folder.checkpoints)
        self.replay.collect_garbage([checkpoint.load_state(path)["replay"] for path in kept])

    def own_tensors(self) -> dict[str, dict[str, Tensor]]:
        return {"session": self.session.state_dict()}

    def own_state(self) -> dict[str, Any]:
        return {
            "replay": self.replay.state(sums=True),
            "collector": self.collector.state(),
            "phase": self.phase.state(),
        }

    def form(self) -> dict[str, Any]:
        return {**super().form(), "replay": dict, "collector": COLLECTOR, "phase": dict}

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.replay.restore(state["replay"])
        self._collect_garbage()  # a kill may have come in the middle of it
        self.collector.restore(state["collector"])
        self.session.load_state_dict(group_of(tensors, "session"))
        self.phase.restore(state["phase"])

    def clocks(self) -> dict[str, Every | Ratio]:
        return {"update": self.updates_due, **super().clocks()}
