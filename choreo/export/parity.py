"""The agent's own steps, which an exported policy has to give again."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from choreo.agent import Agent
from choreo.errors import ChoreoError
from choreo.export.act import Policy
from choreo.export.recorded import ROWS, Recorded
from choreo.export.run import replay
from choreo.export.step import PolicyStep

CALLS = 300  # that are timed [ours]
APART = 0.01  # of half their range: actions that are no longer the agent's [ours]
WARM_UP = 20


class NotTheSame(ChoreoError):
    """What was exported does not act as the agent does; nothing was kept."""


def agents_steps(step: PolicyStep, recorded: Recorded) -> dict[str, np.ndarray]:
    """What a session of the agent does on the recorded steps, as parity.npz holds it.

    "input/NAME" are inputs (T, N, shape); "wanted/action" in own units, "wanted/deter", and
    "wanted/chosen" (T, N, V), the class of every variable, and behind them the chosen skill;
    "margin" (T, N, V) how far each of these was from falling otherwise.
    """
    agent = step.agent
    before, agent.posterior = agent.posterior, step.call.posterior
    try:
        session = agent.session(ROWS)
        for row in range(ROWS):
            session.seed_row(row, row)
        taken = [_one(step, session, recorded, number) for number in range(len(recorded.skill))]
    finally:
        agent.posterior = before
    return _inputs(step, recorded) | {
        key: np.stack([one[key] for one in taken]) for key in taken[0]
    }


def _one(step: PolicyStep, session: Any, recorded: Recorded, number: int) -> dict[str, np.ndarray]:
    """One call of the session; see above."""
    seen = {key: recorded.observations[key][number] for key in recorded.observations}
    skill = recorded.skill[number] if step.policy == "skill" else None
    first, sample = recorded.is_first[number], step.sampled
    action = session.act_in_units(
        seen, skill=skill, policy=step.policy, sample=sample, is_first=first
    )
    state = session.memory.state
    noise = {name: torch.as_tensor(value[number]) for name, value in recorded.noise.items()}
    margin = _margin(state.logit, noise["noise_state"] if sample else None)
    chosen = state.stoch.argmax(-1)
    if session.choice is not None:
        logit = step.agent.controller.selector.actor(state.feat).logit  # type: ignore[union-attr]
        gap = _margin(logit, noise["noise_choice"] if sample else None)
        margin = torch.cat([margin, gap[:, None]], 1)
        chosen = torch.cat([chosen, torch.as_tensor(session.choice)[:, None]], 1)
    deter = state.deter.numpy().copy()
    own = {"action": action, "deter": deter, "chosen": chosen.numpy()}
    return {"margin": margin.numpy()} | {f"wanted/{name}": own[name] for name in own}


@torch.no_grad()
def _margin(logit: torch.Tensor, uniform: torch.Tensor | None) -> torch.Tensor:
    """How far (...) a choice among (..., C) is from another one.

    The gap between the two largest logits, or of a sample the distance of its uniform number to the
    nearest bound between two classes.
    """
    if logit.shape[-1] < 2:
        return torch.full(logit.shape[:-1], torch.inf)
    if uniform is None:
        largest = logit.topk(2, -1).values
        return largest[..., 0] - largest[..., 1]
    bounds = torch.softmax(logit, -1).cumsum(-1)[..., :-1]
    return (bounds - uniform[..., None]).abs().amin(-1)


def _inputs(step: PolicyStep, recorded: Recorded) -> dict[str, np.ndarray]:
    own = {name: recorded.observations[key] for key, name in step.names.items()}
    others = {"is_first": recorded.is_first, "skill": recorded.skill, **recorded.noise}
    wanted = [port.name for port in step.inputs if port.role != "state"]
    return {f"input/{name}": own[name] if name in own else others[name] for name in wanted}


def _given(parity: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs of all steps by their names."""
    return {k.removeprefix("input/"): v for k, v in parity.items() if k.startswith("input/")}


def check(policy: Policy, parity: dict[str, np.ndarray]) -> dict[str, Any]:
    """What `run.py` finds; raises NotTheSame where the two do not agree."""
    try:
        return replay(policy, parity)
    except ValueError as error:
        raise NotTheSame(
            f"the exported policy does not act as the agent does: {error}. Nothing was written"
        ) from error


def steps_together(policy: Any, parity: dict[str, np.ndarray]) -> int | None:
    """Fewest steps from a beginning in which the policy, left to itself, acts as the agent.

    It then is `APART` from the agent's action; None where it never is. Roundings grow in the loop
    of state and action; the observations are recorded and do not follow the actions.
    """
    ends = policy.contract["action"]
    half = (np.array(ends["high"]) - np.array(ends["low"])) / 2
    given = _given(parity)
    policy.reset()
    age, parted = np.zeros(policy.rows, int), list[int]()
    for step, wanted in enumerate(parity["wanted/action"]):
        action = policy.step(**{name: values[step] for name, values in given.items()})["action"]
        age = np.where(given["is_first"][step], 0, age + 1)
        parted += age[(np.abs(action - wanted) / half).max(1) > APART].tolist()
    return min(parted, default=None)


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a call with one row: median and 99th percentile."""

    p50: float
    p99: float

    @staticmethod
    def of(call: Callable[[int], object], steps: int) -> "Latency":
        """Times `call(number)`, numbers below `steps`."""
        seconds = []
        for number in range(WARM_UP + CALLS):
            began = time.perf_counter()
            call(number % steps)
            seconds.append(time.perf_counter() - began)
        counted = sorted(1000 * one for one in seconds[WARM_UP:])
        return Latency(statistics.median(counted), counted[int(0.99 * len(counted))])


def latencies(
    agent: Agent, step: PolicyStep, policy: Policy, parity: dict[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Of the exported policy and of `Session.act`, both with one row and one thread."""
    given = _given(parity)
    own = {key: given[name] for key, name in step.names.items()}
    session, steps = agent.session(1), len(parity["margin"])

    def exported(number: int) -> None:
        policy.step(**{name: value[number, :1] for name, value in given.items()})

    def act(number: int) -> None:
        skill = given["skill"][number, :1] if "skill" in given else None
        seen = {key: value[number, :1] for key, value in own.items()}
        session.act(seen, skill, step.policy, step.sampled)

    found = {"exported": Latency.of(exported, steps), "Session.act": Latency.of(act, steps)}
    return {name: vars(latency) for name, latency in found.items()}


def save_parity(path: Path, parity: dict[str, np.ndarray]) -> None:
    """Write parity.npz."""
    np.savez_compressed(path, allow_pickle=False, **parity)
