"""Maps taken in steps: values and gradients are those of the plain maps."""

import pytest
import torch
from torch import Tensor

from choreo.nn.precision import linear, products_in
from choreo.nn.steps import stepped

STEPS, ROWS = 4, 3


def recurrence(plain: bool) -> list[Tensor]:
    """A short recurrence over two maps, one with a bias: its end and all gradients."""
    random = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, requires_grad=True)

    weight, parts = leaf(5, 2), leaf(STEPS, ROWS, 5)
    back, bias, x = leaf(2, 5), leaf(2), leaf(ROWS, 2)
    if not plain:
        one = stepped(weight, parts)
        other = stepped(back, bias.expand(STEPS, ROWS, -1))
    y = x
    for t in range(STEPS):
        if plain:
            y = linear(torch.tanh(linear(y, weight) + parts[t]), back, bias)
        else:
            y = other(torch.tanh(one(y)))
    leaves = (weight, parts, back, bias, x)
    return [y, *torch.autograd.grad(y.sin().sum(), leaves)]


def test_values_and_gradients_are_those_of_the_maps_one_by_one() -> None:
    for found, expected in zip(recurrence(plain=False), recurrence(plain=True), strict=True):
        torch.testing.assert_close(found, expected)


def test_the_gradient_of_a_weight_is_one_product() -> None:
    weight, x = torch.randn(5, 2, requires_grad=True), torch.randn(ROWS, 2)
    step = stepped(weight, torch.zeros(STEPS, ROWS, 5))
    total = torch.stack([step(x * t) for t in range(STEPS)]).sum()
    with torch.profiler.profile() as found:
        total.backward()
    assert sum(event.name == "aten::mm" for event in found.events() or ()) == 1


def test_large_products_are_rounded_as_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("choreo.nn.precision.LARGE", 1)
    weight, x = torch.randn(64, 64, requires_grad=True), torch.randn(ROWS, 64)

    def gradient() -> Tensor:
        step = stepped(weight, torch.zeros(1, ROWS, 64))
        return torch.autograd.grad(step(x).square().sum(), weight)[0]

    exact = gradient()
    with products_in("bf16"):
        rounded = gradient()
    assert not rounded.equal(exact)
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.5)


def test_without_gradients_and_with_a_fixed_weight_the_maps_are_plain() -> None:
    weight, parts = torch.randn(5, 2), torch.randn(STEPS, ROWS, 5, requires_grad=True)
    x = torch.randn(ROWS, 2)
    with torch.no_grad():
        assert stepped(weight, parts)(x).equal(linear(x, weight) + parts[0])
    step = stepped(weight, parts)
    total = torch.stack([step(x) for _ in range(STEPS)]).sum()
    assert torch.autograd.grad(total, parts)[0].equal(torch.ones_like(parts))
