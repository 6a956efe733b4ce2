"""The three distributions of the method, each with a direct sampler and no validation."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from choreo.nn.layers import one_hot_straight_through, uniform_for
from choreo.nn.pieces import piece

MOST = 1 - 1e-6  # of an action, whose bounds are -1 and 1; authors' code
LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


def gaussian_log_prob(mean: Tensor, target: Tensor, dims: int = 1) -> Tensor:
    """Log-density of `target` under unit-variance Gaussians, summed over the last `dims` axes."""
    log_prob = -0.5 * (target - mean).square() - LOG_SQRT_2PI
    return log_prob.sum(tuple(range(-dims, 0)))


@dataclass(frozen=True)
class TruncatedNormal:
    """Normal policy in [-1, 1]; mean and std have shape (..., actions).

    Log-probability and entropy are those of the untruncated normal; a sample is clamped with a
    straight-through gradient, or where `clamp_stops`, with its own. Source: authors' code.
    """

    mean: Tensor
    std: Tensor
    clamp_stops: bool = False

    @staticmethod
    @piece
    def from_outputs(
        mean: Tensor, std: Tensor, min_std: float = 0.1, clamp_stops: bool = False
    ) -> "TruncatedNormal":
        """Squash raw network outputs: tanh(mean), 2 sigmoid(std / 2) + min_std."""
        deviation = 2 * torch.sigmoid(std / 2) + min_std
        return TruncatedNormal(torch.tanh(mean), deviation, clamp_stops)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Sample, (..., actions), with the reparameterised gradient."""
        return self.transform(torch.empty_like(self.mean).normal_(generator=generator))

    @piece
    def transform(self, noise: Tensor) -> Tensor:
        """The sample that standard normal noise (..., actions) makes.

        Clamped to +-(1 - 1e-6) with the gradient of the identity, unless `clamp_stops`.
        """
        raw = self.mean + self.std * noise
        clamped = raw.clamp(-MOST, MOST)
        if self.clamp_stops:
            return clamped
        return raw + (clamped - raw).detach() if torch.is_grad_enabled() else clamped

    def mode(self) -> Tensor:
        """The mean, (..., actions)."""
        return self.mean

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density summed over the action, (...)."""
        z = (value - self.mean) / self.std
        return (-0.5 * z.square() - self.std.log() - LOG_SQRT_2PI).sum(-1)

    def entropy(self) -> Tensor:
        """Entropy in nats, summed over the action, (...)."""
        return (0.5 + LOG_SQRT_2PI + self.std.log()).sum(-1)


@dataclass(frozen=True)
class OneHot:
    """Categorical policy over codes; `logit` has shape (..., codes), samples are one-hot."""

    logit: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One-hot sample, (..., codes), with the straight-through gradient."""
        return self.transform(uniform_for(self.logit, generator))

    def transform(self, uniform: Tensor) -> Tensor:
        """The sample that uniform numbers (...) pick."""
        return one_hot_straight_through(self.logit, uniform)

    def mode(self) -> Tensor:
        """One-hot vector of the likeliest code, (..., codes)."""
        index = self.logit.argmax(-1, keepdim=True)
        return torch.zeros_like(self.logit).scatter_(-1, index, 1.0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of one-hot vectors, (...)."""
        return (torch.log_softmax(self.logit, -1) * value).sum(-1)

    def entropy(self) -> Tensor:
        """Entropy in nats, (...)."""
        log_probs = torch.log_softmax(self.logit, -1)
        return -(log_probs.exp() * log_probs).sum(-1)
