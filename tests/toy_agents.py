"""Small agents and random batches for tests."""

from dataclasses import replace

import torch

from choreo.adaptation import AdaptationConfig
from choreo.agent import Agent, AgentConfig, Parts
from choreo.envs.spaces import ArraySpec, EnvSpec
from choreo.exploration import ExplorationConfig
from choreo.imagination import ImaginationConfig
from choreo.skills import SkillConfig
from choreo.world_model import Batch, ModelConfig

SPEC = EnvSpec(
    id="toy_envs:point",
    observations={"observation": ArraySpec((4,), "float32")},
    action_size=2,
    action_low=(-1.0, -1.0),
    action_high=(1.0, 1.0),
    action_repeat=1,
    episode_steps=20,
    coordinates=(),
    step_seconds=None,
)

# No free nats, so that the prior learns from the first update on.
CONFIG = AgentConfig(
    model=ModelConfig(deter=12, hidden=10, variables=3, classes=4, layers=1, units=8, kl_free=0.0),
    imagination=ImaginationConfig(horizon=3, slow_every=3, layers=1, units=8),
    exploration=ExplorationConfig(layers=1, units=8),
    skills=SkillConfig(codes=5, code_size=3, layers=1, units=8, neighbours=4, resample_every=4),
    adaptation=AdaptationConfig(skill_steps=5),
)


def toy_agent(
    parts: Parts = "pretraining", config: AgentConfig = CONFIG, seed: int = 0, **changes: object
) -> Agent:
    """An agent for the toy point; `changes` are groups of the configuration."""
    return Agent(SPEC, replace(config, **changes), parts, seed)


def toy_batch(seed: int = 0, batch: int = 3, length: int = 6) -> Batch:
    """Random sequences with a reset in the middle of one and a terminal step before it."""
    random = torch.Generator().manual_seed(seed)
    is_first = torch.zeros(batch, length, dtype=torch.bool)
    is_first[:, 0] = True
    is_first[1, 3] = True
    is_terminal = torch.zeros(batch, length, dtype=torch.bool)
    is_terminal[1, 2] = True
    action = torch.rand(batch, length, 2, generator=random) * 2 - 1
    return Batch(
        observation={"observation": torch.randn(batch, length, 4, generator=random)},
        action=action * ~is_first.unsqueeze(-1),
        reward=torch.rand(batch, length, generator=random),
        is_first=is_first,
        is_terminal=is_terminal,
    )


def copies(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of everything a module holds."""
    return {key: value.clone() for key, value in module.state_dict().items()}


def changed(before: dict[str, torch.Tensor], module: torch.nn.Module) -> set[str]:
    """Names of the entries that are no longer bitwise what they were."""
    return {key for key, value in module.state_dict().items() if not value.equal(before[key])}
