"""What every exploration bonus is."""

import abc
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from choreo.imagination.rollout import Trajectory

ExplorationKind = Literal["lbs", "plan2explore", "rnd", "apt", "icm", "random"]


@dataclass(frozen=True)
class ExplorationConfig:
    """Exploration settings."""

    kind: ExplorationKind = "lbs"
    """Bonus of the explorer: latent Bayesian surprise, ensemble disagreement, random network
    distillation, particle entropy, the error of a forward model, or none (uniformly random
    actions). [paper: lbs]"""
    layers: int = 4
    """Hidden layers of the bonus networks. [authors]"""
    units: int = 400
    """Units of each of these layers. [authors]"""
    ensemble: int = 5
    """Members of plan2explore's ensemble. [Plan2Explore, Sekar et al. 2020, uses 10; ours]"""
    neighbours: int = 12
    """Nearest neighbours of apt, the state itself included. [URLB]"""
    momentum: float = 0.95
    """Momentum of the running magnitude that divides the bonus. [authors]"""
    entropy: float = 0.0
    """Entropy bonus of the explorer. [paper]"""


@dataclass(frozen=True)
class Replayed:
    """What a bonus may learn from, without gradient: B sequences of T steps.

    feat (B, T, F) and kl (B, T) of the posterior; action (B, T, A) that led to each step;
    is_first (B, T) bool.
    """

    feat: Tensor
    kl: Tensor
    action: Tensor
    is_first: Tensor

    @property
    def same_episode(self) -> Tensor:
        """1 where a step and the one before belong to one episode, else 0, (B, T - 1)."""
        return (~self.is_first[:, 1:]).to(self.feat.dtype)


class IntrinsicReward(abc.ABC, nn.Module):
    """An exploration bonus: a loss on replayed states and a reward for imagined ones."""

    acts_randomly: ClassVar[bool] = False
    """True where there is no explorer to train: the agent acts uniformly at random."""

    @abc.abstractmethod
    def loss(self, replayed: Replayed) -> Tensor:
        """Scalar loss of the bonus's own networks."""

    @abc.abstractmethod
    def reward(self, trajectory: Trajectory) -> Tensor:
        """Bonus of every imagined state, (H + 1, N), differentiable in the features."""
