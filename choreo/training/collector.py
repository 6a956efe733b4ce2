"""Steps the environments, records what happens, and can pick up open episodes again."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from choreo.envs.spaces import EnvSpec
from choreo.envs.vector import StepBatch, VectorEnv
from choreo.record import derive_seed, episode_seed
from choreo.replay import Replay

ACTION, REWARD = "action", "reward"
FLAGS = ("is_first", "is_last", "is_terminal")

Act = Callable[[StepBatch], np.ndarray]
"""From the last step of N environments to actions (N, A) in [-1, 1]."""

EpisodeEnd = dict[str, float]


class Pending(NamedTuple):
    """A step that was begun: actions (N, A), and which environments reset (N,)."""

    actions: np.ndarray
    reset: np.ndarray


class Collector:
    """Experience of N environments, episode after episode.

    Every episode begins with a seed derived from the run's seed, the environment's number and the
    episode's number. So an episode that was open when the run was killed is restored by resetting
    with its seed and taking its recorded actions again: no simulator state need be saved.
    """

    def __init__(self, vector: VectorEnv, replay: Replay, seed: int) -> None:
        self.vector, self.replay, self.seed = vector, replay, seed
        num = vector.num
        self.frames = 0
        self.episodes = np.zeros(num, np.int64)  # begun, per environment
        self.open_steps = np.zeros(num, np.int64)  # recorded rows of the open episode
        self.returns = np.zeros(num, np.float64)
        self.long_seeds = False  # of 63 bits, as runs of earlier versions drew them
        self.last: StepBatch | None = None
        self.pending: Pending | None = None

    def step(self, act: Act) -> list[EpisodeEnd]:
        """Take one step in every environment; returns the episodes that ended."""
        self.begin(act)
        return self.finish()

    def begin(self, act: Act) -> None:
        """Decide on the next step and let the environments begin it.

        An environment whose episode has ended is reset instead, which costs no frame. Environments
        in processes of their own move while the caller goes on.
        """
        reset = np.ones(self.vector.num, bool) if self.last is None else self.last.is_last.copy()
        actions = np.zeros((self.vector.num, self.vector.spec.action_size), np.float32)
        if self.last is not None:
            actions = np.where(reset[:, None], actions, act(self.last)).astype(np.float32)
        self._send(Pending(actions, reset))

    def finish(self) -> list[EpisodeEnd]:
        """Record the step that was begun; returns the episodes that ended with it."""
        assert self.pending is not None, "a step is begun before it is finished"
        (actions, reset), self.pending = self.pending, None
        self.last = self.vector.receive()
        self.episodes += reset
        self.frames += int((~reset).sum()) * self.vector.spec.action_repeat
        self._record(actions, reset, self.last)
        ended = np.flatnonzero(self.last.is_last)
        return self._summaries(ended) if ended.size else []

    def _summaries(self, ended: np.ndarray) -> list[EpisodeEnd]:
        """Return and length of episodes, and the coordinates of the state that each ended in."""
        names = [f"end/{name}" for name in self.vector.spec.coordinates]
        places = self.vector.coordinates() if names else np.zeros((self.vector.num, 0))
        return [
            {
                "return": float(self.returns[i]),
                "length": float(self.open_steps[i] - 1),
                **dict(zip(names, places[i].tolist(), strict=True)),
            }
            for i in ended
        ]

    def _send(self, pending: Pending) -> None:
        self.pending = pending
        seeds = self._seeds(self.episodes + pending.reset)
        self.vector.send(pending.actions, pending.reset, seeds)

    def _record(self, actions: np.ndarray, reset: np.ndarray, step: StepBatch) -> None:
        self.open_steps = np.where(reset, 1, self.open_steps + 1)
        self.returns = np.where(reset, 0.0, self.returns + step.reward)
        flags = {name: getattr(step, name) for name in FLAGS}
        self.replay.append(
            {**step.observation, ACTION: actions, REWARD: step.reward.astype(np.float32), **flags}
        )

    def _seeds(self, episodes: np.ndarray) -> np.ndarray:
        draw = derive_seed if self.long_seeds else episode_seed
        numbers = enumerate(episodes.tolist())
        return np.array([draw(self.seed, "env", i, n) for i, n in numbers], np.int64)

    def state(self) -> dict[str, Any]:
        """Counters and the step that was begun, as JSON; open episodes are in the replay."""
        pending = self.pending and {k: v.tolist() for k, v in self.pending._asdict().items()}
        return {
            "pending": pending,
            "frames": self.frames,
            "long_seeds": self.long_seeds,
            "episodes": self.episodes.tolist(),
            "open_steps": self.open_steps.tolist(),
            "returns": self.returns.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; the replay must have been restored before.

        Where an environment does not repeat itself under its seed, or the replay no longer holds
        the start of its open episode, that episode is given up with a warning and a new one begins.
        """
        self.frames = int(state["frames"])
        self.long_seeds = bool(state.get("long_seeds", True))
        self.episodes = np.array(state["episodes"], np.int64)
        self.open_steps = np.array(state["open_steps"], np.int64)
        self.returns = np.array(state["returns"], np.float64)
        if self.open_steps.max(initial=0) > 0:
            self.last = self._retrace()
        if state.get("pending") is not None:
            self._send_again(state["pending"])

    def _send_again(self, state: dict[str, Any]) -> None:
        """Begin the step that was under way; where its episode was given up, reset instead."""
        reset = np.array(state["reset"], bool)
        if self.last is not None:
            reset |= self.last.is_last
        actions = np.array(state["actions"], np.float32)
        self._send(Pending(np.where(reset[:, None], np.float32(0), actions), reset))

    def _retrace(self) -> StepBatch:
        """Bring every environment to the last recorded step of its open episode."""
        starts, stops = self.replay.bounds()
        lost = stops - self.open_steps < starts  # longer than the replay holds
        lengths = np.where(lost, 1, self.open_steps).tolist()
        ends = zip(stops.tolist(), lengths, strict=True)
        rows = [self.replay.read(i, stop - steps, stop) for i, (stop, steps) in enumerate(ends)]
        longest = max(lengths)
        step = None
        for t in range(longest):
            # Shorter episodes wait in their reset until all end at the same time.
            index = [t - (longest - steps) for steps in lengths]
            reset = np.array([i <= 0 for i in index])
            pairs = zip(rows, index, strict=True)
            actions = np.stack([row[ACTION][max(i, 0)] for row, i in pairs])
            step = self.vector.step(actions, reset, self._seeds(self.episodes))
        assert step is not None
        return self._checked(step, rows, lost)

    def _checked(
        self, step: StepBatch, rows: list[dict[str, np.ndarray]], lost: np.ndarray
    ) -> StepBatch:
        for i, row in enumerate(rows):
            same = all(np.array_equal(v[i], row[key][-1]) for key, v in step.observation.items())
            if same and not lost[i]:
                continue
            reason = (
                "begun its episode before what the replay still holds"
                if lost[i]
                else "not repeated its episode under the same seed and actions"
            )
            logging.getLogger("choreo").warning(
                "environment %d has %s; it begins a new episode, and this resume is not exact",
                i,
                reason,
            )
            step.is_last[i] = True
        return step


def replay_keys(vector: VectorEnv) -> dict[str, tuple[tuple[int, ...], str]]:
    """What a replay of these environments holds: name to shape and dtype."""
    return step_keys(vector.spec)


def step_keys(spec: EnvSpec) -> dict[str, tuple[tuple[int, ...], str]]:
    """What a replay holds of one step: name to shape and dtype."""
    keys = {key: (array.shape, array.dtype) for key, array in spec.observations.items()}
    keys |= {ACTION: ((spec.action_size,), "float32"), REWARD: ((), "float32")}
    return keys | dict.fromkeys(FLAGS, ((), "bool"))
