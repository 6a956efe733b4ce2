"""Latent Bayesian surprise: reward is the predicted KL between posterior and prior."""

from torch import Tensor

from choreo.exploration.base import ExplorationConfig, IntrinsicReward, Replayed
from choreo.imagination.rollout import Trajectory
from choreo.nn import MLP, gaussian_log_prob


class LatentBayesianSurprise(IntrinsicReward):
    """An MLP on features regresses the KL of the step (paper section 2, Mazzaglia et al. 2022)."""

    def __init__(self, feat_size: int, config: ExplorationConfig) -> None:
        super().__init__()
        self.surprise = MLP(feat_size, 1, config.layers, config.units)

    def loss(self, replayed: Replayed) -> Tensor:
        prediction = self.surprise(replayed.feat)
        return -gaussian_log_prob(prediction, replayed.kl.unsqueeze(-1)).mean()

    def reward(self, trajectory: Trajectory) -> Tensor:
        return self.surprise(trajectory.feat).squeeze(-1)
