"""The codebook: nearest codes, their moving averages and the resampling of unused ones."""

import torch
from torch import Tensor, nn

from choreo.imagination.actor_critic import one_hot

EPSILON = 1e-5  # Laplace smoothing of the counts; authors' code.


class Codebook(nn.Module):
    """K codes of dimension d that follow moving averages of what is assigned to them.

    Source: paper section 3.1; a code that got no input enters the averages with a count of 1, as
    in the authors' code.
    """

    codes: Tensor
    count: Tensor
    total: Tensor
    usage: Tensor

    def __init__(self, num_codes: int, dim: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        codes = torch.rand(num_codes, dim)
        self.register_buffer("codes", codes)  # (K, d)
        self.register_buffer("count", torch.zeros(num_codes))  # moving average of assignments
        self.register_buffer("total", codes.clone())  # moving average of assigned inputs, (K, d)
        self.register_buffer("usage", torch.zeros(num_codes))  # assignments since the last check

    def nearest(self, z: Tensor) -> Tensor:
        """Index of the nearest code of every row of `z` (..., d), (...)."""
        return torch.cdist(z.flatten(0, -2), self.codes).argmin(-1).view(z.shape[:-1])

    def quantise(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Nearest codes of `z` (N, d) with the gradient of the identity, and their indices."""
        index = self.nearest(z)
        return z + (self.codes[index] - z).detach(), index

    @torch.no_grad()
    def update(self, z: Tensor, index: Tensor) -> None:
        """Move the codes towards the inputs `z` (N, d) assigned to them."""
        assignment = one_hot(index, len(self.codes))
        chosen = assignment.sum(0)
        self.usage += chosen
        self.count.lerp_(chosen.clamp(min=1), 1 - self.decay)
        self.total.lerp_(assignment.T @ z, 1 - self.decay)
        mass = self.count.sum()
        smoothed = (self.count + EPSILON) / (mass + len(self.codes) * EPSILON) * mass
        self.codes.copy_(self.total / smoothed.unsqueeze(-1))

    @torch.no_grad()
    def perplexity(self) -> Tensor:
        """Exponential of the entropy of the moving assignments: how many codes are used alike."""
        share = self.count / self.count.sum()
        return torch.special.entr(share).sum().exp()

    @torch.no_grad()
    def resample(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Replace every code unused since the last check by an input and clear the counters.

        Inputs `z` (N, d) are drawn with probability proportional to their distance to the nearest
        code, renewed after every replacement (paper section 3.1, code resampling). Returns the
        number of replaced codes.
        """
        unused = self.usage == 0
        distance = torch.cdist(z, self.codes).min(-1).values
        for k in range(len(self.codes)):
            weights = distance + 1e-12 * (distance.sum() == 0)
            # As `torch.multinomial` draws one, but without a look at the weights from the host.
            race = torch.empty_like(weights).exponential_(generator=generator)
            pick = z.index_select(0, (weights / race).argmax(0, keepdim=True))[0]
            self.codes[k] = torch.where(unused[k], pick, self.codes[k])
            self.total[k] = torch.where(unused[k], pick, self.total[k])
            distance = torch.cdist(z, self.codes).min(-1).values
        self.usage.zero_()
        return unused.sum()
