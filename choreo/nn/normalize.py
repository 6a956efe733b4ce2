"""Reward normalisation by a running magnitude."""

import torch
from torch import Tensor, nn


class RunningMagnitude(nn.Module):
    """Divides by a moving average of the mean absolute value.

    Starts at 1 and is updated before it divides. Momentum 1 keeps it at 1: no normalisation.
    Source: authors' code (stream norm).
    """

    magnitude: Tensor

    def __init__(self, momentum: float, epsilon: float = 1e-8) -> None:
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.register_buffer("magnitude", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Update with `x` of any shape and return `x` divided by the magnitude."""
        batch = x.detach().abs().mean()
        self.magnitude.mul_(self.momentum).add_(batch, alpha=1 - self.momentum)
        return x / (self.magnitude + self.epsilon)
