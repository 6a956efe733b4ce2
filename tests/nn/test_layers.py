"""Layers give the same with and without gradients, and what they keep follows their weights."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from choreo.nn import MLP, Optimizer, OptimizerConfig
from choreo.nn.kept import Kept
from choreo.nn.precision import Linear
from choreo.nn.sparse import SparseLinear


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
@pytest.mark.parametrize(("norm", "sparse"), [(False, False), (True, False), (False, True)])
def test_an_mlp_gives_the_same_without_gradients(
    rows: int, layers: int, outputs: int | None, norm: bool, sparse: bool
) -> None:
    torch.manual_seed(0)
    mlp = MLP(36, outputs, layers, 24, norm, sparse)
    for parameter in mlp.parameters():
        nn.init.normal_(parameter, std=0.3)
    check(mlp, rows)


@pytest.mark.parametrize("width", [9, 30, 72, 108])
def test_inputs_of_another_width_are_refused_with_gradients_or_without(width: int) -> None:
    """By PyTorch; the kernels for few rows would read and write beside them."""
    for layer in (Linear(36, 4), SparseLinear(36, 4), MLP(36, 2, 2, 8), MLP(36, 2, 1, 8, True)):
        for gradients in (True, False):
            with torch.set_grad_enabled(gradients), pytest.raises(RuntimeError, match="shape"):
                layer(torch.zeros(2, width))


def test_weights_may_lie_in_any_order() -> None:
    mlp = MLP(36, 3, 2, 36)
    for linear in mlp.linears:
        linear.weight.data = torch.randn(36, 36).T
    check(mlp, 2)


def test_layers_made_in_inference_mode() -> None:
    """Their weights do not count what is written into them."""
    with torch.inference_mode():
        layer = SparseLinear(36, 5)
        found = layer(features(2))
        layer.weight.mul_(2)
        layer.bias.mul_(2)
        assert_close(layer(features(2)), 2 * found)


def test_a_sparse_layer_begins_as_any_other() -> None:
    torch.manual_seed(0)
    dense = MLP(36, 2, 2, 8)
    torch.manual_seed(0)
    for one, other in zip(
        MLP(36, 2, 2, 8, sparse=True).parameters(), dense.parameters(), strict=True
    ):
        assert torch.equal(one, other)


def test_a_sparse_layer_follows_its_weight() -> None:
    """After an optimiser's step, after loading, in a copy and in another place."""
    layer = SparseLinear(36, 5)
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    first = check(layer, 2)
    optimizer = Optimizer(layer.parameters(), 0.1, OptimizerConfig())
    optimizer.step(layer(features(2)).square().sum())
    assert not torch.allclose(check(layer, 2), first, atol=1e-2)
    check(copy.deepcopy(layer), 2)
    layer.load_state_dict(before)
    assert_close(check(layer, 2), first)
    check(layer.double().float(), 2)
    layer.weight.data = -layer.weight.data
    check(layer, 2)


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


def test_copies_of_what_is_kept_begin_empty() -> None:
    kept, weight = Kept(torch.clone), torch.ones(2)
    first = kept(weight)
    for other in (copy.copy(kept), copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert other(weight) is not first and torch.equal(other(weight), first)
