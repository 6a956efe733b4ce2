"""CUDA graphs: a fixed sequence of kernels, recorded once and then started by one call.

A graph reads and writes the same memory whenever it is replayed. So what differs from call to call
is copied into tensors that stay, what it computes is copied out, and all else that it changes
(weights, moments, random streams) changes in place.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from choreo.errors import UsageError

WARM_UPS = 3  # libraries choose and load kernels in the first calls; as PyTorch's notes do

Result = TypeVar("Result")
Replay = Callable[[], None]


class Recorder(Protocol):
    """Records functions of tensors, to be replayed in the order in which they were recorded."""

    def warm_up(self, function: Callable[[], object]) -> None:
        """Run the function as it is, so that nothing is done for the first time later."""
        ...

    def record(self, function: Callable[[], Result]) -> tuple[Replay, Result]:
        """Record the function; a replay writes into the tensors that are returned here."""
        ...


class CudaRecorder:
    """The CUDA graphs of one owner: a memory pool and a stream that all of them share.

    What one graph no longer needs, those recorded later use. So results are good until another
    graph is replayed; only what is still referred to while the later ones are recorded keeps its
    place.
    """

    def __init__(self, device: torch.device, generator: torch.Generator) -> None:
        self.device, self.generator = device, generator
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, function: Callable[[], object]) -> None:
        self._stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS):
                function()
        torch.cuda.current_stream(self.device).wait_stream(self._stream)

    def record(self, function: Callable[[], Result]) -> tuple[Replay, Result]:
        """See `Recorder`. Raises UsageError where the device refuses to record."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                result = function()
        except RuntimeError as error:
            raise UsageError(
                "CUDA could not record this work as a graph "
                f"({str(error).strip().splitlines()[0]}); --mode eager runs without graphs, and "
                "in Python an agent acts without them after `agent.captures = False`"
            ) from error
        return graph.replay, result


@contextmanager
def untouched(tensors: Iterable[Tensor], generator: torch.Generator) -> Iterator[None]:
    """Put tensors and random stream back to what they are now, whatever happens inside."""
    kept = list(tensors)
    saved, state = [tensor.detach().clone() for tensor in kept], generator.get_state()
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, before in zip(kept, saved, strict=True):
                tensor.copy_(before)
        generator.set_state(state)


def fill(static: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Copy what is given into the tensors that a graph reads, by name."""
    for name, tensor in static.items():
        tensor.copy_(given[name], non_blocking=True)
