"""Each kernel alone equals the operations of PyTorch that it stands for."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from choreo import native
from choreo.nn import TruncatedNormal, fused, one_hot_straight_through
from choreo.world_model.rssm import LayerNormGRU, categorical_kl, kl_balance

pytestmark = pytest.mark.skipif(native.library() is None, reason="there is no C compiler")
NAN = float("nan")
MANY = 2**17 + 77  # numbers that are shared out among threads

few = settings(max_examples=25, deadline=None)
# Few units may lie so near to one another that their deviation is a matter of rounding.
rows_and_units = given(st.integers(0, 7), st.integers(8, 150), st.floats(0.5, 8))


def numbers(*shape: int, scale: float = 1.0, grad: bool = False) -> Tensor:
    random = torch.Generator().manual_seed(sum(shape))
    return (scale * torch.randn(*shape, generator=random)).requires_grad_(grad)


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@few
@given(st.sampled_from([0, 1, 3, 64, 1001, MANY]), st.floats(0.1, 60))
def test_elu(size: int, scale: float) -> None:
    x = numbers(size, scale=scale, grad=True)
    expected, grad = F.elu(x), numbers(size)
    y = native.elu_(x.detach().clone())
    assert_close(y, expected.detach(), atol=2e-7, rtol=1e-6)
    (gradient,) = torch.autograd.grad(expected, x, grad)
    assert_close(native.elu_backward_(grad.clone(), y), gradient, atol=1e-6, rtol=1e-6)


def test_the_ends_of_elu() -> None:
    x = torch.tensor([-torch.inf, -1e30, -0.0, 0.0, 1e30, torch.inf, NAN])
    y = native.elu_(x.clone())
    assert y[:-1].tolist() == [-1, -1, 0, 0, x[4], torch.inf] and y[-1].isnan()
    assert native.elu_backward_(torch.ones(7), y)[-1].isnan()


@few
@rows_and_units
def test_layer_norm_with_elu(rows: int, units: int, scale: float) -> None:
    x, weight, bias = (numbers(*s, grad=True) for s in ((rows, units), (units,), (units,)))
    x = (x * scale + 1).detach().requires_grad_()
    y, statistics = native.norm_elu(x.detach(), weight.detach(), bias.detach())
    expected, grad = F.elu(F.layer_norm(x, (units,), weight, bias)), numbers(rows, units)
    assert_close(y, expected.detach(), atol=1e-5, rtol=1e-4)
    gradients = torch.autograd.grad(expected, [x, weight, bias], grad)
    found = native.norm_elu_backward_(grad.clone(), y, x.detach(), weight.detach(), statistics)
    assert_close(found, gradients, atol=1e-4, rtol=1e-3)


@few
@given(st.integers(0, 5), st.integers(1, 4), st.integers(1, 40), st.floats(0.1, 5))
def test_divergence(rows: int, variables: int, classes: int, scale: float) -> None:
    p, q = (scale * x for x in numbers(2, rows, variables, classes))
    leaves = p.clone().requires_grad_(), q.clone().requires_grad_()
    expected = categorical_kl(*(F.log_softmax(x, -1) for x in leaves))
    value, *found = native.kl(p, q)
    assert_close(value.sum(-1), expected.detach(), atol=1e-5, rtol=1e-4)
    assert_close(found, list(torch.autograd.grad(expected.sum(), leaves)), atol=1e-5, rtol=1e-4)


@few
@given(st.integers(0, 6), st.integers(0, 4), st.integers(1, 200), st.booleans())
def test_rows_of_a_table(rows: int, variables: int, units: int, activate: bool) -> None:
    classes = 3
    index = torch.arange(rows * variables).view(rows, variables) ** 2 % classes
    places = (index + classes * torch.arange(variables)).int()
    table, x, grad = numbers(max(1, classes * variables), units), *numbers(2, rows, units)
    ones = torch.zeros(rows, len(table)).scatter_(1, places.long(), 1.0)
    expected = x + ones @ table
    found = native.add_rows(x.clone(), places, table, activate)
    assert_close(found, F.elu(expected) if activate else expected, atol=1e-5, rtol=1e-5)
    assert_close(native.sum_rows(grad, places, len(table)), ones.T @ grad, atol=1e-5, rtol=1e-5)


@few
@given(st.integers(0, 6), st.integers(1, 8), st.floats(0.1, 10))
def test_actions(rows: int, size: int, scale: float) -> None:
    raw = numbers(rows, 2 * size, scale=scale, grad=True)
    noise, grad, min_std = *numbers(2, rows, size), torch.tensor(0.1)
    mean, std = raw.chunk(2, -1)
    expected = TruncatedNormal.from_outputs(mean, std, 0.1).transform(noise)
    found = native.action(raw.detach(), noise, min_std, torch.empty(rows, size))
    assert_close(found, expected.detach(), atol=2e-6, rtol=1e-5)
    (gradient,) = torch.autograd.grad(expected, raw, grad)
    assert_close(native.action_backward(grad, raw.detach(), noise), gradient, atol=1e-6, rtol=1e-4)


@few
@given(st.integers(0, 6), st.integers(1, 5), st.integers(1, 40), st.floats(0.1, 20))
def test_places_are_those_of_samples(rows: int, variables: int, classes: int, scale: float) -> None:
    logit = numbers(rows, variables, classes, scale=scale)
    uniform = torch.rand(rows, variables, generator=torch.Generator().manual_seed(rows))
    probs = torch.empty(rows, variables * classes)
    places = torch.empty(rows, variables, dtype=torch.int32)
    native.pick(logit.flatten(1), uniform, probs, places)
    assert_close(probs, logit.softmax(-1).flatten(1), atol=1e-7, rtol=1e-4)
    ones = torch.zeros_like(probs).scatter_(1, places.long(), 1.0)
    assert torch.equal(ones, one_hot_straight_through(logit, uniform).flatten(1))
    with native.plain():
        assert torch.equal(ones, one_hot_straight_through(logit, uniform).flatten(1))


def test_the_exponential_function_keeps_its_digits() -> None:
    """Over its whole range, by the smaller of two probabilities."""
    logit = torch.stack([torch.linspace(-86, 0, 4001), torch.zeros(4001)], -1)
    probs, _ = native.sample(logit, torch.full((4001,), 0.5))
    assert_close(probs.double(), logit.double().softmax(-1), atol=0.0, rtol=1e-6)


@few
@given(st.integers(1, 6), st.integers(1, 90))
def test_gates_add_to_the_gradients_that_are_there(rows: int, size: int) -> None:
    cell = LayerNormGRU(3, size)
    x, deter = numbers(rows, 3 * size, grad=True), numbers(rows, size, grad=True)
    cell.linear.weight.data.zero_()[:, :3].copy_(numbers(3 * size, 3))
    cell.norm.weight.data.copy_(numbers(3 * size))
    weight, bias, grad = cell.norm.weight, cell.norm.bias, numbers(rows, size)
    reset, candidate, update = cell.norm(x).chunk(3, -1)
    candidate, update = torch.tanh(reset.sigmoid() * candidate), (update - 1).sigmoid()
    expected = torch.lerp(deter, candidate, update)
    statistics = torch.empty(rows), torch.empty(rows)
    kept = (x.detach(), weight.detach(), bias.detach(), deter.detach())
    found = native.gates(*kept, torch.empty(rows, size), statistics)
    assert_close(found, expected.detach(), atol=1e-5, rtol=1e-4)
    sums = torch.full_like(kept[1], 2.0), torch.full_like(kept[2], 3.0)
    to_x, to_deter = native.gates_backward(grad, *kept, statistics, sums)
    gradients = torch.autograd.grad(expected, [x, deter, weight, bias], grad)
    assert_close([to_x, to_deter], list(gradients[:2]), atol=1e-4, rtol=1e-3)
    assert_close([sums[0] - 2, sums[1] - 3], list(gradients[2:]), atol=1e-4, rtol=1e-3)
    alone = native.gates_backward(grad, *kept, statistics)
    assert torch.equal(alone[0], to_x) and torch.equal(alone[1], to_deter)


def results_of_large_calls() -> list[Tensor]:
    """Of every kernel that shares its work out."""
    rows, units = 1024, 200
    x, grad = numbers(2, rows, units)
    places = (torch.arange(rows * 8).view(rows, 8) * 7 % 5 + 5 * torch.arange(8)).int()
    weight, uniform = torch.ones(units), torch.full((rows, 8), 0.4)
    statistics = torch.empty(rows), torch.empty(rows)
    gates, wide, deter = numbers(rows, 3 * units), torch.ones(3 * units), x.clone()
    cell = (gates, wide, wide, deter)
    out = native.gates(*cell, torch.empty_like(deter), statistics)
    heaps = (torch.full((rows, 3), torch.inf), torch.full((rows,), torch.inf))
    columns = (torch.full((units, 3), torch.inf), torch.full((units,), torch.inf))
    native.show_tile(x, heaps, columns)
    return [
        native.elu_(x.clone()),
        native.elu_backward_(grad.clone(), x),
        native.norm_elu(x, weight, weight)[0],
        native.add_rows(x.clone(), places, numbers(40, units), activate=True),
        native.sum_rows(grad, places, 40),
        *native.sample(x.view(rows, 8, 25), uniform),
        native.softmax_backward(grad, x),
        *native.kl(x.view(rows, 8, 25), grad.view(rows, 8, 25)),
        out,
        *native.gates_backward(grad, *cell, statistics),
        *heaps,
        *columns,
    ]


def test_the_number_of_threads_changes_no_bit() -> None:
    """So that a run on two threads may be resumed exactly."""
    with threads(1):
        expected = results_of_large_calls()
    for count in (2, 3):
        with threads(count):
            found = results_of_large_calls()
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_what_is_not_a_number_stays_visible() -> None:
    x, weight, statistics = torch.tensor([[NAN, 1.0, 2.0]]), torch.ones(3), torch.empty(2, 1)
    one, table = torch.zeros(1, 1, dtype=torch.int32), torch.tensor([[0.0, NAN]])
    probs, _ = native.sample(x, torch.tensor([0.5]))
    found = [
        native.norm_elu(x, weight, weight)[0],
        *native.kl(x, torch.zeros(1, 3)),
        *native.kl(torch.zeros(1, 3), x),
        probs,
        native.add_rows(torch.zeros(1, 2), one, table, activate=True)[:, 1],
        native.action(torch.full((1, 2), NAN), torch.zeros(1, 1), weight[0], torch.empty(1, 1)),
        native.gates(x, weight, weight, torch.zeros(1, 1), torch.empty(1, 1), list(statistics)),
    ]
    assert all(value.isnan().all() for value in found)


# ---- What autograd hands to the kernels --------------------------------------------------------


def columns_first(*shape: int) -> Tensor:
    """Numbers (N, U) that lie in memory column by column."""
    return numbers(*reversed(shape)).T


def test_gradients_and_inputs_may_lie_in_any_order() -> None:
    weight, bias = numbers(5, grad=True), numbers(5, grad=True)
    x, grad = columns_first(4, 5).requires_grad_(), columns_first(4, 5)
    expected = F.elu(F.layer_norm(x, (5,), weight, bias))
    for found, plain in (
        (fused.norm_elu(x, weight, bias), expected),
        (fused.elu(x.clone()), F.elu(x)),
    ):
        assert_close(found, plain, atol=1e-6, rtol=1e-5)
        inputs = [x, weight, bias] if plain is expected else [x]
        ours, theirs = (torch.autograd.grad(y, inputs, grad) for y in (found, plain))
        assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_gradients_may_be_taken_twice() -> None:
    x, weight = numbers(4, 5, grad=True), torch.ones(5, requires_grad=True)
    logit, deter = numbers(4, 2, 3, grad=True), numbers(4, 5, grad=True)
    cell = LayerNormGRU(5, 5)
    for y, inputs in (
        (fused.norm_elu(x, weight, weight), [x, weight]),
        (fused.elu(x * 1), [x]),
        (cell(x, deter), [x, deter, *cell.parameters()]),
        (one_hot_straight_through(logit, torch.full((4, 2), 0.3)), [logit]),
        (kl_balance(logit, logit.flip(-1), free=0.0)[0][None], [logit]),
    ):
        grad = torch.ones_like(y)
        first, second = (torch.autograd.grad(y, inputs, grad, retain_graph=True) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        assert bool((grad == 1).all()), "the gradient that came in belongs to others too"


def test_second_derivatives_are_refused() -> None:
    x, weight = numbers(4, 5, grad=True), torch.ones(5, requires_grad=True)
    (gradient,) = torch.autograd.grad(
        fused.norm_elu(x, weight, weight).square().sum(), x, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_what_is_too_large_to_have_a_variance_is_no_number() -> None:
    x = torch.tensor([[1e30, -1e30, 1.0], [1.0, 2.0, 3.0]])
    y, _ = native.norm_elu(x, torch.ones(3), torch.zeros(3))
    assert y[0].isnan().all() and y[1].isfinite().all()


rows_and_sizes = given(
    st.integers(0, 9), st.sampled_from([1, 15, 16, 70, 2049, 2100]), st.sampled_from([1, 4, 7, 64])
)


@few
@rows_and_sizes
def test_a_layer_on_few_rows(rows: int, inputs: int, outputs: int) -> None:
    x, weight, bias = numbers(rows, inputs), numbers(outputs, inputs), numbers(outputs)
    expected = F.linear(x.double(), weight.double(), bias.double()).float()
    assert_close(native.layer(x, weight, bias), expected, atol=2e-4, rtol=1e-5)
    x *= numbers(rows, inputs, scale=2) > 1
    expected = F.linear(x.double(), weight.double(), bias.double()).float()
    table = weight.T.contiguous()
    assert_close(native.sparse_layer(x, table, bias), expected, atol=2e-4, rtol=1e-5)


def test_a_large_layer_is_shared_out_among_threads() -> None:
    x, weight, bias = numbers(6, 2100), numbers(300, 2100), numbers(300)
    with threads(2):
        found = native.layer(x, weight, bias)
    assert_close(found, F.linear(x, weight, bias), atol=2e-4, rtol=1e-5)


def test_a_layer_passes_on_what_is_not_a_number() -> None:
    x, weight, bias = torch.zeros(3, 20), numbers(5, 20), numbers(5)
    x[1, 3] = NAN
    for y in (native.layer(x, weight, bias), native.sparse_layer(x, weight.T.contiguous(), bias)):
        assert y.isnan().all(1).tolist() == [False, True, False]


@few
@given(st.integers(1, 9), st.integers(1, 3), st.integers(8, 80), st.booleans())
def test_layers_on_few_rows(rows: int, layers: int, units: int, norm: bool) -> None:
    x, parameters = numbers(1, rows, 5), []
    expected = x
    for layer in range(layers):
        weight, bias = numbers(units, expected.shape[-1]), numbers(units, scale=layer + 1)
        expected = F.linear(expected, weight, bias)
        parameters += [weight, bias]
        if norm:
            scales = numbers(units, scale=0.5), numbers(units, scale=2)
            expected = F.layer_norm(expected, (units,), *scales)
            parameters += scales
        expected = F.elu(expected)
    found = native.mlp(x, parameters, norm)
    assert_close(found, expected, atol=1e-3, rtol=1e-3)
