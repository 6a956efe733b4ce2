"""Lambda-returns and the weights of imagined steps."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def lambda_return(
    reward: Tensor, value: Tensor, discount: Tensor, bootstrap: Tensor, lambda_: float
) -> Tensor:
    """Targets of H steps, (H, N); all inputs (H, N) but `bootstrap` (N,), the value after the last.

    target_t = reward_t + discount_t * ((1 - lambda) * value_{t+1} + lambda * target_{t+1}), where
    `reward_t` is received on arrival in state t. Source: paper appendix (Dreamer's returns).
    """
    next_value = torch.cat([value[1:], bootstrap[None]])
    inputs = reward + discount * next_value * (1 - lambda_)
    return _FromTheLast.apply(inputs, discount * lambda_, bootstrap)  # pyright: ignore[reportReturnType]


class _FromTheLast(torch.autograd.Function):
    """x_t = a_t + w_t x_{t+1} of a and w (H, N) from x_H (N,): x (H, N), as one node of a graph."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, w: Tensor, last: Tensor) -> Tensor:
        x = [last]
        for a_t, w_t in zip(a.unbind()[::-1], w.unbind()[::-1], strict=True):
            x.append(torch.addcmul(a_t, w_t, x[-1]))
        ctx.save_for_backward(w, *x[:-1])
        return torch.stack(x[:0:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        w, *following = ctx.saved_tensors
        to_a = [grads[0][0]]
        for grad, w_t in zip(grads[0].unbind()[1:], w.unbind(), strict=False):
            to_a.append(torch.addcmul(grad, w_t, to_a[-1]))
        to_a, to_last = torch.stack(to_a), w[-1] * to_a[-1]
        to_w = to_a * torch.stack(following[::-1]) if ctx.needs_input_grad[1] else None
        return to_a, to_w, to_last


def discount_weights(discount: Tensor) -> Tensor:
    """Product of the discounts before each step, (H + 1, N); the first weight is 1."""
    return torch.cat([torch.ones_like(discount[:1]), discount[:-1]]).cumprod(0)
