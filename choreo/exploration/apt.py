"""APT: reward is a particle estimate of the entropy of states (Liu & Abbeel 2021)."""

from typing import Any

import torch
from torch import Tensor

from choreo.exploration.base import ExplorationConfig, IntrinsicReward, Replayed
from choreo.imagination.rollout import Trajectory
from choreo.skills import entropy_reward


class ParticleEntropy(IntrinsicReward):
    """log(1 + mean distance to the nearest imagined states), itself included; nothing is trained.

    On h instead of the representation of a contrastive encoder, and among the imagined states of
    the update instead of replayed ones: ours. The distances carry no gradient, so the explorer
    learns of them through its critic.
    """

    def __init__(self, config: ExplorationConfig) -> None:
        super().__init__()
        self.neighbours = config.neighbours
        # The distances come in many pieces, and have kernels of their own. Not as a decorator,
        # which would have every command import the compiler.
        self._uncompiled: Any = torch.compiler.disable(_log_distance)  # pyright: ignore

    def loss(self, replayed: Replayed) -> Tensor:
        return replayed.kl.new_zeros(())

    def reward(self, trajectory: Trajectory) -> Tensor:
        return self._uncompiled(trajectory.deter, self.neighbours)


def _log_distance(deter: Tensor, neighbours: int) -> Tensor:
    particles = deter.detach().flatten(0, 1)  # ((H + 1) * N, D)
    return entropy_reward(particles, neighbours, clip=0.0).log1p().view(deter.shape[:-1])
