"""One optimisation step as the authors do it: clip, decay, Adam."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw


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
        self.lr, self.config = lr, config
        self.moments = {
            "exp_avg": [torch.zeros_like(p) for p in self.parameters],
            "exp_avg_sq": [torch.zeros_like(p) for p in self.parameters],
            "step": [torch.zeros((), device=p.device) for p in self.parameters],
        }

    def step(self, loss: Tensor) -> Tensor:
        """Minimise the scalar `loss` by one step and return the gradient norm before clipping."""
        return self.apply(torch.autograd.grad(loss, self.parameters))

    @torch.no_grad()
    def apply(self, gradients: Sequence[Tensor]) -> Tensor:
        """One step along `gradients`, one for each parameter; returns their norm before clipping.

        Clipping, decay and Adam are one kernel: AdamW multiplies by 1 - lr * weight_decay, and
        dividing the gradients by `grad_scale` clips them. It goes through memory without a look at
        strides, so gradients are brought into the order of the parameters.
        """
        gradients = [gradient.contiguous() for gradient in gradients]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        excess = ((norm + 1e-6) / self.config.clip).clamp(min=1)
        adamw(
            self.parameters,  # pyright: ignore[reportArgumentType]
            gradients,
            self.moments["exp_avg"],
            self.moments["exp_avg_sq"],
            [],
            self.moments["step"],
            fused=True,
            grad_scale=excess,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.lr,
            weight_decay=self.config.decay / self.lr,
            eps=self.config.epsilon,
            maximize=False,
        )
        torch.autograd.graph.increment_version(self.parameters)  # which the kernel leaves out
        return norm

    def state_dict(self) -> dict[str, Tensor]:
        """Moments and step counts by parameter number."""
        return {
            f"{i}.{key}": value
            for key, values in self.moments.items()
            for i, value in enumerate(values)
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        for name, value in self.state_dict().items():
            value.copy_(state[name])


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
