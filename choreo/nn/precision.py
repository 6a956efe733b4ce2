"""In which precision the large products of an update are taken.

In bf16 both factors are rounded to eight bits of mantissa, sums are kept in fp32 by the processor,
and what comes out is fp32 again. Nothing else changes: weights, moments, norms, KL, returns, the
codebook and the distances between particles stay in fp32. Small products do too: rounding their
factors would cost as much as it saves.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Precision = Literal["fp32", "bf16"]
"""Of large products."""

LARGE = 2**24  # multiplications from which on a product is large
_bf16 = False


@contextmanager
def products_in(precision: Precision) -> Iterator[None]:
    """Take large products in this precision, in the forward and the backward pass."""
    global _bf16
    before, _bf16 = _bf16, precision == "bf16"
    try:
        yield
    finally:
        _bf16 = before


def rounds(a: Tensor, b: Tensor) -> bool:
    """Whether the product of (..., K) with a matrix of K rows or columns is taken in bf16."""
    return _bf16 and a.numel() * b.numel() >= LARGE * a.shape[-1]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Weight x + bias of x (..., inputs), (..., outputs), as `torch.nn.functional.linear`."""
    if rounds(x, weight):
        y = F.linear(x.bfloat16(), weight.bfloat16()).float()
        return y if bias is None else y + bias
    return F.linear(x, weight, bias)


class Linear(nn.Linear):
    """A linear layer whose products follow `products_in`."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def convolve(
    convolution: Callable[..., Tensor], x: Tensor, weight: Tensor, bias: Tensor, **options: int
) -> Tensor:
    """`convolution(x, weight, bias)` of images (N, C, S, S), which are always large."""
    if _bf16:
        return convolution(x.bfloat16(), weight.bfloat16(), bias.bfloat16(), **options).float()
    return convolution(x, weight, bias, **options)


def product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """A b of two matrices, without gradient."""
    if rounds(a, b):
        y = torch.mm(a.bfloat16(), b.bfloat16())
        return y.float() if out is None else out.copy_(y)
    return torch.mm(a, b, out=out)


def add_product(c: Tensor, a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """C + a b of two matrices and what is added to every row or entry, without gradient.

    `out` may be c itself.
    """
    if rounds(a, b):
        y = torch.mm(a.bfloat16(), b.bfloat16())
        return torch.add(c, y, out=out)
    return torch.addmm(c, a, b, out=out)
