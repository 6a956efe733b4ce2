"""Imagination with its own gradient equals imagination by autograd."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from choreo import native
from choreo.imagination import ImaginationConfig, Noise, Policy, Trajectory, fused, imagine
from choreo.imagination.actor_critic import ContinuousActor, one_hot
from choreo.nn import MLP, Features, Inputs, condition, dense, frozen
from choreo.world_model import RSSM, State

needs_kernels = pytest.mark.skipif(native.library() is None, reason="there is no C compiler")
CODES, GAMMA = 3, 0.9


class Scene:
    """A model, start states, an actor and a reward network of random sizes."""

    def __init__(self, rows: int, variables: int, classes: int, layers: int, codes: int) -> None:
        torch.manual_seed(rows + 7 * variables)
        self.rssm = RSSM(2, 5, deter=6, hidden=7, variables=variables, classes=classes)
        for parameter in self.rssm.parameters():  # away from symmetric beginnings
            nn.init.normal_(parameter, std=0.5)
        config = ImaginationConfig(layers=layers, units=67, clamp_stops=rows % 2 == 0)
        self.actor = ContinuousActor(self.rssm.feat_size + codes, 2, config)
        self.judge = MLP(self.rssm.feat_size, 1, layers, 9)
        self.noise = Noise.draw(self.rssm, rows, 6, None)
        index = torch.randint(classes, (rows, variables))
        stoch = torch.nn.functional.one_hot(index, classes).float()
        self.start = State(torch.randn(rows, 6), stoch, stoch)
        self.terminal = torch.arange(rows) % 3 == 1
        self.codes = codes

    def choose(self, step: int, feat: Inputs) -> Tensor:
        """A code that depends on the step and the features."""
        index = (dense(feat).sum(-1).abs().long() + step) % self.codes
        return one_hot(index, self.codes)

    def policy(self) -> Policy:
        """Under codes of each step; under one that stays where there is but one."""
        if self.codes == 1:
            return Policy(self.actor, code=torch.linspace(-1, 1, len(self.terminal)).unsqueeze(1))
        return Policy(self.actor, self.choose if self.codes else None)

    def imagine(self) -> Trajectory:
        policy = self.policy()
        with frozen(self.rssm):
            return imagine(self.rssm, self.start, self.terminal, policy, self.noise, GAMMA)

    def gradients(self, trajectory: Trajectory) -> tuple[Tensor, ...]:
        """Of all that a trajectory gives: features through a network, h, actions."""
        with frozen(self.judge):
            value = self.judge(trajectory.feat).square().mean()
        loss = value + trajectory.deter.square().mean() + trajectory.action.sin().mean()
        return torch.autograd.grad(loss, list(self.actor.parameters()))


@needs_kernels
@settings(max_examples=25, deadline=None)
@given(
    *(st.integers(1, 5), st.integers(1, 4), st.integers(2, 5), st.integers(1, 3)),
    st.sampled_from([0, 1, CODES]),
)
def test_trajectories_and_gradients(
    rows: int, variables: int, classes: int, layers: int, codes: int
) -> None:
    scene = Scene(rows, variables, classes, layers, codes)
    found = scene.imagine()
    assert isinstance(found.feat, Features)
    gradients = scene.gradients(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "usable", lambda rssm, policy: False)
        expected = scene.imagine()
    assert isinstance(expected.feat, Tensor)
    pairs = [(dense(found.feat), expected.feat), (found.deter, expected.deter)]
    pairs += [(found.action, expected.action), (found.weight, expected.weight)]
    pairs += list(zip(gradients, scene.gradients(expected), strict=True))
    if codes:
        assert found.choice is not None and expected.choice is not None
        assert not found.choice.requires_grad
        pairs.append((found.choice, expected.choice))
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-4)


@needs_kernels
def test_a_model_that_learns_is_imagined_by_autograd() -> None:
    """The way back above knows no gradient of the model."""
    scene = Scene(rows=2, variables=2, classes=3, layers=1, codes=0)
    assert not fused.usable(scene.rssm, Policy(scene.actor))
    with frozen(scene.rssm):
        assert fused.usable(scene.rssm, Policy(scene.actor))
        assert not fused.usable(scene.rssm, Policy(nn.Identity()))


@needs_kernels
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 70), st.booleans(), st.booleans())
def test_networks_on_places_of_ones(
    rows: int, rest: int, units: int, outputs: bool, train: bool
) -> None:
    torch.manual_seed(rows)
    network = MLP(6 + rest, 3 if outputs else None, 2, units)
    places = (torch.randint(3, (2, rows, 2)) + torch.tensor([0, 3])).int()
    probs = torch.rand(2, rows, 6, requires_grad=True)
    deter = torch.randn(2, rows, rest, requires_grad=True)
    feat = Features(places, probs, deter)
    network.requires_grad_(train)
    inputs = [probs, deter, *(network.parameters() if train else [])]
    ours, theirs = network(feat), network(feat.dense())
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    weights = torch.randn_like(ours)
    found, expected = (torch.autograd.grad(y, inputs, weights) for y in (ours, theirs))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@needs_kernels
def test_places_and_gradients_may_lie_in_any_order() -> None:
    """Every second row of the features, and a gradient that lies column by column."""
    torch.manual_seed(0)
    network = MLP(6 + 2, None, 2, 5)
    network.linears[0].requires_grad_(False)  # and some layers may be fixed
    probs, places = torch.rand(8, 6), (torch.randint(3, (8, 2)) + torch.tensor([0, 3])).int()
    feat = Features(places, probs, torch.randn(8, 2))[::2]
    parameters = [p for p in network.parameters() if p.requires_grad]
    ours, theirs = network(feat), network(feat.dense())
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    weights = torch.randn(5, 4).T
    found, expected = (torch.autograd.grad(y, parameters, weights) for y in (ours, theirs))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_features_are_cut_joined_and_detached_like_tensors() -> None:
    probs = torch.tensor([[0.2, 0.8], [0.6, 0.4]], requires_grad=True)
    feat = Features(torch.tensor([[1], [0]]).int(), probs, torch.tensor([[5.0], [6.0]]))
    assert feat.dense().tolist() == [[0, 1, 5], [1, 0, 6]]
    assert feat[1:].dense().tolist() == [[1, 0, 6]]
    assert dense(condition(feat, torch.tensor([9.0]))).tolist() == [[0, 1, 5, 9], [1, 0, 6, 9]]
    assert condition(feat, torch.tensor([9.0])).shape == (2, 4) and feat.shape == (2, 3)
    (gradient,) = torch.autograd.grad(feat.dense()[0, 0], probs)
    assert gradient.tolist() == [[1, 0], [0, 0]], "the gradient of a sample is its probabilities'"
    assert not feat.detach().dense().requires_grad
