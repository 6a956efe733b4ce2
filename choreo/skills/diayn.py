"""Skills by a discriminator: diversity is all you need (Eysenbach et al. 2019)."""

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from choreo.imagination.actor_critic import one_hot
from choreo.nn import MLP

if TYPE_CHECKING:
    from choreo.skills.autoencoder import SkillConfig


class Discriminator(nn.Module):
    """q(z | h): which of K skills a model state h (..., D) is from; and each skill's mean state.

    It learns from imagined states, whose skills are known: ours.
    """

    means: Tensor

    def __init__(self, deter: int, config: "SkillConfig") -> None:
        super().__init__()
        self.decay = config.decay
        self.logits = MLP(deter, config.codes, config.layers, config.units)
        self.register_buffer("means", torch.zeros(config.codes, deter))  # moving average, (K, D)

    def nearest(self, deter: Tensor) -> Tensor:
        """The likeliest skill of every state (..., D), (...)."""
        return self.logits(deter).argmax(-1)

    def loss(self, deter: Tensor, index: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of states (S, N, D) of the skills `index` (N,); moves the mean states."""
        logits, expanded = self.logits(deter), index.expand(deter.shape[:-1])
        self._move(deter, index)
        right = (logits.detach().argmax(-1) == expanded).float().mean()
        return F.cross_entropy(logits.flatten(0, -2), expanded.flatten()), {"told_right": right}

    def reward(self, deter: Tensor, index: Tensor) -> Tensor:
        """Log q(z | h) - log p(z) of states (S, N, D), (S, N), differentiable in h; p is 1 / K."""
        told = self.logits(deter).log_softmax(-1)
        chosen = index.expand(deter.shape[:-1]).unsqueeze(-1)
        return told.gather(-1, chosen).squeeze(-1) + math.log(told.shape[-1])

    @torch.no_grad()
    def _move(self, deter: Tensor, index: Tensor) -> None:
        """Move the mean state of every skill that was imagined towards its states."""
        member = one_hot(index, len(self.means))  # (N, K)
        count = member.sum(0).unsqueeze(-1)
        seen = member.T @ deter.mean(0) / count.clamp(min=1)
        self.means.lerp_(torch.where(count > 0, seen, self.means), 1 - self.decay)
