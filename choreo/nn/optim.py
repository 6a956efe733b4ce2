"""One optimisation step as the authors do it: clip, decay, Adam."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class OptimizerConfig:
    """Settings of every optimiser."""

    model_lr: float = 3e-4
    """Learning rate of the world model and the exploration bonus. [authors]"""
    behavior_lr: float = 8e-5
    """Learning rate of actors, critics and the skill autoencoder. [authors]"""
    epsilon: float = 1e-5
    """Adam's epsilon. [authors]"""
    clip: float = 100.0
    """Global gradient norm above which gradients are scaled down. [authors]"""
    decay: float = 1e-6
    """Every parameter is multiplied by 1 - decay before each step. [authors]"""


class Optimizer:
    """Adam after clipping the global gradient norm and decaying every parameter."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, config: OptimizerConfig
    ) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.clip, self.decay = config.clip, config.decay
        self.adam = torch.optim.Adam(self.parameters, lr=lr, eps=config.epsilon, fused=True)

    def step(self, loss: Tensor) -> Tensor:
        """Minimise the scalar `loss` by one step and return the gradient norm before clipping."""
        gradients = torch.autograd.grad(loss, self.parameters)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip)
        with torch.no_grad():
            for parameter in self.parameters:
                parameter.mul_(1 - self.decay)
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        return norm

    def state_dict(self) -> dict[str, Tensor]:
        """Moments and step counts by parameter number."""
        state = self.adam.state_dict()["state"]
        return {f"{i}.{key}": value for i, entry in state.items() for key, value in entry.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        entries: dict[int, dict[str, Tensor]] = {}
        for name, value in state.items():
            index, key = name.split(".")
            entries.setdefault(int(index), {})[key] = value
        groups = self.adam.state_dict()["param_groups"]
        self.adam.load_state_dict({"state": entries, "param_groups": groups})


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Let gradients pass through these modules without reaching their parameters."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
