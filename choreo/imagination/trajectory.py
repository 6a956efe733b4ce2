"""What imagination is given and what it gives.

Shapes: H steps, H + 1 states of N trajectories; index t holds state t and the action that led on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from choreo.nn.features import Inputs
from choreo.world_model.rssm import RSSM


@dataclass(frozen=True)
class Trajectory:
    """An imagined batch.

    feat (H + 1, N, F) and deter (H + 1, N, D), a part of it; action (H, N, A), `action[t]` taken in
    state t; choice: what conditioned the policy in state t, (H, N, codes), or None; discount and
    weight (H + 1, N).
    """

    feat: Inputs
    deter: Tensor
    action: Tensor
    choice: Tensor | None
    discount: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Policy:
    """What acts in imagination: an actor on detached features and, where there is one, a code.

    `actor` maps (N, F + codes) to a distribution that samples from standard normal noise. The code
    is either one for all steps (N, codes), or what `choose` gives for a step and its features
    (N, F), without gradient.
    """

    actor: nn.Module
    choose: Callable[[int, Inputs], Tensor] | None = None
    code: Tensor | None = None

    def __post_init__(self) -> None:
        if self.choose is not None and self.code is not None:
            raise ValueError("a policy has one code for all steps or chooses them, not both")

    def code_at(self, step: int, feat: Inputs) -> Tensor | None:
        """What conditions the actor in this step, (N, codes), or None."""
        return self.code if self.choose is None else self.choose(step, feat)


@dataclass(frozen=True)
class Noise:
    """Everything random in H steps of imagination, drawn at once.

    action (H, N, A) standard normal; state (H, N, V) uniform, one number for each variable.
    """

    action: Tensor
    state: Tensor

    @staticmethod
    def draw(rssm: RSSM, num: int, horizon: int, generator: torch.Generator | None) -> "Noise":
        """Noise for `num` trajectories, where the model is."""
        weight, shape = rssm.input.weight, (horizon, num)
        kind: dict[str, Any] = {"device": weight.device, "dtype": weight.dtype}
        normal = torch.randn(*shape, rssm.actions, generator=generator, **kind)
        uniform = torch.rand(*shape, rssm.variables, generator=generator, **kind)
        return Noise(normal, uniform)
