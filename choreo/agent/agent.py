"""An agent: all its networks, how it acts, how it is saved and loaded. No optimiser lives here."""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from choreo.adaptation import AdaptationConfig, MetaController
from choreo.agent.acting import Memory, PolicyName, Posterior, Session
from choreo.agent.noise import Noise
from choreo.envs.spaces import EnvSpec
from choreo.errors import CheckpointError, ChoreoError, NoCheckpoint, UsageError
from choreo.exploration import ExplorationConfig, make_intrinsic_reward
from choreo.imagination import ActorCritic, ImaginationConfig
from choreo.imagination.actor_critic import one_hot
from choreo.nn import condition
from choreo.record import checkpoint, pack
from choreo.record.hub import local
from choreo.schema import Maybe, Named, in_words, problem
from choreo.skills import SkillConfig, SkillSpace
from choreo.world_model import ModelConfig, State, WorldModel
from choreo.world_model.encoder import preprocess

__all__ = [
    "Agent",
    "AgentConfig",
    "Memory",
    "Parts",
    "PolicyName",
    "Posterior",
    "Session",
    "find_checkpoint",
    "load",
    "load_agent_tensors",
    "load_state",
    "restore_agent",
]

Parts = Literal["pretraining", "offline", "adaptation", "task"]
"""What an agent holds beside model and skills: an explorer, nothing, a meta-controller (and an
explorer that acts until the reward is found), or one policy for the task."""

SAVED = {checkpoint.TENSORS, checkpoint.STATE}
"""The files of a saved agent."""


MOST_LAYERS, MOST_UNITS = 64, 2**20  # of any network here, with room to spare [ours]
DESCRIPTION = {
    "spec": dict,
    "config": Named(dict),
    "parts": get_args(Parts),
    "inference": Maybe(bool),
    "critics": Maybe(bool),  # false where they know nothing: an agent from a pack, saved anew
}
LEARNS_ONLY = re.compile(r"(^|\.)(intrinsic|critic|slow_critic)\.")
"""Names of tensors that no action depends on, and that fine-tuning begins anew."""


@dataclass(frozen=True)
class AgentConfig:
    """Everything that decides which networks an agent has."""

    model: ModelConfig = field(default_factory=ModelConfig)
    imagination: ImaginationConfig = field(default_factory=ImaginationConfig)
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)
    skills: SkillConfig = field(default_factory=SkillConfig)
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)

    @staticmethod
    def from_json(data: dict[str, dict[str, Any]]) -> "AgentConfig":
        """Rebuild from `dataclasses.asdict`; refuses settings that this version does not know."""
        try:
            return AgentConfig(
                model=ModelConfig(**data["model"]),
                imagination=ImaginationConfig(**data["imagination"]),
                exploration=ExplorationConfig(**data["exploration"]),
                skills=SkillConfig(**data["skills"]),
                adaptation=AdaptationConfig(**data["adaptation"]),
            )
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"the settings of this agent are not those of this version of Choreo ({error}); "
                "use the version that wrote it"
            ) from error


