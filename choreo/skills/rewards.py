"""The two parts of the skill reward, r_skill = r_ent + r_code (paper section 3.2)."""

import torch
from torch import Tensor

ROWS = 1024  # rows of the distance matrix held at once
GROUP = 16  # columns that are first represented by their minimum


def code_reward(deter: Tensor, decoded: Tensor) -> Tensor:
    """r_code = - || D(code_z) - h ||, differentiable in h.

    `deter` is (..., N, D), `decoded` broadcasts to it; returns (..., N). Paper equation 6.
    """
    return -torch.linalg.vector_norm(decoded - deter, dim=-1)


@torch.no_grad()
def entropy_reward(particles: Tensor, neighbours: int, clip: float) -> Tensor:
    """r_ent of every particle (N, D), (N,): mean distance to its nearest neighbours.

    The particle itself is one of the `neighbours`; each distance counts max(distance - clip, 0),
    without a logarithm. The distance matrix is never held whole. Paper equation 5, authors' code.
    """
    square = particles.square().sum(-1, keepdim=True)
    ones = torch.ones_like(square)
    left = torch.cat([-2 * particles, square, ones], -1)
    right = torch.cat([particles, ones, square], -1).T  # left @ right = |x|^2 - 2 x y + |y|^2
    k = min(neighbours, len(particles))
    rewards = []
    for rows in left.split(ROWS):
        nearest = _smallest(rows @ right, k)
        rewards.append((nearest.clamp(min=0).sqrt() - clip).clamp(min=0).mean(-1))
    return torch.cat(rewards)


def _smallest(values: Tensor, k: int) -> Tensor:
    """The k smallest entries of every row of (R, N), (R, k), in any order.

    They lie in the k groups of columns with the smallest minima; finding those first leaves little
    to sort.
    """
    groups = values.shape[-1] // GROUP
    if groups <= 4 * k:
        return values.topk(k, largest=False, sorted=False).values
    grouped = values[:, : groups * GROUP].unflatten(-1, (GROUP, groups))  # a group is a stride
    chosen = grouped.amin(1).topk(k, largest=False, sorted=False).indices  # (R, k)
    members = grouped.gather(2, chosen.unsqueeze(1).expand(-1, GROUP, -1)).flatten(1)
    candidates = torch.cat([members, values[:, groups * GROUP :]], -1)
    return candidates.topk(k, largest=False, sorted=False).values
