"""Intrinsic rewards for the explorer, one file each behind one abstract class."""

from choreo.exploration.base import ExplorationConfig, IntrinsicReward, Replayed
from choreo.exploration.make import make_intrinsic_reward

__all__ = ["ExplorationConfig", "IntrinsicReward", "Replayed", "make_intrinsic_reward"]
