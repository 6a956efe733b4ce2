"""Lambda-returns and the weights of imagined steps."""

import torch
from torch import Tensor


def lambda_return(
    reward: Tensor, value: Tensor, discount: Tensor, bootstrap: Tensor, lambda_: float
) -> Tensor:
    """Targets of H steps, (H, N); all inputs (H, N) but `bootstrap` (N,), the value after the last.

    target_t = reward_t + discount_t * ((1 - lambda) * value_{t+1} + lambda * target_{t+1}), where
    `reward_t` is received on arrival in state t. Source: paper appendix (Dreamer's returns).
    """
    next_value = torch.cat([value[1:], bootstrap[None]])
    inputs = reward + discount * next_value * (1 - lambda_)
    target, targets = bootstrap, []
    steps = zip(inputs.unbind(), (discount * lambda_).unbind(), strict=True)
    for now, later in reversed(list(steps)):
        target = torch.addcmul(now, later, target)
        targets.append(target)
    return torch.stack(targets[::-1])


def discount_weights(discount: Tensor) -> Tensor:
    """Product of the discounts before each step, (H + 1, N); the first weight is 1."""
    return torch.cat([torch.ones_like(discount[:1]), discount[:-1]]).cumprod(0)
