"""Loops whose steps are kernels go on without Python and give what Python would have given."""

import platform
import sys
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from toy_agents import toy_agent

from choreo import native
from choreo.imagination import ImaginationConfig, Noise, Policy, imagine
from choreo.imagination.actor_critic import ContinuousActor
from choreo.native import calls, products
from choreo.nn import frozen
from choreo.nn.precision import add_product, product
from choreo.world_model import RSSM

pytestmark = pytest.mark.skipif(native.library() is None, reason="there is no C compiler")
few = settings(max_examples=25, deadline=None)


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@few
@given(st.integers(0, 7), st.booleans())
def test_a_loop_calls_its_kernels_for_every_step(steps: int, backwards: bool) -> None:
    """x[t + 1] = elu(x[t] + y), forward in time or back."""
    x, y, python = torch.zeros(steps + 1, 5), numbers(5), []
    expected = x.clone()
    times = range(steps - 1, -1, -1) if backwards else range(steps)

    def step(t: int) -> None:
        python.append(t)
        before, after = (t + 1, t) if backwards else (t, t + 1)
        native.add_(x[after], x[before])
        native.elu_(native.add_(x[after], y))

    native.repeat(step, times)
    for t in times:
        before, after = (t + 1, t) if backwards else (t, t + 1)
        expected[after] = torch.nn.functional.elu(expected[before] + y)
    torch.testing.assert_close(x, expected, atol=1e-6, rtol=1e-6)
    assert python == list(times[:2]), "two steps are watched"


