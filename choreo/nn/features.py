"""Features [s, h] whose one-hot part is kept as the places of its ones.

The first layer of a network then is a sum of rows of a table instead of a product with zeros.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Features:
    """Features [s, rest] of any leading shape (...).

    places (..., V) int32: where the ones of s are, of its V * C entries; probs (..., V * C): their
    probabilities, which carry the straight-through gradient of s; rest (..., R): h, and what
    conditions a network.
    """

    places: Tensor
    probs: Tensor
    rest: Tensor

    @property
    def shape(self) -> torch.Size:
        """Shape of the same features as one tensor."""
        return torch.Size((*self.rest.shape[:-1], self.probs.shape[-1] + self.rest.shape[-1]))

    def dense(self) -> Tensor:
        """The same features as one tensor, (..., V * C + R), with the same gradient."""
        ones = torch.zeros_like(self.probs).scatter_(-1, self.places.long(), 1.0)
        return torch.cat([ones + (self.probs - self.probs.detach()), self.rest], -1)

    def detach(self) -> "Features":
        """The same features without gradient."""
        return Features(self.places, self.probs.detach(), self.rest.detach())

    def append(self, more: Tensor) -> "Features":
        """With `more` (..., K) behind the rest."""
        return Features(self.places, self.probs, torch.cat([self.rest, more], -1))

    def __getitem__(self, index: Any) -> "Features":
        return Features(self.places[index], self.probs[index], self.rest[index])


Inputs = Tensor | Features
"""What a network on features takes."""


def dense(inputs: Inputs) -> Tensor:
    """Features as one tensor, (..., F)."""
    return inputs.dense() if isinstance(inputs, Features) else inputs


def condition(feat: Inputs, code: Tensor) -> Inputs:
    """Append codes (N, K) or (..., N, K) to features (..., N, F)."""
    code = code.expand(*feat.shape[:-1], code.shape[-1])
    return feat.append(code) if isinstance(feat, Features) else torch.cat([feat, code], -1)
