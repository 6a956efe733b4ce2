"""The posterior with its own gradient equals the posterior by autograd."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from choreo import native
from choreo.world_model import RSSM
from choreo.world_model.rssm import kl_balance

needs_kernels = pytest.mark.skipif(native.library() is None, reason="there is no C compiler")


def observed(rssm: RSSM, batch: int, length: int, by_kernels: bool) -> list[Tensor]:
    """States, the gradients of all they are made of, and of the KL loss."""
    random = torch.Generator().manual_seed(batch + 10 * length)
    embed = torch.randn(batch, length, 5, generator=random, requires_grad=True)
    action = torch.randn(batch, length, 2, generator=random, requires_grad=True)
    is_first = torch.rand(batch, length, generator=random) < 0.3
    with pytest.MonkeyPatch.context() as patch:
        if not by_kernels:
            patch.setattr(native, "usable", lambda *_: False)
        stream = torch.Generator().manual_seed(3)
        state, prior = rssm.observe(embed, action, is_first, stream)
        loss, value = kl_balance(state.logit, prior, balance=0.7, free=0.1)
        weights = torch.randn(state.feat.shape, generator=random)
        loss = loss + (state.feat * weights).sum() + state.logit.sin().mean()
        inputs = [embed, action, *rssm.parameters()]
        gradients = torch.autograd.grad(loss, inputs)
    return [state.deter, state.stoch, state.logit, prior, value, loss, *gradients]


@needs_kernels
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4), st.integers(2, 5))
def test_states_and_gradients(batch: int, length: int, variables: int, classes: int) -> None:
    torch.manual_seed(variables)
    rssm = RSSM(2, 5, deter=6, hidden=7, variables=variables, classes=classes)
    for parameter in rssm.parameters():  # away from symmetric beginnings
        nn.init.normal_(parameter, std=0.5)
    found, expected = (observed(rssm, batch, length, kernels) for kernels in (True, False))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=2e-4)
