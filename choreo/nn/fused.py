"""The multi-layer perceptron as one operation with its own gradient, for the CPU.

Equal to the layers of choreo/nn/layers.py one by one; ELU runs in place, and one-hot inputs are
looked up (choreo/native). Shapes: N rows, U units.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from choreo import native
from choreo.nn.features import Features
from choreo.nn.gradient import apply
from choreo.nn.precision import add_product, product

Layer = tuple[Tensor, Tensor]
"""Weight (U, inputs) and bias (U,)."""


def mlp(x: Features, parameters: Sequence[Tensor], outputs: bool) -> Tensor:
    """Layers [weight, bias, weight, bias, ...] with ELU between, and behind unless `outputs`.

    Maps features (..., F) to (..., units of the last layer).
    """
    inputs = (flat(x.places).int().contiguous(), flat(x.probs), flat(x.rest))
    y: Tensor = _FusedMLP.apply(outputs, *inputs, *parameters)  # pyright: ignore
    return y.unflatten(0, x.rest.shape[:-1])


def flat(x: Tensor) -> Tensor:
    """Merge all leading axes: (..., F) to (N, F)."""
    return x.reshape(-1, x.shape[-1])


@dataclass(frozen=True)
class FirstLayer:
    """elu(weight [s, rest] + bias) of one-hot variables s: a table of `ones` rows and the rest.

    The bias is (U,), or (N, U) for N rows.
    """

    table: Tensor
    weight: Tensor
    bias: Tensor

    @staticmethod
    def of(layer: Layer, ones: int) -> "FirstLayer":
        """Lay out the weight (U, ones + R) as table (ones, U) and the rest (R, U)."""
        weight, bias = layer
        return FirstLayer(weight[:, :ones].T.contiguous(), weight[:, ones:].T, bias)

    def __call__(self, places: Tensor, rest: Tensor, out: Tensor | None = None) -> Tensor:
        """Map places (N, V) and rest (N, R) to activations (N, U)."""
        x = add_product(self.bias, rest, self.weight, out)
        return native.add_rows(x, places, self.table, activate=True)


def elu_layer(x: Tensor, layer: Layer, out: Tensor | None = None) -> Tensor:
    """elu(weight x + bias), (N, U)."""
    return native.elu_(add_product(layer[1], x, layer[0].T, out))


def hidden_gradients(
    grad: Tensor, activations: Sequence[Tensor], layers: Sequence[Layer], train: bool
) -> tuple[Tensor, list[Tensor]]:
    """From the gradient of the last activation: that before the first ELU, and of the layers.

    `layers` lie between the `activations`, one more; `grad` is overwritten. The layers' gradients
    come as [weight, bias, weight, bias, ...], and only where they `train`.
    """
    gradients: list[Tensor] = []
    for i in reversed(range(len(layers))):
        grad = native.elu_backward_(grad, activations[i + 1])
        if train:
            gradients = layer_gradients(grad, activations[i]) + gradients
        grad = product(grad, layers[i][0])
    return native.elu_backward_(grad, activations[0]), gradients


def layer_gradients(grad: Tensor, x: Tensor) -> list[Tensor]:
    """Gradients of weight and bias of a layer on x (N, inputs) from that of its output."""
    return [product(grad.T, x), grad.sum(0)]


def first_gradients(grad: Tensor, places: Tensor, rest: Tensor, ones: int) -> list[Tensor]:
    """The same for a first layer, from the gradient before its ELU."""
    weight, bias = layer_gradients(grad, rest)
    return [torch.cat([native.sum_rows(grad, places, ones).T, weight], 1), bias]


def pairs(parameters: Sequence[Tensor]) -> list[Layer]:
    """[weight, bias, weight, bias, ...] by layer."""
    return list(zip(parameters[::2], parameters[1::2], strict=True))


class _FusedMLP(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, outputs: bool, places: Tensor, probs: Tensor, rest: Tensor, *parameters: Tensor
    ) -> Tensor:
        ones, layers = probs.shape[1], pairs(parameters)
        hidden = layers[1:-1] if outputs else layers[1:]
        activations = [FirstLayer.of(layers[0], ones)(places, rest)]
        for layer in hidden:
            activations.append(elu_layer(activations[-1], layer))
        ctx.save_for_backward(places, rest, *activations, *parameters)
        ctx.outputs, ctx.depth, ctx.ones = outputs, len(activations), ones
        weight, bias = layers[-1]
        return add_product(bias, activations[-1], weight.T) if outputs else activations[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        places, rest, *others = ctx.saved_tensors
        activations, layers = others[: ctx.depth], pairs(others[ctx.depth :])
        (first, _), hidden = layers[0], layers[1:-1] if ctx.outputs else layers[1:]
        train = any(ctx.needs_input_grad[4:])
        gradients: list[Tensor] = []
        grad = grads[0]
        if ctx.outputs:
            gradients = layer_gradients(grad, activations[-1]) if train else []
            grad = product(grad, layers[-1][0])
        else:
            grad = grad.clone(memory_format=torch.contiguous_format)
        grad, between = hidden_gradients(grad, activations, hidden, train)
        if train:
            gradients = [*first_gradients(grad, places, rest, ctx.ones), *between, *gradients]
        to_probs = product(grad, first[:, : ctx.ones]) if ctx.needs_input_grad[2] else None
        to_rest = product(grad, first[:, ctx.ones :]) if ctx.needs_input_grad[3] else None
        return None, None, to_probs, to_rest, *(gradients or [None] * 2 * len(layers))


def elu(x: Tensor) -> Tensor:
    """ELU that overwrites x."""
    return apply(_Elu, x)


def norm_elu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """elu(LayerNorm(x)) of x (..., U)."""
    return apply(_NormElu, x, weight, bias)


class _Elu(torch.autograd.Function):
    """In memory order, so that images may have their channels last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        dense = x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)
        y = native.elu_(x if dense else x.contiguous())
        ctx.save_for_backward(y)
        if dense:
            ctx.mark_dirty(x)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return native.elu_backward_(torch.empty_like(y).copy_(grads[0]), y)


class _NormElu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        rows = flat(x).contiguous()
        y, statistics = native.norm_elu(rows, weight, bias)
        ctx.save_for_backward(rows, weight, y, *statistics)
        return y.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight, y, *statistics = ctx.saved_tensors
        grad = flat(grads[0]).clone(memory_format=torch.contiguous_format)
        grad, to_weight, to_bias = native.norm_elu_backward_(grad, y, x, weight, statistics)
        return grad.view_as(grads[0]), to_weight, to_bias
