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
    settings from `config`. Where none was trained, turns with the explorer are left to the skills;
    raises UsageError for "explorer", and for settings that search with the explorer alone.
    """
    old, adaptation, trained = agent.config, config.adaptation, _trained_explorer(agent)
    if adaptation.search_with == "turns" and trained is None:
        adaptation = replace(adaptation, search_with="skills")
    sized = replace(
        config,
        adaptation=adaptation,
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
    explorer = fresh.task_policy if start == "explorer" else fresh.explorer
    if explorer is not None:
        if trained is None:
            raise _no_explorer(agent, start)
        explorer.actor.load_state_dict(trained.actor.state_dict())
    return fresh


def _trained_explorer(agent: Agent) -> ActorCritic | None:
    return None if agent._explores_by_chance() else agent.explorer


def _no_explorer(agent: Agent, start: Start) -> UsageError:
    known = {"pretraining": "explored by random actions", "offline": "learned from recorded data"}
    why = known.get(agent.parts, "was fine-tuned")
    wish, instead = "start from", "Give --start skills or --start model"
    if start == "skills":
        wish, instead = "search with", "Give --adaptation.search-with skills"
    return UsageError(
        f"there is no trained explorer to {wish}: this agent {why}. {instead}, or a run of "
        "`choreo pretrain` with an exploration bonus"
    )
