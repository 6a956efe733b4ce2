"""What trained agents are compared with."""

from typing import cast

from choreo.agent import Agent, Parts
from choreo.record import derive_seed


def untrained_agent(agent: Agent, seed: int) -> Agent:
    """The same agent with fresh weights, which sees vectors at the scale of the trained one."""
    parts = cast(Parts, agent.parts)
    fresh = Agent(agent.spec, agent.config, parts, derive_seed(seed, "untrained"))
    scale = agent.world_model.standardizer.state_dict()
    fresh.world_model.standardizer.load_state_dict(scale)
    return fresh.to(agent.device).eval()
