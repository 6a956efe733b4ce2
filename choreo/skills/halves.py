"""Distances between particles by the products of half floats that CUDA devices are fastest at.

A number is the sum of two half floats but for the last of the 24 bits of its mantissa, so a product
of two numbers is three products of half floats, added in fp32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST = 4  # particles are scaled so that 2^LARGEST is no less than all their entries
MULTIPLE = 8  # of columns, below which tensor cores are not used


def factors(particles: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Half floats left and right (N, K) for particles (N, D), their squares (N, 1), and a scale ().

    left @ right.T = scale^2 (|y|^2 - 2 x y) and squares = |x|^2, for particles around their mean.
    Squares are of what the products see, so that a particle is at no distance from itself.
    """
    x = particles - particles.mean(0)
    exponent = torch.frexp(x.abs().amax()).exponent
    scale = torch.ldexp(torch.ones_like(x[0, 0]), LARGEST - exponent)
    high, low = _parts(x * scale, 2)
    square = (high.float() * (high.float() + 2 * low.float())).sum(-1, keepdim=True)
    unit = 2.0**LARGEST
    ones = torch.full_like(square, unit).half()
    left = torch.cat([-2 * high, -2 * high, -2 * low, ones, ones, ones], -1)
    right = torch.cat([high, low, high, *_parts(square / unit, 3)], -1)
    room = (0, -left.shape[1] % MULTIPLE)
    return F.pad(left, room), F.pad(right, room), square / scale / scale, scale


def _parts(x: Tensor, count: int) -> list[Tensor]:
    """Half floats whose sum is x but for what is smaller than all of them can say."""
    parts: list[Tensor] = []
    for _ in range(count):
        parts.append(x.half())
        x = x - parts[-1].float()
    return parts


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Product a b of half floats as fp32, (N, M)."""
    return torch.mm(a, b, out_dtype=torch.float32)
