"""Native kernels of updates and acting on a CPU: optional, few, equal to plain PyTorch.

Each function takes contiguous float32 CPU tensors and belongs to one place of the house, which also
holds the plain version; `usable` says whether the native one may be taken. Loops and products that
are made of them stand in calls.py and products.py.
"""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from choreo.native.build import identity, library
from choreo.native.calls import call, not_a_kernel, repeat, watched
from choreo.native.products import multiply, routine

__all__ = [
    "action",
    "action_backward",
    "add_",
    "add_kept",
    "add_rows",
    "elu_",
    "elu_backward_",
    "few_rows",
    "gates",
    "gates_backward",
    "identity",
    "is_plain",
    "keep",
    "kl",
    "layer",
    "library",
    "mlp",
    "multiply",
    "norm_elu",
    "norm_elu_backward_",
    "not_a_kernel",
    "pick",
    "plain",
    "repeat",
    "routine",
    "sample",
    "show_tile",
    "softmax_backward",
    "sparse_layer",
    "sum_rows",
    "usable",
    "watched",
]

FEW_ROWS = 8  # with more, products that cut weights into blocks are faster


def usable(*tensors: Tensor) -> bool:
    """Whether these tensors can go to the kernels: float32, on the CPU, and a compiler is there.

    While a function is being compiled the plain versions are taken, which can be looked into.
    """
    if _plain or torch.compiler.is_compiling():
        return False
    for tensor in tensors:  # a loop: this is asked before every kernel
        if not tensor.is_cpu or tensor.dtype != torch.float32:
            return False
    return library() is not None


@contextmanager
def plain() -> Iterator[None]:
    """Take the plain PyTorch versions instead, within."""
    global _plain
    before, _plain = _plain, True
    try:
        yield
    finally:
        _plain = before


_plain = False


def is_plain() -> bool:
    """Whether the plain versions are to be taken."""
    return _plain


def few_rows(x: Tensor, weight: Tensor) -> bool:
    """Whether `layer`, `sparse_layer` and `mlp` are for this product: few rows, no gradient."""
    inputs = weight.shape[1]
    if _plain or torch.is_grad_enabled() or x.shape[-1] != inputs or x.numel() > FEW_ROWS * inputs:
        return False
    return weight.is_contiguous() and usable(x, weight)


def layer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Weight x + bias of rows x (..., inputs), (..., outputs)."""
    outputs, inputs = weight.shape
    out = x.new_empty(*x.shape[:-1], outputs)
    call("choreo_layer", x.contiguous(), x.numel() // inputs, inputs, weight, bias, outputs, out)
    return out


def sparse_layer(x: Tensor, table: Tensor, bias: Tensor) -> Tensor:
    """The same of rows that are mostly zeros, from the weight transposed, (inputs, outputs)."""
    inputs, outputs = table.shape
    rows, out = x.numel() // inputs, x.new_empty(*x.shape[:-1], outputs)
    call("choreo_sparse_layer", x.contiguous(), rows, inputs, table, bias, outputs, out)
    return out


def mlp(x: Tensor, parameters: Sequence[Tensor], norm: bool) -> Tensor:
    """Layers of [linear, LayerNorm if `norm`, elu] of rows x (..., inputs), (..., units).

    `parameters` are weight and bias of every linear map and LayerNorm in turn.
    """
    units, inputs = parameters[0].shape
    rows, layers = x.numel() // inputs, len(parameters) // (4 if norm else 2)
    kept = [parameter.contiguous() for parameter in parameters]
    pointers = (ctypes.c_void_p * len(kept))(*[parameter.data_ptr() for parameter in kept])
    between, out = x.new_empty(rows, units), x.new_empty(*x.shape[:-1], units)
    shape = (rows, inputs, pointers, layers, int(norm), units)
    call("choreo_mlp", x.contiguous(), *shape, between, out)
    return out


def elu_(x: Tensor) -> Tensor:
    """ELU in place; returns x."""
    call("choreo_elu", x, x.numel())
    return x


def elu_backward_(grad: Tensor, y: Tensor) -> Tensor:
    """Turn the gradient of y = elu(x) into that of x, in place; returns it."""
    call("choreo_elu_backward", y, grad, y.numel())
    return grad


def add_(x: Tensor, more: Tensor) -> Tensor:
    """Add `more` to x, of the same size, in place; returns x."""
    call("choreo_add", more, x, x.numel())
    return x


def norm_elu(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """elu(LayerNorm(x)) of rows (N, U); and the mean and 1 / deviation of every row, both (N,)."""
    x, out = x.contiguous(), torch.empty_like(x)
    rows, units = x.shape
    statistics = x.new_empty(rows), x.new_empty(rows)
    call("choreo_norm_elu", x, weight, bias, rows, units, *statistics, out)
    return out, statistics


def norm_elu_backward_(
    grad: Tensor, y: Tensor, x: Tensor, weight: Tensor, statistics: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn the gradient of y = elu(LayerNorm(x)) into that of x; also those of weight and bias."""
    sums = torch.zeros_like(weight), torch.zeros_like(weight)
    call("choreo_norm_elu_backward", y, x, weight, *statistics, *x.shape, grad, *sums)
    return grad, *sums


