"""Native kernels of the CPU update: optional, few, and equal to their plain PyTorch versions.

Each function takes contiguous float32 CPU tensors and belongs to one place of the house, which also
holds the plain version; `usable` says whether the native one may be taken.
"""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from choreo.native.build import library

__all__ = [
    "gates",
    "gates_backward",
    "library",
    "sample",
    "show_tile",
    "softmax_backward",
    "usable",
]


def usable(*tensors: Tensor) -> bool:
    """Whether these tensors can go to the kernels: float32, on the CPU, and a compiler is there.

    While a function is being compiled the plain versions are taken, which can be looked into.
    """
    if torch.compiler.is_compiling():
        return False
    fit = all(t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors)
    return fit and library() is not None


def _call(name: str, *arguments: Tensor | int) -> None:
    """Call a kernel: tensors go as pointers to their data, integers as C longs."""
    kernels = library()
    assert kernels is not None, "ask `usable` first"
    kernels[name](
        *(
            ctypes.c_long(a) if isinstance(a, int) else ctypes.c_void_p(a.data_ptr())
            for a in arguments
        )
    )


def show_tile(
    tile: Tensor, rows: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor] | None
) -> None:
    """Enter squared distances (R, C) into the heaps of their rows and, if given, columns.

    `rows` and `columns` are a heap of the k smallest distances of each particle, (R, k), and the
    largest of these, (R,); both begin at infinity.
    """
    heaps, tops = rows
    other_heaps, other_tops = rows if columns is None else columns
    shape = (tile.shape[0], tile.shape[1], heaps.shape[1])
    symmetric = int(columns is not None)
    _call("choreo_show_tile", tile, *shape, heaps, tops, other_heaps, other_tops, symmetric)


def sample(logit: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and one-hot samples of logits (..., C) at uniform numbers (...)."""
    logit = logit.contiguous()
    probs, one_hot = torch.empty_like(logit), torch.empty_like(logit)
    _call("choreo_sample", logit, uniform, uniform.numel(), logit.shape[-1], probs, one_hot)
    return probs, one_hot


def softmax_backward(grad: Tensor, probs: Tensor) -> Tensor:
    """Gradient of a softmax with output `probs` (..., C)."""
    grad, out = grad.contiguous(), torch.empty_like(probs)
    classes = probs.shape[-1]
    rows = probs.numel() // classes
    _call("choreo_softmax_backward", grad, probs, rows, classes, out)
    return out


def gates(
    x: Tensor, weight: Tensor, bias: Tensor, deter: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Next h (N, D) from gates (N, 3 D) and h (N, D); and the mean and 1 / deviation of rows."""
    rows, size = deter.shape
    mean, rstd, new = x.new_empty(rows), x.new_empty(rows), torch.empty_like(deter)
    _call("choreo_gates", x, weight, bias, deter, rows, size, mean, rstd, new)
    return new, (mean, rstd)


def gates_backward(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor, deter: Tensor, rows: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of `gates` with respect to x, weight, bias and h."""
    outputs = torch.empty_like(x), torch.empty_like(deter)
    sums = torch.zeros_like(weight), torch.zeros_like(bias)
    shape = deter.shape
    _call(
        "choreo_gates_backward",
        *(grad.contiguous(), x, weight, bias, deter, *rows),
        *(shape[0], shape[1], *outputs, *sums),
    )
    return outputs[0], sums[0], sums[1], outputs[1]
