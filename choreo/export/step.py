"""One step of a policy as a module without memory: what it remembers goes in and comes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from choreo.agent import Agent, Memory, Noise, Posterior
from choreo.agent.acting import Call, Steps
from choreo.errors import UsageError
from choreo.world_model import State

ExportPolicy = Literal["skill", "task"]
"""Who acts: the skill that is given in every step, or what was fine-tuned on a task."""

FEEDBACK = {"deter": "next_deter", "stoch": "next_stoch", "previous_action": "action"}
"""Inputs of a step and the outputs of the step before that they are."""

RESERVED = (*FEEDBACK, *FEEDBACK.values(), "is_first", "skill", "noise_state", "noise_choice",
            "noise_normal")  # fmt: skip

MEANINGS = {
    "skill": "number of the skill that acts",
    "deter": "deterministic model state; zeros at first, then next_deter",
    "stoch": "stochastic model state, one-hot over the last axis; zeros at first, then next_stoch",
    "previous_action": "action of the step before, in the environment's own units",
    "is_first": "true where an episode begins: state and previous action then do not count",
    "noise_state": "uniform numbers in [0, 1) at which the stochastic state is sampled",
    "noise_choice": "uniform numbers in [0, 1) at which the skill is sampled",
    "noise_normal": "standard normal numbers at which the action is sampled",
    "action": "action in the environment's own units, within its bounds",
    "next_deter": "deterministic model state of this step",
    "next_stoch": "stochastic model state of this step",
}
CHOSEN = "number of the skill that the meta-controller chose"


@dataclass(frozen=True)
class Port:
    """An input or output: name, dtype, shape of one row, what it is for and what it means."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    role: Literal["observation", "skill", "state", "is_first", "noise", "action"]
    meaning: str

    def zeros(self, rows: int) -> Tensor:
        """As many rows of it, all zeros."""
        return torch.zeros(rows, *self.shape, dtype=getattr(torch, self.dtype))


