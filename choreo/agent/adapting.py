"""From a pre-trained agent to one for fine-tuning."""

from dataclasses import replace
from typing import Literal

from choreo.agent.agent import Agent, AgentConfig, Parts
from choreo.errors import UsageError
from choreo.imagination import ActorCritic

Start = Literal["skills", "explorer", "model", "scratch"]
"""What fine-tuning begins with: skills under a meta-controller, the explorer's actor, a fresh
policy on the pre-trained model, or nothing pre-trained."""


def adapt(agent: Agent, config: AgentConfig, seed: int, start: Start = "skills") -> Agent:
    """An agent for fine-tuning: world model, skill space and skill policy of a pre-trained one.

    Reward head, critics and meta-controller begin anew (paper section 3.3); from "explorer" and
    "model" there is one policy for the task instead, the explorer's or a fresh one. Model and
    skill settings and all sizes come from the pre-trained agent, other imagination and adaptation
    settings from `config`. Raises UsageError for "explorer" where none was trained.
    """
    old = agent.config
    sized = replace(
        config,
        model=old.model,
        skills=old.skills,
        imagination=replace(
            config.imagination, layers=old.imagination.layers, units=old.imagination.units
        ),
    )
    parts: Parts = "adaptation" if start == "skills" else "task"
    fresh = Agent(agent.spec, sized, parts, seed).to(agent.device)
    for name in ("standardizer", "encoder", "rssm", "decoder"):
        source = getattr(agent.world_model, name).state_dict()
        getattr(fresh.world_model, name).load_state_dict(source)
    fresh.skills.load_state_dict(agent.skills.state_dict())
    fresh.skill_policy.actor.load_state_dict(agent.skill_policy.actor.state_dict())
    if start == "explorer":
        assert fresh.task_policy is not None
        fresh.task_policy.actor.load_state_dict(_trained_explorer(agent).actor.state_dict())
    return fresh


def _trained_explorer(agent: Agent) -> ActorCritic:
    if agent.explorer is not None and not agent._explores_by_chance():
        return agent.explorer
    why = "explored by random actions" if agent.explorer else f"comes from {agent.parts}"
    raise UsageError(
        f"there is no trained explorer to start from: this agent {why}. Give --start skills or "
        "--start model, or a run of `choreo pretrain` with an exploration bonus"
    )
