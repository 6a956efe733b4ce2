"""What one update is: the batch that its parts share, and what a part is."""

import abc
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from choreo.nn import Optimizer
from choreo.world_model import Batch, State
from choreo.world_model.model import ModelOutput

Metrics = dict[str, Tensor]
Timer = Callable[[str], AbstractContextManager[None]]


@dataclass
class Update:
    """What the parts of one update share: the batch and, once the model has run, its states."""

    number: int
    batch: Batch
    generator: torch.Generator
    timer: Timer
    output: ModelOutput | None = None
    start: State = field(init=False)
    """States that imagination starts from, (N, ...)."""
    is_terminal: Tensor = field(init=False)
    """Where these ended their episode, (N,)."""

    @property
    def posterior(self) -> ModelOutput:
        """The model's output on this batch; the world model runs first."""
        assert self.output is not None, "the world model is the first part of every learner"
        return self.output

    def choose_starts(self, limit: int) -> None:
        """Pick where imagination starts: all B * T states, or `limit` of them at random."""
        state, is_terminal = self.posterior.posterior.flatten(), self.batch.is_terminal.flatten()
        if 0 < limit < len(is_terminal):
            device = is_terminal.device
            order = torch.randperm(len(is_terminal), generator=self.generator, device=device)
            state, is_terminal = state[order[:limit]], is_terminal[order[:limit]]
        self.start, self.is_terminal = state, is_terminal


class Part(abc.ABC):
    """A step of the update with its own optimisers."""

    name: str
    optimizers: dict[str, Optimizer]
    normalizer: nn.Module | None = None
    updates: int | None = None
    """Updates that the part took part in, where it counts its own."""

    @abc.abstractmethod
    def update(self, update: Update) -> Metrics:
        """Take one optimisation step and return metrics, all scalars on the device.

        It may be recorded once and replayed: nothing in it may depend on the update's number, ask
        for the value of a tensor or change anything but tensors, in place.
        """

    def after(self, update: Update) -> None:  # noqa: B027 (most parts decide nothing)
        """What the host decides by the number of the update; follows `update` at once."""
