"""ICM: reward is the error of a forward model on features that tell actions (Pathak 2017)."""

import torch
from torch import Tensor

from choreo.exploration.base import ExplorationConfig, IntrinsicReward, Replayed
from choreo.imagination.rollout import Trajectory
from choreo.nn import MLP

FORWARD = 0.2  # weight of the forward model's loss, the inverse model's has the rest [Pathak 2017]


class Curiosity(IntrinsicReward):
    """An encoder of model features, an inverse model for actions and a forward model.

    inverse: phi, phi' -> action; forward: phi, action -> phi'. Both shape the encoder phi. On model
    features instead of observations, so that imagined states need not be decoded: ours.
    """

    def __init__(self, feat_size: int, actions: int, config: ExplorationConfig) -> None:
        super().__init__()
        sizes, units = (config.layers, config.units), config.units
        self.encoder = MLP(feat_size, units, *sizes)
        self.inverse = MLP(2 * units, actions, *sizes)
        self.forward_model = MLP(units + actions, units, *sizes)

    def loss(self, replayed: Replayed) -> Tensor:
        phi, action = self.encoder(replayed.feat), replayed.action[:, 1:]
        told = self.inverse(torch.cat([phi[:, :-1], phi[:, 1:]], -1))
        inverse = (told - action).square().mean(-1)
        error = (1 - FORWARD) * inverse + FORWARD * self._error(phi[:, :-1], action, phi[:, 1:])
        return (error * replayed.same_episode).mean()

    def reward(self, trajectory: Trajectory) -> Tensor:
        """Error about each state from the one before; 0 in start states."""
        phi = self.encoder(trajectory.feat)
        error = self._error(phi[:-1], trajectory.action, phi[1:])
        return torch.cat([torch.zeros_like(error[:1]), error])

    def _error(self, phi: Tensor, action: Tensor, after: Tensor) -> Tensor:
        predicted = self.forward_model(torch.cat([phi, action], -1))
        return (predicted - after).square().mean(-1)
