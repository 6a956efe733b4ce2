"""Layers give the same with and without gradients, and what they keep follows their weights."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from choreo.nn import MLP
from choreo.nn.kept import Kept


def features(rows: int) -> Tensor:
    """Mostly zeros, as one-hot states with h behind them."""
    random = torch.Generator().manual_seed(rows)
    zeros = torch.zeros(rows, 30)
    zeros[:, 4] = 1.0
    return torch.cat([zeros, torch.randn(rows, 6, generator=random)], -1)


def check(module: nn.Module, rows: int) -> Tensor:
    """What it gives without gradients, which is what it gives with them."""
    x = features(rows)
    with torch.no_grad():
        found = module(x)
        assert_close(module(x.unflatten(0, (rows, 1))), found.unflatten(0, (rows, 1)))
    assert_close(found, module(x).detach(), atol=1e-6, rtol=1e-5)
    return found


@pytest.mark.parametrize("rows", [1, 3, 8, 20])
@pytest.mark.parametrize(("layers", "outputs"), [(0, 3), (1, None), (3, 2)])
@pytest.mark.parametrize("norm", [False, True])
def test_an_mlp_gives_the_same_without_gradients(
    rows: int, layers: int, outputs: int | None, norm: bool
) -> None:
    torch.manual_seed(0)
    mlp = MLP(36, outputs, layers, 24, norm)
    for parameter in mlp.parameters():
        nn.init.normal_(parameter, std=0.3)
    check(mlp, rows)


def test_what_is_kept_is_made_once_for_the_same_weights() -> None:
    made: list[Tensor] = []

    def double(weight: Tensor) -> Tensor:
        made.append(2 * weight)
        return made[-1]

    kept, weight = Kept(double), nn.Parameter(torch.ones(2))
    assert kept(weight) is kept(weight) and not kept(weight).requires_grad
    with torch.no_grad():
        weight.add_(1)
    assert kept(weight).tolist() == [4, 4] and len(made) == 2
