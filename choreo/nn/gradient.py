"""Operations with a gradient of their own, called where none is wanted."""

from typing import Any

import torch
from torch import Tensor


class _Forgetful:
    """Stands for the context of an autograd function, whose way back nobody will take."""

    def save_for_backward(self, *tensors: Tensor) -> None:
        pass

    def mark_dirty(self, *tensors: Tensor) -> None:
        pass


def apply(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    """`function.apply(*arguments)`; without gradients only its forward pass, which costs less."""
    if torch.is_grad_enabled():
        return function.apply(*arguments)  # pyright: ignore[reportReturnType]
    return function.forward(_Forgetful(), *arguments)
