"""Environments: one interface over dm_control, Gymnasium and the user's own simulators."""

from choreo.envs.base import Environment, TimeStep
from choreo.envs.check import EnvCheck, check
from choreo.envs.make import list_environments, make
from choreo.envs.rendering.look import Look, look
from choreo.envs.spaces import ArraySpec, EnvSpec
from choreo.envs.vector import SerialVector, StepBatch, VectorEnv, make_vector

__all__ = [
    "ArraySpec",
    "EnvCheck",
    "EnvSpec",
    "Environment",
    "Look",
    "SerialVector",
    "StepBatch",
    "TimeStep",
    "VectorEnv",
    "check",
    "list_environments",
    "look",
    "make",
    "make_vector",
]
