"""Environments stepped together: serially, or each in a process of its own."""

from choreo.envs.vector.base import StepBatch, VectorEnv
from choreo.envs.vector.make import make_vector
from choreo.envs.vector.process import ProcessVector
from choreo.envs.vector.serial import SerialVector

__all__ = ["ProcessVector", "SerialVector", "StepBatch", "VectorEnv", "make_vector"]
