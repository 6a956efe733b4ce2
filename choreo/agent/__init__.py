"""Agents: all networks of one, how it acts, and how it is saved and loaded."""

from choreo.agent.acting import Memory, PolicyName, Posterior, Session
from choreo.agent.adapting import Start, adapt
from choreo.agent.agent import (
    Agent,
    AgentConfig,
    Parts,
    find_checkpoint,
    load,
    load_agent_tensors,
    load_state,
    restore_agent,
)
from choreo.agent.noise import Noise, RowStreams

__all__ = [
    "Agent",
    "AgentConfig",
    "Memory",
    "Noise",
    "Parts",
    "PolicyName",
    "Posterior",
    "RowStreams",
    "Session",
    "Start",
    "adapt",
    "find_checkpoint",
    "load",
    "load_agent_tensors",
    "load_state",
    "restore_agent",
]
