"""Large products in bf16, everything else in fp32."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from choreo.nn import precision
from choreo.nn.precision import Linear, add_product, convolve, linear, product, products_in


@pytest.fixture(autouse=True)
def all_products_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "LARGE", 1)


def rounded(x: Tensor) -> Tensor:
    return x.bfloat16().float()


def test_factors_are_rounded_and_results_are_fp32() -> None:
    torch.manual_seed(0)
    a, b, c = torch.randn(7, 40), torch.randn(40, 5), torch.randn(5)
    exact = rounded(a) @ rounded(b)
    with products_in("bf16"):
        found = [product(a, b), linear(a, b.T), add_product(torch.zeros(5), a, b)]
        sums = [linear(a, b.T, c), add_product(c, a, b)]
        kept = add_product(c.expand(7, 5), a, b, torch.empty(7, 5))
    for y in found:
        assert y.dtype == torch.float32
        torch.testing.assert_close(y, rounded(exact), atol=0.0, rtol=2**-8)
        assert not torch.equal(y, a @ b)
    for y in (*sums, kept):
        torch.testing.assert_close(y, rounded(exact) + c, atol=0.0, rtol=2**-6)
    assert torch.equal(product(a, b), a @ b), "outside, nothing is rounded"


@pytest.mark.parametrize("shape", [(9, 4, 3), (3, 9, 2), (9, 9, 2)])
def test_what_is_large_is_taken_in_parts(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "AT_ONCE", 4)
    rows, inner, columns = shape
    a, b = torch.ones(rows, inner), torch.arange(inner * columns).float().view(inner, columns)
    c = torch.arange(columns).float()  # small integers: bf16 knows them exactly
    with products_in("bf16"):
        assert torch.equal(product(a, b), a @ b)
        assert torch.equal(add_product(c, a, b), c + a @ b)
        out = torch.full((rows, columns), 7.0)
        assert add_product(out, a, b, out) is out and torch.equal(out, 7 + a @ b)


def test_gradients_are_fp32_and_near_the_exact_ones() -> None:
    torch.manual_seed(0)
    layer, x = Linear(64, 32), torch.randn(16, 64, requires_grad=True)
    inputs = [x, *layer.parameters()]
    exact = torch.autograd.grad(layer(x).sin().sum(), inputs)
    with products_in("bf16"):
        found = torch.autograd.grad(layer(x).sin().sum(), inputs)
    for ours, theirs in zip(found, exact, strict=True):
        assert ours.dtype == torch.float32
        assert 0 < (ours - theirs).norm() < 0.02 * theirs.norm()


def test_convolutions() -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 4, 4), torch.randn(4)
    exact = convolve(F.conv2d, x, weight, bias, stride=2)
    assert torch.equal(exact, F.conv2d(x, weight, bias, stride=2))
    with products_in("bf16"):
        found = convolve(F.conv2d, x, weight, bias, stride=2)
    assert found.dtype == torch.float32 and 0 < (found - exact).norm() < 0.02 * exact.norm()


def test_small_products_are_not_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = torch.randn(7, 40), torch.randn(40, 5)
    monkeypatch.setattr(precision, "LARGE", 7 * 40 * 5 + 1)
    with products_in("bf16"):
        assert torch.equal(product(a, b), a @ b)
        monkeypatch.setattr(precision, "LARGE", 7 * 40 * 5)
        assert not torch.equal(product(a, b), a @ b)


def test_the_precision_ends_with_its_block_even_by_an_error() -> None:
    a, b = torch.randn(3, 4), torch.randn(4, 5)
    with pytest.raises(KeyError), products_in("bf16"):
        raise KeyError
    assert torch.equal(product(a, b), a @ b)
