"""Plan2Explore: reward is the disagreement of an ensemble (Sekar et al. 2020)."""

import torch
from torch import Tensor, nn

from choreo.exploration.base import ExplorationConfig, IntrinsicReward, Replayed
from choreo.imagination.rollout import Trajectory
from choreo.nn import MLP, condition


class Plan2Explore(IntrinsicReward):
    """Members predict the next features from features and action; reward is their variance."""

    def __init__(self, feat_size: int, actions: int, config: ExplorationConfig) -> None:
        super().__init__()
        sizes = (feat_size, config.layers, config.units)
        self.members = nn.ModuleList(
            MLP(feat_size + actions, *sizes) for _ in range(config.ensemble)
        )

    def loss(self, replayed: Replayed) -> Tensor:
        inputs = torch.cat([replayed.feat[:, :-1], replayed.action[:, 1:]], -1)
        target = replayed.feat[:, 1:]
        errors = [(member(inputs) - target).square().mean(-1) for member in self.members]
        return (torch.stack(errors) * replayed.same_episode).mean()

    def reward(self, trajectory: Trajectory) -> Tensor:
        """Disagreement about each state from the one before; 0 in start states."""
        inputs = condition(trajectory.feat[:-1], trajectory.action)
        predictions = torch.stack([member(inputs) for member in self.members])
        disagreement = predictions.var(0).mean(-1)
        return torch.cat([torch.zeros_like(disagreement[:1]), disagreement])
