"""Recorded steps on which an exported policy is compared with its agent."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from choreo.agent import Agent, RowStreams
from choreo.envs import VectorEnv
from choreo.errors import UsageError
from choreo.replay import Replay

STEPS = 200  # of every row [ours]
ROWS = 2  # so that more than one is tried [ours]
SKILL_STEPS = 25  # after which a skill gives way to the next [ours]
RESETS = (73, 131)  # steps at which the rows are told to begin anew, whatever was recorded [ours]


@dataclass(frozen=True)
class Recorded:
    """T steps of N rows: observations by key (T, N, shape), is_first and skill (T, N).

    `noise` holds what samples are drawn at, by name (T, N, ...); `source` says where the
    observations come from.
    """

    observations: Mapping[str, np.ndarray]
    is_first: np.ndarray
    skill: np.ndarray
    noise: Mapping[str, np.ndarray]
    source: str

    @property
    def resets(self) -> int:
        """Episodes that begin within, all rows together."""
        return int(self.is_first.sum())

    @property
    def switches(self) -> int:
        """Changes from one skill to another, all rows together."""
        return int((self.skill[1:] != self.skill[:-1]).sum())


def record(agent: Agent, replay: Replay | None, vector: VectorEnv | None) -> Recorded:
    """Steps from the run's experience, or where there is none, from the environment.

    Raises UsageError where there is neither.
    """
    if replay is not None and replay.steps_held > 1:
        observations, first = _from_replay(agent, replay)
        source = f"the run's own experience of {agent.spec.id}"
    elif vector is not None:
        observations, first = _from_environment(agent, vector)
        source = f"random actions in {vector.spec.id}"
    else:
        raise UsageError(
            "there are no recorded steps to compare on: this is no run folder with its replay, and "
            "no environment is known. Give the run folder, or an environment with --env"
        )
    first[0] = True
    for row, step in enumerate(RESETS):
        first[step, row % ROWS] = True
    return Recorded(observations, first, _skills(agent.num_skills), _noise(agent), source)


def _from_replay(agent: Agent, replay: Replay) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Each row reads on in a stream of the replay, and begins there anew at its end."""
    start, stop = replay.bounds()
    streams = np.flatnonzero(stop - start > 0)
    rows = []
    for row in range(ROWS):
        stream = int(streams[row % len(streams)])
        low, high = int(start[stream]), int(stop[stream])
        part = replay.read(stream, max(low, high - STEPS), high)
        rows.append({key: _again(part[key]) for key in (*agent.spec.observations, "is_first")})
        rows[-1]["is_first"][:: high - max(low, high - STEPS)] = True
    stacked = {key: np.stack([row[key] for row in rows], 1) for key in rows[0]}
    return {key: stacked[key] for key in agent.spec.observations}, stacked["is_first"]


def _again(values: np.ndarray) -> np.ndarray:
    """`STEPS` entries of what may be fewer, from its beginning again."""
    return values[np.arange(STEPS) % len(values)].copy()


def _from_environment(agent: Agent, vector: VectorEnv) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rows of an environment under random actions; one that has fewer rows gives them twice."""
    random, reset = np.random.default_rng(0), np.ones(vector.num, bool)
    taken = []
    for number in range(STEPS):
        actions = random.uniform(-1, 1, (vector.num, agent.spec.action_size)).astype(np.float32)
        seeds = np.arange(vector.num) + number * vector.num
        taken.append(vector.step(actions, reset, seeds))
        reset = taken[-1].is_last.copy()
    rows = np.arange(ROWS) % vector.num
    first = np.stack([step.is_first[rows] for step in taken])
    keys = agent.spec.observations
    return {key: np.stack([step.observation[key][rows] for step in taken]) for key in keys}, first


def _skills(count: int) -> np.ndarray:
    """Every row runs one skill after the other, each another one, not all at the same step."""
    steps, rows = np.arange(STEPS)[:, None], np.arange(ROWS)
    return ((steps + 7 * rows) // SKILL_STEPS + rows * (count // 2)) % count


def _noise(agent: Agent) -> dict[str, np.ndarray]:
    """What the streams of a session give whose rows were seeded with their numbers."""
    streams = RowStreams.of(agent, ROWS)
    drawn = [streams.draw().by_name() for _ in range(STEPS)]
    return {name: np.stack([step[name].cpu().numpy() for step in drawn]) for name in drawn[0]}
