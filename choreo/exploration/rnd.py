"""Random network distillation on model features (Burda et al. 2019)."""

from torch import Tensor

from choreo.exploration.base import ExplorationConfig, IntrinsicReward, Replayed
from choreo.imagination.rollout import Trajectory
from choreo.nn import MLP, Inputs


class RandomNetworkDistillation(IntrinsicReward):
    """Reward is the error with which a network predicts a fixed random one.

    On model features instead of observations, so that imagined states need no decoding: ours.
    """

    def __init__(self, feat_size: int, config: ExplorationConfig) -> None:
        super().__init__()
        sizes = (config.units, config.layers, config.units)
        self.predictor = MLP(feat_size, *sizes)
        self.target = MLP(feat_size, *sizes)
        self.target.requires_grad_(False)

    def loss(self, replayed: Replayed) -> Tensor:
        return self._error(replayed.feat).mean()

    def reward(self, trajectory: Trajectory) -> Tensor:
        return self._error(trajectory.feat)

    def _error(self, feat: Inputs) -> Tensor:
        return (self.predictor(feat) - self.target(feat)).square().mean(-1)
