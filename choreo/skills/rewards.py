"""The two parts of the skill reward, r_skill = r_ent + r_code (paper section 3.2)."""

import torch
from torch import Tensor

from choreo import native
from choreo.skills import halves

TILE = 1024  # rows and columns of a tile of the distance matrix that stays in the cache
ROWS = 1024  # rows of the distance matrix held at once
BYTES = 2**30  # of the rows held at once on CUDA, which is faster at choosing from many rows
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
    k = min(neighbours, len(particles))
    if particles.is_cuda and not native.is_plain():
        squares = _nearest_by_halves(particles, k)
    else:
        square = particles.square().sum(-1, keepdim=True)
        ones = torch.ones_like(square)
        left = torch.cat([-2 * particles, square, ones], -1)
        right = torch.cat([particles, ones, square], -1)  # left @ right.T = |x|^2 - 2 x y + |y|^2
        nearest = _nearest_by_tiles if native.usable(particles) else _nearest_by_rows
        squares = nearest(left, right, k)
    return (squares.clamp(min=0).sqrt() - clip).clamp(min=0).mean(-1)


def _nearest_by_rows(left: Tensor, right: Tensor, k: int) -> Tensor:
    """The k smallest entries of every row of left @ right.T, (N, k), in any order."""
    return torch.cat([_smallest(rows @ right.T, k) for rows in left.split(ROWS)])


def _nearest_by_halves(particles: Tensor, k: int) -> Tensor:
    """The k smallest squares of the distances of every particle, (N, k), in any order."""
    left, right, square, scale = halves.factors(particles)
    at_once = max(1, BYTES // (4 * len(particles)))
    rows = [_smallest(halves.multiply(part, right.T), k) for part in left.split(at_once)]
    return torch.cat(rows) / scale / scale + square


def _nearest_by_tiles(left: Tensor, right: Tensor, k: int) -> Tensor:
    """The same for a symmetric product: a tile serves its rows and its columns.

    Every particle has a heap of its k smallest squares; nearly all entries of a tile are above the
    largest of these and are passed over. Particles are shuffled, because in the order of time they
    may come ever closer, and then every entry would be smaller than those before.
    """
    order = torch.randperm(len(left), generator=torch.Generator().manual_seed(0))
    left, right = left[order], right[order]
    heaps = left.new_full((len(left), k), torch.inf)
    seekers = list(zip(heaps.split(TILE), heaps[:, 0].clone().split(TILE), strict=True))
    lefts, rights = left.split(TILE), right.split(TILE)
    buffer = left.new_empty(TILE * TILE)
    for i, rows in enumerate(lefts):
        for j in range(i, len(rights)):
            tile = buffer[: len(rows) * len(rights[j])].view(len(rows), -1)
            torch.mm(rows, rights[j].T, out=tile)
            native.show_tile(tile, seekers[i], None if i == j else seekers[j])
    return torch.empty_like(heaps).index_copy_(0, order, heaps)


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