def kl(p_logit: Tensor, q_logit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """KL(p, q) of categorical variables (..., C), (...), and its gradients, both (..., C)."""
    p_logit, q_logit = p_logit.contiguous(), q_logit.contiguous()
    value, classes = p_logit.new_empty(p_logit.shape[:-1]), p_logit.shape[-1]
    gradients = torch.empty_like(p_logit), torch.empty_like(q_logit)
    call("choreo_kl", p_logit, q_logit, value.numel(), classes, value, *gradients)
    return value, *gradients


def add_rows(out: Tensor, index: Tensor, table: Tensor, activate: bool) -> Tensor:
    """Add to `out` (N, U) the rows of `table` (any, U) named by int32 `index` (N, V); then ELU."""
    rows, variables = index.shape
    call("choreo_add_rows", index, rows, variables, table, out.shape[1], out, int(activate))
    return out


def sum_rows(grad: Tensor, index: Tensor, size: int) -> Tensor:
    """Gradient of the table above, (size, U), from the gradient (N, U) of its sums."""
    rows, variables = index.shape
    sums = grad.new_zeros(size, grad.shape[1])
    call("choreo_sum_rows", index, rows, variables, grad, grad.shape[1], sums)
    return sums


def action(raw: Tensor, noise: Tensor, min_std: Tensor, out: Tensor) -> Tensor:
    """Clamped actions (N, A) of raw means and deviations (N, 2 A), as TruncatedNormal's."""
    call("choreo_action", raw, noise, *noise.shape, min_std, out)
    return out


def action_backward(grad: Tensor, raw: Tensor, noise: Tensor) -> Tensor:
    """Gradient of `action` with respect to raw, (N, 2 A)."""
    out = torch.empty_like(raw)
    call("choreo_action_backward", grad, raw, noise, *noise.shape, out)
    return out


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
    call("choreo_show_tile", tile, *shape, heaps, tops, other_heaps, other_tops, symmetric)


def sample(logit: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and one-hot samples of logits (..., C) at uniform numbers (...)."""
    logit, uniform = logit.contiguous(), uniform.contiguous()
    probs, one_hot = torch.empty_like(logit), torch.empty_like(logit)
    shape = (uniform.numel(), logit.shape[-1], 1)
    call("choreo_sample", logit, uniform, *shape, probs, one_hot, None)
    return probs, one_hot


def pick(logit: Tensor, uniform: Tensor, probs: Tensor, places: Tensor) -> None:
    """Fill in probabilities (N, V * C) and the places of ones (N, V) int32 in them.

    For logits (N, V * C) at uniform numbers (N, V).
    """
    variables, classes = uniform.shape[1], logit.shape[1] // uniform.shape[1]
    shape = (uniform.numel(), classes, variables)
    call("choreo_sample", logit, uniform, *shape, probs, None, places)


def softmax_backward(
    grad: Tensor, probs: Tensor, classes: int | None = None, out: Tensor | None = None
) -> Tensor:
    """Gradient of a softmax with output `probs`, over the last axis or groups of `classes`."""
    grad, out = grad.contiguous(), torch.empty_like(probs) if out is None else out
    classes = classes or probs.shape[-1]
    rows = probs.numel() // classes
    call("choreo_softmax_backward", grad, probs, rows, classes, out)
    return out


def gates(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    deter: Tensor,
    out: Tensor,
    statistics: Sequence[Tensor],
) -> Tensor:
    """Fill in and return the next h (N, D) from gates (N, 3 D) and h (N, D).

    `statistics` are filled with the mean and 1 / deviation of every row, both (N,).
    """
    call("choreo_gates", x, weight, bias, deter, *deter.shape, *statistics, out)
    return out


def gates_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    deter: Tensor,
    statistics: Sequence[Tensor],
    sums: tuple[Tensor, Tensor] | None = None,
    out: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Gradients of `gates` with respect to x and h, in `out` where it is given.

    Those of weight and bias, where wanted, are added to `sums`.
    """
    to_x, to_deter = out or (torch.empty_like(x), torch.empty_like(deter))
    inputs = (grad.contiguous(), x, weight, bias, deter, *statistics)
    outputs = (to_x, to_deter, *(sums or (None, None)))
    call("choreo_gates_backward", *inputs, *deter.shape, *outputs)
    return to_x, to_deter


def keep(
    flags: Tensor, deter: Tensor, places: Tensor, out: tuple[Tensor, Tensor], none: int
) -> None:
    """Fill `out` with h (N, D) and places (N, V), but zeros and `none` where a flag (N,) is 0."""
    rows, size = deter.shape
    call("choreo_keep", flags, deter, places, rows, size, places.shape[1], none, *out)


def add_kept(x: Tensor, flags: Tensor, kept: Tensor, out: Tensor) -> Tensor:
    """Fill in and return out = x + flags * kept of rows (N, K) and flags (N,)."""
    call("choreo_add_kept", x, flags, kept, *x.shape, out)
    return out