class Agent(nn.Module):
    """World model, skill space and skill policy, with an explorer, what plays a task, or both."""

    def __init__(self, spec: EnvSpec, config: AgentConfig, parts: Parts, seed: int = 0) -> None:
        super().__init__()
        self.spec, self.config, self.parts = spec, config, parts
        self.captures: bool | None = None  # whether sessions act by CUDA graphs; None: on CUDA
        self.posterior: Posterior = "sample"  # what sessions go on with
        self.has_critics = True  # packs leave out what only learning needs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._build(spec, config, parts)

    def _build(self, spec: EnvSpec, config: AgentConfig, parts: Parts) -> None:
        actions, codes, imagination = spec.action_size, config.skills.codes, config.imagination
        if config.adaptation.clamp_stops and parts in ("adaptation", "task"):
            imagination = replace(imagination, clamp_stops=True)
        self.world_model = WorldModel(spec, config.model)
        feat = self.world_model.feat_size
        self.skills = SkillSpace(config.model.deter, config.skills)
        self.skill_policy = ActorCritic(feat, codes, actions, imagination)
        self.explorer, self.intrinsic, self.controller, self.task_policy = None, None, None, None
        if parts == "pretraining":
            entropy = config.exploration.entropy
            self.explorer = ActorCritic(feat, 0, actions, imagination, entropy=entropy)
            self.intrinsic = make_intrinsic_reward(config.exploration, feat, actions)
        elif parts == "adaptation":
            self.controller = MetaController(feat, codes, imagination, config.adaptation)
            if config.adaptation.search_with in ("explorer", "turns"):  # it acts, learns no longer
                self.explorer = ActorCritic(feat, 0, actions, imagination)
        elif parts == "task":
            self.task_policy = ActorCritic(feat, 0, actions, imagination)

    @property
    def plays_task(self) -> bool:
        """Whether the agent was fine-tuned, so that the policy "task" can act."""
        return self.controller is not None or self.task_policy is not None

    @property
    def task_critic(self) -> nn.Module | None:
        """Expects the discounted return of the task from features; None where there is none."""
        policy = self.task_policy if self.controller is None else self.controller.selector
        return policy.critic if policy is not None and self.has_critics else None

    @property
    def num_skills(self) -> int:
        """Number of codes, and so of skills."""
        return self.config.skills.codes

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.world_model.rssm.input.weight.device

    def initial_memory(self, num: int) -> Memory:
        """Memory of `num` rows before anything was seen."""
        action = torch.zeros(num, self.spec.action_size, device=self.device)
        return Memory(self.world_model.rssm.initial(num), action)

    @torch.no_grad()
    def observe(
        self,
        memory: Memory,
        observation: Mapping[str, Tensor],
        is_first: Tensor,
        generator: torch.Generator | None = None,
        noise: Noise | None = None,
    ) -> State:
        """Posterior state after raw observations, each (N, ...), with `is_first` (N,) bool.

        Chance comes from `noise`, or from `generator` where there is none.
        """
        embed = self.world_model.embed(preprocess(observation))
        rssm, uniform = self.world_model.rssm, None if noise is None else noise.state
        return rssm.observe_step(memory.state, memory.action, embed, is_first, generator, uniform)

    @torch.no_grad()
    def decide(
        self,
        state: State,
        policy: PolicyName,
        skill: Tensor | None = None,
        sample: bool = False,
        generator: torch.Generator | None = None,
        noise: Noise | None = None,
    ) -> Tensor:
        """Actions (N, A) in [-1, 1] for states of N rows; `skill` (N,) numbers the codes.

        Without `sample` policies give their mean and the meta-controller its likeliest code.
        Chance comes from `noise`, or from `generator` where there is none.
        """
        feat = state.feat
        if policy == "random" or (policy == "explore" and self._explores_by_chance()):
            return self._uniform(feat, generator, noise) * 2 - 1
        if policy == "explore":
            distribution = _present(self.explorer, "explorer", self.parts).actor(feat)
        elif policy == "task" and self.task_policy is not None:
            distribution = self.task_policy.actor(feat)
        else:
            chosen = self.choose(state, policy, skill, sample, generator, noise)
            if chosen is None:
                raise UsageError("acting with a skill needs its number: pass skill=0, 1, ...")
            code = one_hot(chosen, self.num_skills)
            distribution = self.skill_policy.actor(condition(feat, code))
        if sample and noise is not None:
            return distribution.transform(noise.normal)
        return distribution.sample(generator) if sample else distribution.mode()

    def _uniform(
        self, feat: Tensor, generator: torch.Generator | None, noise: Noise | None
    ) -> Tensor:
        if noise is not None:
            return noise.uniform
        return torch.rand(len(feat), self.spec.action_size, generator=generator, device=feat.device)

    def _explores_by_chance(self) -> bool:
        return self.intrinsic is not None and self.intrinsic.acts_randomly

    @torch.no_grad()
    def choose(
        self,
        state: State,
        policy: PolicyName,
        skill: Tensor | None = None,
        sample: bool = False,
        generator: torch.Generator | None = None,
        noise: Noise | None = None,
    ) -> Tensor | None:
        """Skills (N,) that `decide` acts with: those given, else the meta-controller's choice.

        None where no skill acts, as with a single policy for the task.
        """
        if skill is not None or policy != "task" or self.task_policy is not None:
            return skill
        selector = _present(self.controller, "meta-controller", self.parts).selector
        choice = selector.actor(state.feat)
        if sample and noise is not None:
            return choice.transform(noise.choice).argmax(-1)
        return (choice.sample(generator) if sample else choice.mode()).argmax(-1)

    def session(self, num: int | None = None, seed: int = 0) -> Session:
        """Start acting: in one environment, or in `num` at once. See `Session`."""
        return Session(self, num, seed)

    def description(self) -> dict[str, Any]:
        """What is needed to rebuild this agent without its weights, as JSON."""
        told = {} if self.has_critics else {"critics": False}
        return {
            "spec": self.spec.to_json(),
            "config": asdict(self.config),
            "parts": self.parts,
        } | told

    def save(self, folder: str | Path) -> Path:
        """Write the networks (safetensors) and their description (JSON) to `folder`.

        An agent saved there before is replaced; raises UsageError for a folder that holds anything
        else.
        """
        folder = Path(folder).absolute()
        foreign = {p.name for p in folder.iterdir()} - SAVED if folder.is_dir() else set()
        if foreign:
            raise UsageError(
                f"{folder} holds {', '.join(sorted(foreign))}, which saving an agent there would "
                "delete; give a new folder"
            )
        tensors = {f"agent.{key}": value for key, value in self.state_dict().items()}
        description = {"agent": self.description()}
        return checkpoint.save(
            folder.parent, folder.name, tensors, description, keep=None, point=False
        )

    def inference(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and description without what only learning needs, as packs hold them."""
        named = {f"agent.{key}": value for key, value in self.state_dict().items()}
        kept = {key: value for key, value in named.items() if not LEARNS_ONLY.search(key)}
        return kept, self.description() | {"inference": True}

    def __repr__(self) -> str:
        counts = {
            name: sum(p.numel() for p in module.parameters())
            for name, module in self.named_children()
        }
        rows = "".join(f"\n  {name}: {count:,} parameters" for name, count in counts.items())
        return f"Agent for {self.spec.id}, {self.num_skills} skills{rows}"


def _present(part: Any, name: str, parts: str) -> Any:
    if part is None:
        raise UsageError(
            f"this agent has no {name}: it comes from {parts}. Explorers come from `choreo "
            "pretrain`, meta-controllers from `choreo finetune`; skills are in every agent "
            "(skill=0, 1, ...)"
        )
    return part


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint folder that `path` means: itself, or the latest one of a run folder.

    A pack is itself one; every byte of it is compared with its hashes first.
    """
    path = local(os.path.expanduser(path))  # noqa: PTH111 - leaves unknown users be
    if not path.is_dir():
        raise NoCheckpoint(f"no such folder: {path}; give a run folder, a checkpoint or a pack")
    if pack.is_pack(path):
        pack.check(path)
        return path
    if (path / "state.json").exists():
        return path
    for folder in (path / "checkpoints", path):
        found = checkpoint.latest(folder) if folder.is_dir() else None
        if found is not None:
            return found
    if (path / pack.CONTRACT).exists():
        raise NoCheckpoint(
            f"{path} is an exported policy, which acts in `choreo evaluate` alone; give the run "
            "that it was exported from"
        )
    raise NoCheckpoint(
        f"no checkpoint in {path}: expected checkpoints/ with a finished one, as `choreo pretrain "
        f"--run-dir {path}` writes it"
    )


def load(path: str | Path, device: str = "cpu") -> Agent:
    """Load an agent from a run folder, a checkpoint or a pack, without optimisers, ready to act.

    `hf://OWNER/NAME@REVISION` is a pack on a hub. Raises CheckpointError where there is none, or
    one that is truncated, changed or foreign.
    """
    path = local(path)
    tensors, state = checkpoint.steady(lambda: find_checkpoint(path), checkpoint.load)
    if "agent" not in state:
        raise CheckpointError(f"{path} is not a checkpoint of an agent; it holds {in_words(state)}")
    if _packed(state["agent"]) and not pack.is_pack(path):
        raise CheckpointError(f"{path} is half a pack: {pack.LISTING} is missing. {pack.AGAIN}")
    try:
        return restore_agent(tensors, state["agent"]).to(device).eval()
    except ChoreoError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _packed(description: Any) -> bool:
    return isinstance(description, Mapping) and bool(description.get("inference"))


def load_state(path: str | Path) -> dict[str, Any]:
    """Only the state of the checkpoint that `path` means, without its tensors."""
    return checkpoint.steady(lambda: find_checkpoint(path), checkpoint.load_state)


def restore_agent(tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> Agent:
    """Rebuild an agent from the tensors of a checkpoint and its description.

    Raises CheckpointError where the two do not belong together, before any memory is taken.
    """
    wrong = problem(description, DESCRIPTION, "agent")
    if wrong:
        raise CheckpointError(f"the checkpoint does not describe an agent: {wrong}")
    parts = cast(Parts, description["parts"])
    fresh = bool(description.get("inference"))  # what is not there keeps its first values
    try:
        config = AgentConfig.from_json(description["config"])
        spec = EnvSpec.from_json(description["spec"])
        _check_sizes(description["config"])
        with torch.device("meta"):  # sizes without memory
            load_agent_tensors(Agent(spec, config, parts), tensors, assign=True, fresh=fresh)
    except (ValueError, TypeError, KeyError, ArithmeticError, AttributeError) as error:
        raise CheckpointError(f"the checkpoint does not describe an agent: {error}") from error
    agent = Agent(spec, config, parts)
    load_agent_tensors(agent, tensors, fresh=fresh)
    agent.has_critics = not fresh and description.get("critics") is not False
    return agent


def _check_sizes(config: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse sizes that no network has: layers are made one by one, also without memory."""
    for group, options in config.items():
        for name, value in options.items():
            most = MOST_LAYERS if "layers" in name else MOST_UNITS
            if isinstance(value, int) and not 0 <= value <= most:
                raise ValueError(f"{group}.{name} is {value:.3g}; wanted is 0 to {most}")


def load_agent_tensors(
    agent: Agent, tensors: Mapping[str, Tensor], assign: bool = False, fresh: bool = False
) -> None:
    """Copy the tensors named `agent.*` into the networks, or with `assign` put them there.

    With `fresh` those that only learning needs may be missing, and stay what they are.
    """
    prefix = "agent."
    own = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
    if fresh:
        first = {k: value for k, value in agent.state_dict().items() if LEARNS_ONLY.search(k)}
        own = first | own
    try:
        agent.load_state_dict(own, assign=assign)
    except RuntimeError as error:
        raise CheckpointError(f"the checkpoint does not fit this agent: {error}") from error
