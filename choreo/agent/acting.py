"""Acting: the recurrent state between observations, and one step of it as a CUDA graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from choreo.agent.noise import Noise, RowStreams
from choreo.capture import CudaRecorder, Replay, fill, untouched
from choreo.envs.spaces import ArraySpec
from choreo.errors import EnvironmentMismatch, NotFinite, UsageError
from choreo.world_model import State

if TYPE_CHECKING:
    from choreo.agent import Agent

PolicyName = Literal["explore", "skill", "task", "random"]
"""Who acts: the explorer, one skill, what was fine-tuned on a task, or uniformly random actions."""


Posterior = Literal["sample", "mode"]
"""What of the posterior an agent goes on with: a sample, as in training, or its likeliest state."""


@dataclass(frozen=True)
class Memory:
    """What an agent carries from step to step: model state and last action, N rows each.

    `choice` (N,) numbers the skills that led to the action where a meta-controller chose them; it
    is there to be looked at, nothing depends on it.
    """

    state: State
    action: Tensor
    choice: Tensor | None = None


@dataclass(frozen=True)
class Call:
    """How a step acts: which policy, whether with a given skill, and whether it samples."""

    policy: PolicyName
    with_skill: bool
    sample: bool
    own_noise: bool = False
    posterior: "Posterior" = "sample"


class Steps:
    """One step of acting for a fixed number of rows: observe, then decide."""

    def __init__(self, agent: "Agent", generator: torch.Generator) -> None:
        self.agent, self.generator = agent, generator

    def take(
        self,
        memory: Memory,
        call: Call,
        observation: Mapping[str, Tensor],
        flags: Mapping[str, Tensor],
    ) -> Memory:
        """The memory after observations (N, ...).

        `flags` hold `is_first` (N,), maybe `skill` (N,) and `Noise` to use in place of the stream.
        """
        chance = self.generator, Noise.of(flags)
        state = self.agent.observe(memory, observation, flags["is_first"], *chance)
        state = state.mode() if call.posterior == "mode" else state
        skill = flags.get("skill")
        chosen = self.agent.choose(state, call.policy, skill, call.sample, *chance)
        action = self.agent.decide(state, call.policy, chosen, call.sample, *chance)
        return Memory(state, action, chosen if call.policy == "task" else None)


class CapturedSteps(Steps):
    """The same as CUDA graphs, one for every way to act that comes up."""

    def __init__(self, agent: "Agent", generator: torch.Generator) -> None:
        super().__init__(agent, generator)
        self._recorder = CudaRecorder(agent.device, generator)
        self._graphs: dict[Call, tuple[Replay, tuple[dict[str, Tensor], ...], Memory]] = {}

    def take(
        self,
        memory: Memory,
        call: Call,
        observation: Mapping[str, Tensor],
        flags: Mapping[str, Tensor],
    ) -> Memory:
        if call not in self._graphs:
            self._graphs[call] = self._record(memory, call, observation, flags)
        replay, static, after = self._graphs[call]
        for mine, given in zip(static, (_by_name(memory), observation, flags), strict=True):
            fill(mine, given)
        replay()
        own = _memory({name: tensor.clone() for name, tensor in _by_name(after).items()})
        return own if after.choice is None else replace(own, choice=after.choice.clone())

    def _record(
        self,
        memory: Memory,
        call: Call,
        observation: Mapping[str, Tensor],
        flags: Mapping[str, Tensor],
    ) -> tuple[Replay, tuple[dict[str, Tensor], ...], Memory]:
        given = (_by_name(memory), observation, flags)
        static = tuple({name: t.clone() for name, t in group.items()} for group in given)
        own, seen, told = static

        def step() -> Memory:
            return Steps.take(self, _memory(own), call, seen, told)

        with untouched((), self.generator):
            self._recorder.warm_up(step)
        replay, after = self._recorder.record(step)
        return replay, static, after


def _by_name(memory: Memory) -> dict[str, Tensor]:
    state = memory.state
    values = {"deter": state.deter, "stoch": state.stoch, "logit": state.logit}
    return values | {"action": memory.action}


def _memory(tensors: Mapping[str, Tensor]) -> Memory:
    deter, stoch, logit = (tensors[name] for name in ("deter", "stoch", "logit"))
    return Memory(State(deter, stoch, logit), tensors["action"])


def _not_finite(action: np.ndarray, observation: Mapping[str, Tensor]) -> NotFinite:
    row = int(np.flatnonzero(~np.isfinite(action).all(-1))[0])
    largest = {key: float(value[row].float().abs().max()) for key, value in observation.items()}
    shown = ", ".join(f"{key!r} up to {value:.3g}" for key, value in largest.items())
    return NotFinite(
        f"the agent gave the action {action[row].tolist()} in environment {row} after observations "
        f"of {shown}. Huge observations need scaling (--model.standardize 1); with ordinary ones "
        "the networks are spoilt: go back to an earlier checkpoint"
    )


def _as_trained(key: str, value: np.ndarray, array: ArraySpec) -> np.ndarray:
    """A copy in the dtype that the agent was trained on; refuses what that cannot hold."""
    if value.dtype.kind not in "fiub":
        raise EnvironmentMismatch(f"observation {key!r} is {value.dtype}; wanted {array.dtype}")
    with np.errstate(all="ignore"):
        copy = np.array(value, dtype=array.dtype)
    if array.is_image:
        if not np.array_equal(copy, value):
            raise EnvironmentMismatch(
                f"observation {key!r} is {value.dtype} from {value.min():.4g} to {value.max():.4g};"
                " the agent was trained on uint8 from 0 to 255"
            )
    elif not np.isfinite(copy).all():
        row, *place = np.argwhere(~np.isfinite(copy))[0].tolist()
        raise NotFinite(
            f"observation {key!r} is {copy[(row, *place)]} at index {place[0]} of row {row}; it was"
            " not taken in. Give the last good one, or begin anew with reset"
        )
    return copy


class Session:
    """Acts and remembers: the recurrent state between observations lives here.

    >>> session = agent.session()
    >>> action = session.act(observation, skill=7)

    With `num` environments every array has a leading axis of that size.
    """

    def __init__(self, agent: "Agent", num: int | None = None, seed: int = 0) -> None:
        self.agent, self.single = agent, num is None
        self.num = 1 if num is None else num
        self.generator = torch.Generator(agent.device).manual_seed(seed)
        self.row_streams: RowStreams | None = None
        self._steps: Steps | None = None
        self._is_first = np.ones(self.num, bool)
        self.reset()

    def reset(self, rows: int | Sequence[int] | np.ndarray | None = None) -> None:
        """Forget everything: the next observation starts an episode.

        `rows` are the environments that begin anew (numbers, or a mask (num,)), all when not given;
        the others go on. Raises UsageError for one that there is not.
        """
        if rows is None:
            self.memory = self.agent.initial_memory(self.num)
            self._held: np.ndarray | None = None
            self._held_steps = 0
        try:
            self._is_first[slice(None) if rows is None else rows] = True
        except IndexError as error:
            raise UsageError(f"there is no row {rows}; this session has {self.num}") from error

    def seed_row(self, row: int, seed: int) -> None:
        """Give a row a random stream of its own, on which no other row has a bearing.

        From the first call on every row has one, whose default seed is the row's number.
        """
        if self.row_streams is None:
            self.row_streams = RowStreams.of(self.agent, self.num)
        self.row_streams.begin(row, seed)

    def hold(self, skill: int | np.ndarray, steps: int) -> None:
        """Run a skill, or one per row, in the next `steps` calls of `act` that name none.

        Raises UsageError for a skill out of range or fewer than 1 step.
        """
        if steps < 1:
            raise UsageError(f"a skill is held for at least 1 step, got {steps}")
        self._held, self._held_steps = self._skill_numbers(skill).cpu().numpy(), steps

    @property
    def held_steps(self) -> int:
        """Calls of `act` that the skill given to `hold` still runs for."""
        return self._held_steps

    @property
    def deter(self) -> Tensor:
        """Deterministic model state h after the last observation, (num, D)."""
        return self.memory.state.deter

    @property
    @torch.no_grad()
    def value(self) -> Tensor | None:
        """Discounted return that the task's critic expects of the last observation, (num,)."""
        critic = self.agent.task_critic
        return None if critic is None else critic(self.memory.state.feat).squeeze(-1)

    def act_in_units(
        self, observation: np.ndarray | Mapping[str, np.ndarray], **options: Any
    ) -> np.ndarray:
        """What `act` gives, in the environment's own units, as a robot's control loop takes them.

        float32 (A,) or (num, A) within the bounds that the agent was trained with; `options` are
        those of `act`.
        """
        low, high = np.array(self.agent.spec.action_low), np.array(self.agent.spec.action_high)
        own = low + (self.act(observation, **options).astype(np.float64) + 1) / 2 * (high - low)
        return np.clip(own, low, high).astype(np.float32)

    @property
    def choice(self) -> np.ndarray | None:
        """The skills that the meta-controller chose at the last observation, (num,); else None."""
        choice = self.memory.choice
        return None if choice is None else choice.cpu().numpy()

    def act(
        self,
        observation: np.ndarray | Mapping[str, np.ndarray],
        skill: int | np.ndarray | None = None,
        policy: PolicyName | None = None,
        sample: bool = False,
        is_first: np.ndarray | None = None,
    ) -> np.ndarray:
        """Take in an observation and return the action: float32 in [-1, 1], (A,) or (num, A).

        Environments of `choreo.envs` take it as it is; a robot takes that of `act_in_units`. A
        `skill` number runs that skill; without one the held skill runs, else the policy of the
        task acts, or the explorer where there is none; `policy` names one of "explore", "skill",
        "task", "random". Episodes begin at the first call, after `reset`, and where `is_first`
        (num,) says.

        What is refused leaves the session as it was: EnvironmentMismatch for observations that do
        not fit, UsageError for a skill out of range, NotFinite for NaN or infinity in an
        observation, and where the networks give such.
        """
        tensors = self._tensors(observation)
        held = skill is None and policy is None and self._held_steps > 0
        if held:
            skill = self._held
        chosen = policy or ("skill" if skill is not None else self._default_policy())
        if chosen not in get_args(PolicyName):
            raise UsageError(f"policy {chosen!r} is not one of {', '.join(get_args(PolicyName))}")
        flags = self._flags(skill, self._is_first if is_first is None else np.asarray(is_first))
        own_noise = self.row_streams is not None
        call = Call(chosen, skill is not None, sample, own_noise, self.agent.posterior)
        memory = self._taker().take(self.memory, call, tensors, flags)
        result = memory.action.cpu().numpy()
        if not np.isfinite(result).all():
            raise _not_finite(result, tensors)
        self.memory, self._is_first[:] = memory, False
        self._held_steps -= held
        return result[0] if self.single else result

    def _flags(self, skill: int | np.ndarray | None, first: np.ndarray) -> dict[str, Tensor]:
        """What a step is told beside observations: tensors of num rows."""
        flags = {"is_first": torch.as_tensor(first.copy(), device=self.agent.device)}
        if skill is not None:
            flags["skill"] = self._skill_numbers(skill)
        if self.row_streams is not None:
            flags |= self.row_streams.draw().by_name()
        return flags

    def _taker(self) -> Steps:
        """What takes the steps, made anew when the session has been given another stream."""
        if self._steps is None or self._steps.generator is not self.generator:
            captures = self.agent.captures
            if captures is None:
                captures = self.agent.device.type == "cuda"
            self._steps = (CapturedSteps if captures else Steps)(self.agent, self.generator)
        return self._steps

    def _default_policy(self) -> PolicyName:
        return "task" if self.agent.plays_task else "explore"

    def _skill_numbers(self, skill: int | np.ndarray) -> Tensor:
        given = np.asarray(skill, np.int64)
        if given.shape not in ((), (self.num,)):
            raise UsageError(
                f"skills of shape {given.shape} were given to {self.num} environments; give one "
                "number, or one for each"
            )
        numbers = np.full(self.num, given)
        if numbers.min() < 0 or numbers.max() >= self.agent.num_skills:
            raise UsageError(
                f"skill {skill} does not exist: this agent has {self.agent.num_skills} skills, "
                f"0 to {self.agent.num_skills - 1}"
            )
        return torch.as_tensor(numbers, device=self.agent.device)

    def _tensors(self, observation: np.ndarray | Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        wanted = self.agent.spec.observations
        if not isinstance(observation, Mapping):
            observation = {next(iter(wanted)): np.asarray(observation)}
        return {key: self._tensor(key, observation, wanted[key]) for key in wanted}

    def _tensor(self, key: str, observation: Mapping[str, np.ndarray], array: ArraySpec) -> Tensor:
        if key not in observation:
            raise EnvironmentMismatch(
                f"observation {key!r} is missing; found {', '.join(observation)}"
            )
        value = np.asarray(observation[key])
        value = value[None] if self.single else value
        if value.shape != (self.num, *array.shape):
            shape = value.shape[1:] if self.single else value.shape
            expected = array.shape if self.single else (self.num, *array.shape)
            raise EnvironmentMismatch(
                f"observation {key!r} has shape {shape}, the agent was trained on {expected}"
            )
        return torch.as_tensor(_as_trained(key, value, array), device=self.agent.device)

    def state_dict(self) -> dict[str, Tensor]:
        """Recurrent state and random stream, to go on exactly here later."""
        return _by_name(self.memory) | {"generator": self.generator.get_state()}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on where `state_dict` was taken."""
        names = _by_name(self.memory)
        self.memory = _memory({name: tensors[name].to(self.agent.device) for name in names})
        self.generator.set_state(tensors["generator"].cpu())
        self._is_first[:] = False
