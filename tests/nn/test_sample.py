"""Categorical samples on a card that is not there are those of the CPU."""

import pytest
import torch
from torch import Tensor
from toy_card import CUDA, a_card, of_host, waits

from choreo import native
from choreo.nn import one_hot_straight_through

ALMOST_ONE = 1 - 2**-24


def on_card(logit: Tensor, uniform: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """The sample on the card, which scans nothing and waits for nothing."""
    with a_card(), monkeypatch.context() as patch:
        patch.setattr(Tensor, "cumsum", lambda *given: pytest.fail("a scan"))
        given = logit.to(CUDA), uniform.to(CUDA)
        waits.clear()
        found = one_hot_straight_through(*given)
        assert waits == []
    return of_host(found)


@pytest.mark.parametrize("classes", [1, 2, 32, 65])
def test_samples_on_a_card_are_those_without_one(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = torch.Generator().manual_seed(classes)
    logit = 4 * torch.randn(500, 3, classes, generator=random)
    uniform = torch.rand(500, 3, generator=random)
    bounds = torch.softmax(logit.double(), -1).cumsum(-1)
    clear = ((bounds - uniform[..., None]).abs() > 1e-6).all(-1)  # of where rounding decides
    found = on_card(logit, uniform, monkeypatch)
    with native.plain():
        expected = one_hot_straight_through(logit, uniform)
    assert clear.float().mean() > 0.99 and found[clear].equal(expected[clear])
    assert found.sum(-1).eq(1).all() and found.amax(-1).eq(1).all()


def test_no_uniform_number_leads_past_the_last_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where rounding leaves the sum of the probabilities below 1, or the last are zero."""
    random = torch.Generator().manual_seed(0)
    logit = torch.randn(2000, 37, generator=random)
    logit[1000:, 30:] = -1e4
    for edge, place in ((ALMOST_ONE, -1), (0.0, 0)):
        found = on_card(logit, torch.full((2000,), edge), monkeypatch)
        assert found.sum(-1).eq(1).all()
        assert found[:1000, place].eq(1).sum() > 990, "rounding may give it to the neighbour"
        if edge == 0:
            assert found[:, 0].eq(1).all()


def test_nan_goes_on_in_its_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    logit = torch.zeros(4, 32)
    logit[1, 7], logit[2, 7] = torch.nan, torch.inf
    found = on_card(logit, torch.full((4,), 0.5), monkeypatch)
    assert found.isnan().all(-1).tolist() == [False, True, True, False]
    assert found[[0, 3], 16].eq(1).all()


def test_samples_on_a_card_have_the_gradient_of_the_probabilities() -> None:
    logit, grad = torch.randn(6, 32), torch.randn(6, 32)
    with a_card():
        given = logit.to(CUDA).requires_grad_()
        sample = one_hot_straight_through(given, torch.rand(6, device="cuda"))
        (found,) = torch.autograd.grad(sample, [given], grad.to(CUDA))
    given = logit.requires_grad_()
    (expected,) = torch.autograd.grad(torch.softmax(given, -1), [given], grad)
    torch.testing.assert_close(of_host(found), expected)
