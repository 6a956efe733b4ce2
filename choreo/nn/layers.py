"""The multi-layer perceptron and the straight-through sample of categorical variables."""

from itertools import pairwise
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from choreo import native
from choreo.nn import fused
from choreo.nn.features import Features, Inputs
from choreo.nn.gradient import apply
from choreo.nn.pieces import piece
from choreo.nn.precision import Linear, few_rows
from choreo.nn.sparse import SparseLinear

RESERVED = frozenset((*dir(nn.ModuleDict), *dir(nn.ParameterDict)))
"""Names that these containers have for themselves."""


class MLP(nn.Module):
    """`layers` times [linear, (LayerNorm), ELU], then a linear map to `outputs` when it is given.

    Maps (..., inputs) to (..., outputs or units); `sparse` is said of inputs that are mostly zeros.
    Source: authors' code (LayerNorm eps 1e-5).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int | None,
        layers: int,
        units: int,
        norm: bool = False,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        sizes = [inputs] + [units] * layers
        kinds = [SparseLinear if sparse else Linear] + [Linear] * layers
        self.linears = nn.ModuleList(kind(a, b) for kind, (a, b) in zip(kinds, pairwise(sizes)))
        self.norms = nn.ModuleList(nn.LayerNorm(units) for _ in range(layers) if norm)
        self.output = Linear(sizes[-1], outputs) if outputs is not None else None
        self.outputs = outputs if outputs is not None else sizes[-1]

    def hidden(self, x: Tensor) -> Tensor:
        """Return the last hidden activation, (..., units)."""
        for index, linear in enumerate(self.linears):
            weight = cast(Tensor, linear.weight)
            if few_rows(x, weight) and not isinstance(linear, SparseLinear):
                return native.mlp(x, self._parameters_from(index), bool(self.norms))
            x = linear(x)
            if self.norms:
                norm = self.norms[index]
                weights = cast(Tensor, norm.weight), cast(Tensor, norm.bias)
                x = fused.norm_elu(x, *weights) if native.usable(x) else F.elu_(norm(x))
            else:
                x = elu(x)
        return x

    def _parameters_from(self, first: int) -> list[Any]:
        """Weight and bias of all linear maps and norms from this hidden layer on."""
        parts = [self.linears, self.norms] if self.norms else [self.linears]
        layers = list(zip(*parts, strict=True))[first:]
        return [p for layer in layers for part in layer for p in (part.weight, part.bias)]

    def forward(self, x: Inputs) -> Tensor:
        if isinstance(x, Features):
            if not self.norms:
                layers = [*self.linears, *([] if self.output is None else [self.output])]
                parameters = [p for layer in layers for p in (layer.weight, layer.bias)]
                return fused.mlp(x, parameters, self.output is not None)
            x = x.dense()
        x = self.hidden(x)
        return x if self.output is None else self.output(x)


def elu(x: Tensor) -> Tensor:
    """ELU that overwrites x (any shape): its gradient needs its result alone."""
    return fused.elu(x) if native.usable(x) else F.elu_(x)


def module_name(key: str) -> str:
    """A name for the part of a module that belongs to an observation; any name of a user's will do.

    Modules take no dots, and no names that their containers have for themselves.
    """
    name = key.replace(".", "/")
    return f"{name}/" if name in RESERVED else name


def _cumulative(probs: Tensor) -> Tensor:
    """Sums of the probabilities (..., C) up to every class, (..., C).

    On CUDA a product with a triangle of ones, where a scan over few classes is far slower; what
    compiles the scan makes it a part of a kernel.
    """
    if not probs.is_cuda or torch.compiler.is_compiling():
        return probs.cumsum(-1)
    classes = probs.shape[-1]
    return probs @ probs.new_ones(classes, classes).triu()


class _StraightThroughSample(torch.autograd.Function):
    """One-hot samples of logits at uniform numbers, with the gradient of the probabilities."""

    @staticmethod
    def forward(ctx: Any, logit: Tensor, uniform: Tensor) -> Tensor:
        if native.usable(logit, uniform):
            probs, sample = native.sample(logit, uniform)
        else:
            probs = torch.softmax(logit, -1)
            cumulative = _cumulative(probs)
            below = cumulative[..., :-1] <= uniform.unsqueeze(-1) * cumulative[..., -1:]
            index = below.sum(-1, keepdim=True)
            chosen = torch.zeros_like(probs).scatter_(-1, index, 1.0)
            # 0 times probs hands NaN on, so that it is found. Into a new tensor: where a function
            # of autograd returns one that it wrote into, PyTorch 2.11 compiles a gradient of 0.
            sample = chosen.add(probs, alpha=0)
        ctx.save_for_backward(probs)
        return sample

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (probs,) = ctx.saved_tensors
        if native.usable(probs):
            return native.softmax_backward(grads[0], probs), None
        return torch.ops.aten._softmax_backward_data(grads[0], probs, -1, probs.dtype), None


@piece
def one_hot_straight_through(logit: Tensor, uniform: Tensor) -> Tensor:
    """Sample one-hot vectors over the last axis of `logit` with the gradient of the probabilities.

    Inverts the cumulative distribution at one uniform number per variable, (...). Source: paper
    section 2 (DreamerV2's straight-through estimator).
    """
    return apply(_StraightThroughSample, logit, uniform)


def uniform_for(logit: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One uniform number for every variable of `logit` (..., C), (...)."""
    shape, device = logit.shape[:-1], logit.device
    return torch.rand(shape, generator=generator, device=device, dtype=logit.dtype)