@pytest.mark.parametrize("has_routine", [True, False])
def test_a_recurrence_with_products(has_routine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyTorch shows no product to call, every step is Python's, with the same result."""
    if not has_routine:
        monkeypatch.setattr(native, "routine", lambda: None)
    elif native.routine() is None:
        pytest.skip("this PyTorch shows no sgemm")
    h, w, b, python = torch.zeros(7, 3, 4), numbers(4, 4), numbers(4), []
    h[0] = numbers(3, 4)

    def step(t: int) -> None:
        python.append(t)
        native.elu_(add_product(b, h[t], w.T, h[t + 1]))

    native.repeat(step, range(6))
    expected = h[0]
    for _ in range(6):
        expected = torch.nn.functional.elu(expected @ w.T + b)
    torch.testing.assert_close(h[6], expected, atol=1e-6, rtol=1e-5)
    assert len(python) == (2 if has_routine else 6)


def test_what_no_kernel_does_is_said() -> None:
    x, y = torch.zeros(5, 2), torch.zeros(5, 2)

    def step(t: int) -> None:
        native.add_(x[t], torch.ones(2))
        y[t] += 1
        native.not_a_kernel()

    native.repeat(step, range(5))
    assert (x == 1).all() and (y == 1).all()


def test_products_into_new_tensors_are_not_left_out() -> None:
    a, found = numbers(4, 3, 3), torch.zeros(4, 3, 3)
    native.repeat(lambda t: found[t].copy_(product(a[t], a[t])), range(4))
    torch.testing.assert_close(found, a @ a)


def test_a_step_that_makes_its_own_tensors_is_refused() -> None:
    x = torch.zeros(5, 2)
    with pytest.raises(RuntimeError, match="made its own"):
        native.repeat(lambda t: native.add_(x[t], torch.ones(2)), range(5))


def test_a_step_that_would_leave_its_tensor_is_refused() -> None:
    x, y = torch.zeros(5, 2), torch.zeros(4, 2)
    with pytest.raises(RuntimeError, match="left the tensor"):
        native.repeat(lambda t: native.add_(x[t], y[t]), range(4 + 1))
    with pytest.raises(RuntimeError, match="left the tensor"):
        native.repeat(lambda t: native.add_(x[4 - t], y[3 - t]), range(4 + 1))


def test_steps_must_be_alike() -> None:
    x = torch.zeros(6, 2)
    with pytest.raises(RuntimeError, match="different kernels"):
        native.repeat(lambda t: native.elu_(x[t]) if t else native.add_(x[0], x[1]), range(6))
    with pytest.raises(RuntimeError, match="was 2 and then 4"):
        native.repeat(lambda t: native.elu_(x[t : t + 1 + t]), range(3))


def test_a_loop_within_a_loop() -> None:
    """The outer one is Python's, because the inner one's kernels are not all watched."""
    x = torch.zeros(4, 5, 2)

    def outer(t: int) -> None:
        native.repeat(lambda u: native.add_(x[t, u], x[t, u]), range(5))

    x += 1
    native.repeat(outer, range(4))
    assert (x == 2).all()


def test_kernels_of_another_thread_are_not_part_of_the_loop() -> None:
    x, other = torch.zeros(5, 2), torch.zeros(2)
    one = torch.ones(5, 2)

    def step(t: int) -> None:
        thread = threading.Thread(target=native.add_, args=(other, one[0]))
        thread.start()
        thread.join()
        native.add_(x[t], one[t])

    native.repeat(step, range(5))
    assert (x == 1).all() and other.tolist() == [2, 2]


@few
@given(
    st.tuples(*[st.integers(0, 9)] * 3),
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from(["nothing", "a row", "rows", "itself"]),
)
def test_products(sizes: tuple[int, int, int], turned: tuple[bool, bool], more: str) -> None:
    """Of matrices that lie by rows or columns, or are parts of wider ones."""
    if native.routine() is None:
        pytest.skip("this PyTorch shows no sgemm")
    rows, inner, columns = sizes
    a, b = numbers(rows, inner + 2)[:, :inner], numbers(inner, columns + 1)[:, :columns]
    a = a.T.contiguous().T if turned[0] else a
    b = b.T.contiguous().T if turned[1] else b
    out = numbers(rows, columns)
    c = {"nothing": None, "a row": numbers(columns), "rows": numbers(rows, columns), "itself": out}[
        more
    ]
    expected = a @ b if c is None else c + a @ b
    assert native.multiply(a, b, out, c) is out
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


def test_matrices_in_no_order_are_refused() -> None:
    if native.routine() is None:
        pytest.skip("this PyTorch shows no sgemm")
    a, b, out = numbers(4, 4), numbers(4, 2), torch.empty(4, 2)
    for factor in (numbers(4, 8)[:, ::2], numbers(1, 4).expand(4, 4)):
        with pytest.raises(RuntimeError, match="no rows or columns in one piece"):
            native.multiply(factor, b, out)
    for c in (numbers(1, 2), numbers(2, 4).T, numbers(4)[::2]):
        with pytest.raises(RuntimeError, match="must lie row by row"):
            native.multiply(a, b, out, c)
    with pytest.raises(RuntimeError, match="must lie row by row"):
        native.multiply(a, b, torch.empty(2, 4).T)


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="another build of PyTorch may show no sgemm",
)
def test_imagination_goes_on_without_python() -> None:
    """Of its steps two are watched, with the product of the PyTorch that this is tested with."""
    assert native.routine() is not None
    rssm = RSSM(2, 5, deter=6, hidden=7, variables=3, classes=4)
    actor = ContinuousActor(rssm.feat_size, 2, ImaginationConfig(layers=1, units=9))
    start, noise = rssm.initial(5), Noise.draw(rssm, 5, 9, None)
    steps: list[None] = []
    with frozen(rssm), pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "pick", lambda *x, pick=native.pick: steps.append(pick(*x)))
        imagine(rssm, start, torch.zeros(5, dtype=torch.bool), Policy(actor), noise, 0.9)
    assert len(steps) == 2


def test_acting_takes_the_kernels_for_few_rows() -> None:
    agent = toy_agent("pretraining", seed=0)
    session = agent.session()
    session.act(np.zeros(4, np.float32))
    with calls.watched_by(calls.Watch()) as watch:
        session.act(np.zeros(4, np.float32))
    called = {kernel.__name__ for kernel, _ in watch.calls}
    assert {"choreo_layer", "choreo_mlp", "choreo_sparse_layer"} <= called


def test_a_routine_that_multiplies_wrongly_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_multiply", lambda address, a, b, c, out: out.zero_())
    assert products.routine.__wrapped__() is None


def test_kernels_of_too_many_arguments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MOST", 2)
    x = torch.zeros(6, 2)
    with pytest.raises(RuntimeError, match="more than 2 arguments"):
        native.repeat(lambda t: native.add_(x[t], x[t]), range(5))
