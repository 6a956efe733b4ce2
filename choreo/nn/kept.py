"""What is made of weights once, and again when they have changed."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from torch import Tensor

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Keeps `make(*weights)`, without gradient, for as long as the weights stay what they are.

    Weights count as changed when they lie elsewhere or their version has: whoever writes past it
    (`.data`, numpy, PyTorch's fused optimisers) calls `torch.autograd.graph.increment_version`.
    Copies begin empty.
    """

    def __init__(self, make: Callable[..., Value]) -> None:
        self._make = make
        self._seen: list[tuple[int, int]] = []
        self._weights: list[Tensor] = []  # held, so that nothing else comes to lie there
        self._value: list[Value] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return Kept, (self._make,)

    def __call__(self, *weights: Tensor) -> Value:
        if any(weight.is_inference() for weight in weights):  # these have no version
            return self._make(*weights)
        seen = [(weight.data_ptr(), weight._version) for weight in weights]
        if seen != self._seen:
            self._seen, self._weights = seen, [weight.detach() for weight in weights]
            self._value = [self._make(*self._weights)]
        return self._value[0]
