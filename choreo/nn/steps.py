"""Linear maps taken step after step, whose weights get their gradient once for all steps.

By autograd alone every step would have a small product and a sum for every weight.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from choreo.nn.precision import linear, product


def stepped(weight: Tensor, parts: Tensor) -> Callable[[Tensor], Tensor]:
    """What maps x (N, inputs) of one step after the other to weight x + its part, (N, outputs).

    `parts` (T, N, outputs) is what is added in each of the T steps, the bias for one. Only for so
    many steps, and all of them.
    """
    inputs: list[Tensor] = []
    own = weight
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        parts = _Gather.apply(parts, weight, inputs)  # pyright: ignore[reportAssignmentType]
        own = weight.detach()
    left = iter(parts.unbind())

    def step(x: Tensor) -> Tensor:
        if own is not weight:
            inputs.append(x.detach())
        return linear(x, own) + next(left)

    return step


class _Gather(torch.autograd.Function):
    """Hands on the parts; their gradients are those of the maps' outputs."""

    @staticmethod
    def forward(ctx: Any, parts: Tensor, weight: Tensor, inputs: list[Tensor]) -> Tensor:
        ctx.inputs = inputs
        return parts.view_as(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None]:
        to_weight = None
        if ctx.needs_input_grad[1]:
            to_weight = product(grads[0].flatten(0, 1).T, torch.cat(ctx.inputs))
        return grads[0], to_weight, None