class PolicyStep(nn.Module):
    """One step: raw observations and what was remembered to an action in own units.

    `inputs` and `outputs` are ordered as `forward` takes and returns them, each (N, shape).
    Nothing in it is random: the posterior's likeliest state and the policy's mean, or with
    `sampled` what the noise that is given makes of them. Raises UsageError where the agent has no
    such policy.
    """

    policy: ExportPolicy
    low: Tensor
    high: Tensor

    def __init__(self, agent: Agent, policy: ExportPolicy, sampled: bool = False) -> None:
        super().__init__()
        check_policy(agent, policy)
        self._steps = Steps(agent, torch.Generator())  # no module: what is unused stays behind
        self.policy, self.sampled = policy, sampled
        self.used = nn.ModuleList(self._used())
        self.names = observation_names(list(agent.spec.observations))
        self.inputs = [*self._observations(), *self._memory(), *self._given()]
        self.outputs = self._results()
        self.register_buffer("low", torch.tensor(agent.spec.action_low, dtype=torch.float32))
        self.register_buffer("high", torch.tensor(agent.spec.action_high, dtype=torch.float32))

    @property
    def agent(self) -> Agent:
        """Whose step it is."""
        return self._steps.agent

    @property
    def call(self) -> Call:
        """How the agent's own step is taken."""
        posterior: Posterior = "sample" if self.sampled else "mode"
        return Call(self.policy, self.policy == "skill", self.sampled, True, posterior)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        given = {port.name: tensor for port, tensor in zip(self.inputs, inputs, strict=True)}
        half, middle = (self.high - self.low) / 2, (self.high + self.low) / 2
        before = State(given["deter"], given["stoch"], given["stoch"])
        memory = Memory(before, (given["previous_action"] - middle) / half)
        seen = {key: given[name] for key, name in self.names.items()}
        flags = {name: given[name] for name in ("is_first", "skill") if name in given}
        after = self._steps.take(memory, self.call, seen, flags | self._noise(given))
        action = torch.clamp(after.action * half + middle, self.low, self.high)
        results = action, after.state.deter, after.state.stoch
        return results if after.choice is None else (*results, after.choice)

    def example(self, rows: int = 2) -> tuple[Tensor, ...]:
        """Inputs to trace with."""
        return tuple(port.zeros(rows) for port in self.inputs)

    def _used(self) -> list[nn.Module]:
        """The networks that an action comes from."""
        model, agent = self.agent.world_model, self.agent
        actors: list[nn.Module] = [agent.skill_policy.actor]
        if self.policy == "task" and agent.task_policy is not None:
            actors = [agent.task_policy.actor]
        elif self.policy == "task" and agent.controller is not None:
            actors.append(agent.controller.selector.actor)
        return [model.standardizer, model.encoder, model.rssm, *actors]

    def _noise(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        deter, action = given["deter"], given["previous_action"]
        none = deter.new_zeros(deter.shape[0], self.agent.world_model.rssm.variables)
        by_name = Noise(none, none[:, 0], action, torch.zeros_like(action)).by_name()
        return {name: given.get(name, value) for name, value in by_name.items()}

    def _observations(self) -> list[Port]:
        arrays = self.agent.spec.observations
        return [
            Port(name, arrays[key].dtype, arrays[key].shape, "observation", _seen(key, arrays[key]))
            for key, name in self.names.items()
        ]

    def _memory(self) -> list[Port]:
        rssm, actions = self.agent.world_model.rssm, self.agent.spec.action_size
        return [
            _port("deter", (rssm.deter,), "state"),
            _port("stoch", (rssm.variables, rssm.classes), "state"),
            _port("previous_action", (actions,), "state"),
            _port("is_first", (), "is_first", "bool"),
        ]

    def _given(self) -> list[Port]:
        ports = [_port("skill", (), "skill", "int64")] if self.policy == "skill" else []
        if not self.sampled:
            return ports
        ports.append(_port("noise_state", (self.agent.world_model.rssm.variables,), "noise"))
        if self._chooses:
            ports.append(_port("noise_choice", (), "noise"))
        return [*ports, _port("noise_normal", (self.agent.spec.action_size,), "noise")]

    def _results(self) -> list[Port]:
        rssm, actions = self.agent.world_model.rssm, self.agent.spec.action_size
        ports = [
            _port("action", (actions,), "action"),
            _port("next_deter", (rssm.deter,), "state"),
            _port("next_stoch", (rssm.variables, rssm.classes), "state"),
        ]
        chosen = Port("skill", "int64", (), "skill", CHOSEN)
        return [*ports, chosen] if self._chooses else ports

    @property
    def _chooses(self) -> bool:
        """Whether the meta-controller is inside."""
        return self.policy == "task" and self.agent.controller is not None


def check_policy(agent: Agent, policy: str) -> None:
    """Raise UsageError unless the agent has this policy, and every action a range."""
    if policy == "task" and not agent.plays_task:
        raise UsageError(
            f"this agent has no meta-controller and no policy of a task: it comes from "
            f"{agent.parts}. Export its skills with --policy skill, or fine-tune it first "
            "(`choreo finetune`)"
        )
    ends = list(zip(agent.spec.action_low, agent.spec.action_high))
    fixed = [number for number, (low, high) in enumerate(ends) if not low < high]
    if fixed:
        raise UsageError(f"action {fixed[0]} has no range: its bounds are {ends[fixed[0]]}")


def observation_names(keys: list[str]) -> dict[str, str]:
    """Observation keys and the names of their inputs: their own, unless the step has one so."""
    names: dict[str, str] = {}
    for key in keys:
        name = key
        while name in RESERVED or (name != key and name in keys) or name in names.values():
            name = f"observation_{name}"
        names[key] = name
    return names


def _port(name: str, shape: tuple[int, ...], role: Any, dtype: str = "float32") -> Port:
    return Port(name, dtype, shape, role, MEANINGS[name])


def _seen(key: str, array: Any) -> str:
    what = "image, channels first (C, H, W), 0 to 255" if array.is_image else "vector, unscaled"
    return f"observation {key!r} as the environment gives it: {what}"
