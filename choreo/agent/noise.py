"""Random numbers that acting needs, from a stream of each row's own."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from choreo.agent import Agent


@dataclass(frozen=True)
class Noise:
    """What one step of acting of N rows may need, whoever acts."""

    state: Tensor
    """Uniform numbers (N, V) at which the posterior is sampled."""
    choice: Tensor
    """Uniform numbers (N,) that pick a code."""
    uniform: Tensor
    """Uniform numbers (N, A) of random actions."""
    normal: Tensor
    """Normal numbers (N, A) of sampled actions."""

    def by_name(self) -> dict[str, Tensor]:
        """Its tensors, under names that flags of a step do not have."""
        return {f"noise_{field.name}": getattr(self, field.name) for field in fields(self)}

    @staticmethod
    def of(flags: Mapping[str, Tensor]) -> "Noise | None":
        """The noise among the flags of a step, where there is any."""
        if "noise_state" not in flags:
            return None
        return Noise(**{field.name: flags[f"noise_{field.name}"] for field in fields(Noise)})


class RowStreams:
    """One random stream per row, so that what a row does depends on no other row.

    As many numbers are drawn in every step, whatever the policy needs of them.
    """

    def __init__(
        self, num: int, variables: int, actions: int, device: torch.device | str = "cpu"
    ) -> None:
        self._device, self._variables, self._actions = device, variables, actions
        self._streams = [np.random.default_rng(row) for row in range(num)]

    @staticmethod
    def of(agent: "Agent", num: int) -> "RowStreams":
        """Streams of `num` rows in which this agent acts."""
        rssm = agent.world_model.rssm
        return RowStreams(num, rssm.variables, agent.spec.action_size, agent.device)

    def begin(self, row: int, seed: int) -> None:
        """Start a row's stream anew."""
        self._streams[row] = np.random.default_rng(seed)

    def draw(self) -> Noise:
        """The numbers of the next step."""
        size = self._variables + 1 + self._actions
        uniform = self._stack([s.random(size, np.float32) for s in self._streams])
        normal = [s.standard_normal(self._actions, np.float32) for s in self._streams]
        state, choice, actions = uniform.split((self._variables, 1, self._actions), -1)
        return Noise(state, choice.squeeze(-1), actions, self._stack(normal))

    def _stack(self, rows: list[np.ndarray]) -> Tensor:
        return torch.as_tensor(np.stack(rows), device=self._device)
