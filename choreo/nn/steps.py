"""Linear maps taken step after step, whose weights get their gradient once for all steps.

By autograd alone every step would have a small product and a sum for every weight.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from choreo.nn.precision import linear, product, rounds

Map = Callable[[Tensor], Tensor]


def stepped(weight: Tensor, parts: Tensor) -> Map:
    """What maps x (N, inputs) of one step after the other to weight x + its part, (N, outputs).

    `parts` (T, N, outputs) is what is added in each of the T steps, the bias for one. Only for so
    many steps, and all of them.
    """
    if not torch.is_grad_enabled():
        each = iter(parts.unbind())
        return lambda x: linear(x, weight) + next(each)
    inputs: list[Tensor] = []
    gathering: Tensor = _Gather.apply(parts, weight, inputs)  # pyright: ignore[reportAssignmentType]
    left, own = iter(gathering.unbind()), weight.detach()

    def step(x: Tensor) -> Tensor:
        nonlocal own
        inputs.append(x.detach())
        if rounds(x, own):
            x, own = x.bfloat16(), own.bfloat16()  # the weight once for all steps
        return F.linear(x, own) + next(left)

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
