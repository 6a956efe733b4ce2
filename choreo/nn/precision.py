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

from choreo import native

Precision = Literal["fp32", "bf16"]
"""Of large products."""

LARGE = 2**24  # multiplications from which on a product is large
AT_ONCE = 2048  # rows that are rounded at a time
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


def few_rows(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernels for few rows take the product of x (..., inputs) and a layer's weight."""
    return not rounds(x, weight) and native.few_rows(x, weight)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Weight x + bias of x (..., inputs), (..., outputs), as `torch.nn.functional.linear`."""
    if rounds(x, weight):
        y = F.linear(x.bfloat16(), weight.bfloat16())
        return y.float() if bias is None else y + bias  # a sum in fp32
    if bias is not None and few_rows(x, weight):
        return native.layer(x, weight, bias)
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
    """Product a b of two matrices, without gradient."""
    if not rounds(a, b):
        if _by_kernel(out):
            return native.multiply(a, b, out)  # pyright: ignore[reportArgumentType]
        return torch.mm(a, b, out=out)
    native.not_a_kernel()
    out = a.new_empty(a.shape[0], b.shape[1]) if out is None else out
    return _rounded_product(a, b, out, Tensor.copy_)


def add_product(c: Tensor, a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """Sum c + a b of two matrices and what is added to every row or entry, without gradient.

    `out` may be c itself.
    """
    if not rounds(a, b):
        if _by_kernel(out):
            return native.multiply(a, b, out, c)  # pyright: ignore[reportArgumentType]
        return torch.addmm(c, a, b, out=out)
    native.not_a_kernel()
    out = a.new_empty(a.shape[0], b.shape[1]) if out is None else out
    if out is not c:
        out.copy_(c)
    return _rounded_product(a, b, out, Tensor.add_)


def _by_kernel(out: Tensor | None) -> bool:
    """Whether a product belongs to a loop that may go on without Python, see `native.repeat`."""
    if not native.watched():
        return False
    if out is not None and native.routine() is not None:
        return True
    native.not_a_kernel()
    return False


def _rounded_product(
    a: Tensor, b: Tensor, out: Tensor, put: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Copy or add a b, in bf16, to `out`; some rows at a time, so that roundings stay in the cache.

    Where the sums are what is long, parts of them are added in fp32.
    """
    if a.shape[1] > AT_ONCE >= a.shape[0]:
        sums = torch.zeros_like(out)
        for x, y in zip(a.split(AT_ONCE, 1), b.split(AT_ONCE), strict=True):
            sums.add_(torch.mm(x.bfloat16(), y.bfloat16()))
        return put(out, sums)
    b = b.bfloat16()
    for rows, part in zip(a.split(AT_ONCE), out.split(AT_ONCE), strict=True):
        put(part, torch.mm(rows.bfloat16(), b))
    return out
