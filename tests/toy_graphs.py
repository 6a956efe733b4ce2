"""A stand-in for CUDA graphs on the CPU: operations are recorded and replayed as they were.

As with CUDA's, a replay repeats kernels on the memory they were recorded with and runs no Python:
what a function took from Python, such as the number of an update, stays what it was. Recording
itself computes nothing that remains.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from choreo.nn.distributions import TruncatedNormal
from choreo.nn.layers import one_hot_straight_through
from choreo.world_model.rssm import LayerNormGRU

Result = TypeVar("Result")
aten = torch.ops.aten
ASKING = (
    aten._local_scalar_dense,
    aten.is_nonzero,
    aten.equal,
    aten.nonzero,
    aten.masked_select,
    aten.multinomial,
    aten.repeat_interleave.Tensor,
)
"""Operations that wait for the device: the host asks for a value, or a size depends on one."""


class Operations(TorchDispatchMode):
    """Notes every operation, with the tensors it took and gave."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}  # what was changed in place, and how

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for argument, given in zip(func._schema.arguments, args, strict=False):
            self._keep(argument, given)
        for argument in func._schema.arguments:
            self._keep(argument, kwargs.get(argument.name))
        result = func(*args, **kwargs)
        self.found.append((func, args, kwargs, result))
        return result

    def _keep(self, argument: Any, given: Any) -> None:
        if argument.alias_info is None or not argument.alias_info.is_write:
            return
        for tensor in (leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor)):
            self.before.setdefault(id(tensor), (tensor, tensor.clone()))

    def asked(self) -> list[str]:
        """Operations that wait for the device."""
        return [str(func) for func, args, *_ in self.found if asks(func, args)]


class OperationRecorder:
    """Records on the CPU; `calls` tells what was asked of it, in order."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.calls: list[str] = []

    def warm_up(self, function: Callable[[], object]) -> None:
        self.calls.append("warm up")
        function()

    def record(self, function: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        self.calls.append("record")
        number, state = self.calls.count("record"), self.generator.get_state()
        with Operations() as operations:
            result = function()
        assert not operations.asked(), "a graph cannot ask the device for a value"
        with torch.no_grad():
            for tensor, before in reversed(operations.before.values()):
                tensor.copy_(before)
        self.generator.set_state(state)

        def replay() -> None:
            self.calls.append(f"replay {number}")
            with torch.no_grad():
                for operation in operations.found:
                    _repeat(*operation)

        return replay, result


def asks(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether an operation waits for the device."""
    if func.overloadpacket in (aten.index, aten.index_put, aten.index_put_):
        return any(isinstance(i, Tensor) and i.dtype == torch.bool for i in args[1])
    return func in ASKING or func.overloadpacket in ASKING


def _repeat(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """Run an operation again and put what it gives where its first result lies."""
    returns = func._schema.returns
    if any(r.alias_info is not None for r in returns) and not func._schema.is_mutable:
        return  # a view of what is there
    again = func(*args, **kwargs)
    if not func._schema.is_mutable:
        for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
            if isinstance(old, Tensor):
                old.copy_(new)


@cache
def _cell(device: torch.device) -> LayerNormGRU:
    return LayerNormGRU(4, 12).to(device)


def _gates(values: Tensor) -> Tensor:
    return _cell(values.device).update(values[:, :36], values[:, 36:])


def _sample(values: Tensor) -> Tensor:
    uniform = torch.linspace(0.01, 0.99, 12 * len(values), device=values.device)
    return one_hot_straight_through(values.view(-1, 12, 4), uniform.view(-1, 12))


def _action(values: Tensor) -> Tensor:
    mean, std, noise = values.chunk(3, -1)
    return TruncatedNormal.from_outputs(mean, std).transform(noise.detach())


Piece = Callable[[Tensor], Tensor]
PIECES: tuple[Piece, ...] = (_gates, _sample, _action)
"""What choreo.nn.pieces marks, each on 48 values a row."""


def with_gradient(piece: Piece, device: torch.device, rows: int = 18) -> tuple[Tensor, Tensor]:
    """What a piece gives for random values, and the gradient of a weighted sum of it."""
    random = torch.Generator().manual_seed(0)
    values = torch.randn(rows, 48, generator=random).to(device).requires_grad_()
    result = piece(values)
    weight = torch.randn(result.shape, generator=random).to(device)
    return result, torch.autograd.grad((result * weight).sum(), values)[0]
