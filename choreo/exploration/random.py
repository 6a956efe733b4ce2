"""No bonus: data come from uniformly random actions."""

from torch import Tensor

from choreo.exploration.base import IntrinsicReward, Replayed
from choreo.imagination.rollout import Trajectory


class RandomActions(IntrinsicReward):
    """Nothing is trained and nothing is rewarded; the agent explores by chance."""

    acts_randomly = True

    def loss(self, replayed: Replayed) -> Tensor:
        return replayed.kl.new_zeros(())

    def reward(self, trajectory: Trajectory) -> Tensor:
        return trajectory.deter.new_zeros(trajectory.deter.shape[:-1])
