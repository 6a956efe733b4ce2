"""APT: reward is a particle estimate of the entropy of states (Liu & Abbeel 2021)."""

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

    def loss(self, replayed: Replayed) -> Tensor:
        return replayed.kl.new_zeros(())

    def reward(self, trajectory: Trajectory) -> Tensor:
        deter = trajectory.deter.detach()  # (H + 1, N, D)
        distance = entropy_reward(deter.flatten(0, 1), self.neighbours, clip=0.0)
        return distance.log1p().view(deter.shape[:-1])
