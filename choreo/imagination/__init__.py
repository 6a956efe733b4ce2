"""Imagined trajectories, their returns and the one actor-critic of the house."""

from choreo.imagination.actor_critic import ActorCritic, ImaginationConfig
from choreo.imagination.returns import discount_weights, lambda_return
from choreo.imagination.rollout import imagine
from choreo.imagination.trajectory import Noise, Policy, Trajectory

__all__ = [
    "ActorCritic",
    "ImaginationConfig",
    "Noise",
    "Policy",
    "Trajectory",
    "discount_weights",
    "imagine",
    "lambda_return",
]
