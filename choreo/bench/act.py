"""Milliseconds from an observation to an action."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from choreo.agent import Agent
from choreo.bench.machine import PartTimer, at_least, percentile
from choreo.bench.workload import (
    BenchConfig,
    PhaseName,
    Report,
    make_agent,
    random_observation,
    settings,
)
from choreo.runtime import choose_device, set_threads

WARM_UP_CALLS = 10
OBSERVATIONS = 16  # that are shown in turn

ActingPolicy = Literal["explore", "skill", "task"]

PHASE_OF: dict[ActingPolicy, PhaseName] = {
    "explore": "pretrain",
    "skill": "pretrain",
    "task": "finetune",
}
"""Whose agent has that policy."""


@dataclass(frozen=True, kw_only=True)
class ActBenchConfig(BenchConfig):
    """Milliseconds of `Session.act`: from observations to sampled actions, as in training."""

    environments: tuple[int, ...] = (1, 8)
    """Environments that one call acts in."""
    policies: tuple[ActingPolicy, ...] = ("explore", "skill", "task")
    """Who acts: the explorer, a skill, or the meta-controller with its skills."""
    calls: int = 200
    """Calls that count, after a few that warm up."""

    @property
    def command(self) -> str:
        return "bench act"


@dataclass(frozen=True)
class ActTime:
    """Milliseconds of one call for all environments together."""

    policy: ActingPolicy
    environments: int
    ms: float
    ms_p95: float
    actions_per_second: float


@dataclass(frozen=True, kw_only=True)
class ActCost(Report):
    """Median and 95th percentile for every policy and number of environments."""

    calls: int
    rows: list[ActTime]


def bench_act(config: ActBenchConfig) -> ActCost:
    """Measure acting on random observations with untrained agents, which cost what others do.

    Raises UsageError for counts below 1.
    """
    config.check()
    at_least("environments", min(config.environments, default=0), 1)
    at_least("calls", config.calls, 1)
    threads, device = set_threads(config.threads), choose_device(config.device)
    rows = [
        _act_time(agent, config, policy, count)
        for policy in config.policies
        for agent in [make_agent(config, device, PHASE_OF[policy]).eval()]
        for count in config.environments
    ]
    return ActCost(**settings(config, device, threads), calls=config.calls, rows=rows)


def _act_time(agent: Agent, config: ActBenchConfig, policy: ActingPolicy, count: int) -> ActTime:
    seconds = call_times(agent, config, policy, count)[WARM_UP_CALLS:]
    ms = 1000 * statistics.median(seconds)
    return ActTime(policy, count, ms, percentile(seconds, 95), 1000 * count / ms)


def call_times(
    agent: Agent, config: ActBenchConfig, policy: ActingPolicy, count: int
) -> Sequence[float]:
    """Seconds of every call, those that warm up first."""
    random = torch.Generator().manual_seed(config.seed)
    drawn = random_observation(config, (OBSERVATIONS, count), random)
    shown = {key: value.numpy() for key, value in drawn.items()}
    skill = np.arange(count) % agent.num_skills if policy == "skill" else None
    session, timer = agent.session(count, config.seed), PartTimer(agent.device)
    for number in range(WARM_UP_CALLS + config.calls):
        seen = {key: value[number % OBSERVATIONS] for key, value in shown.items()}
        is_first = np.full(count, number == 0)
        with timer("act"):
            session.act(seen, skill, policy, sample=True, is_first=is_first)
    return timer.seconds["act"]
