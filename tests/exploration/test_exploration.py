from dataclasses import replace

import pytest
import torch

from choreo.exploration import ExplorationConfig, IntrinsicReward, Replayed, make_intrinsic_reward
from choreo.exploration.apt import ParticleEntropy
from choreo.exploration.base import ExplorationKind
from choreo.exploration.icm import Curiosity
from choreo.exploration.lbs import LatentBayesianSurprise
from choreo.exploration.plan2explore import Plan2Explore
from choreo.exploration.random import RandomActions
from choreo.exploration.rnd import RandomNetworkDistillation
from choreo.imagination import Trajectory, discount_weights
from choreo.nn import dense

FEATURES, ACTIONS, HORIZON, ROWS = 5, 2, 3, 4
CONFIG = ExplorationConfig(layers=1, units=8, ensemble=3)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def replayed() -> Replayed:
    is_first = torch.zeros(3, 6, dtype=torch.bool)
    is_first[:, 0] = True
    is_first[1, 3] = True
    kl = random(3, 6, seed=1).abs()
    return Replayed(random(3, 6, FEATURES), kl, random(3, 6, ACTIONS, seed=2), is_first)


def trajectory(feat: torch.Tensor, action: torch.Tensor) -> Trajectory:
    discount = torch.full(feat.shape[:2], 0.9)
    return Trajectory(feat, feat, action, None, discount, discount_weights(discount))


def imagined() -> Trajectory:
    feat = random(HORIZON + 1, ROWS, FEATURES, seed=3).requires_grad_()
    return trajectory(feat, random(HORIZON, ROWS, ACTIONS, seed=4))


def make(kind: ExplorationKind) -> IntrinsicReward:
    torch.manual_seed(0)
    return make_intrinsic_reward(replace(CONFIG, kind=kind), FEATURES, ACTIONS)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("lbs", LatentBayesianSurprise),
        ("plan2explore", Plan2Explore),
        ("rnd", RandomNetworkDistillation),
        ("apt", ParticleEntropy),
        ("icm", Curiosity),
        ("random", RandomActions),
    ],
)
def test_every_kind_gives_a_reward_for_every_imagined_state(
    kind: ExplorationKind, expected: type
) -> None:
    bonus = make(kind)
    assert isinstance(bonus, expected)
    assert bonus.reward(imagined()).shape == (HORIZON + 1, ROWS)
    assert bonus.loss(replayed()).shape == ()


@pytest.mark.parametrize("kind", ["lbs", "plan2explore", "rnd", "icm"])
def test_every_network_learns_and_the_reward_reaches_the_states(kind: ExplorationKind) -> None:
    bonus = make(kind)
    trained = [p for p in bonus.parameters() if p.requires_grad]
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(bonus.loss(replayed()), trained))
    states = imagined()
    (gradient,) = torch.autograd.grad(bonus.reward(states).sum(), dense(states.feat))
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("kind", ["lbs", "plan2explore", "rnd", "icm"])
def test_learning_lowers_the_loss(kind: ExplorationKind) -> None:
    bonus, data = make(kind), replayed()
    adam = torch.optim.Adam([p for p in bonus.parameters() if p.requires_grad], lr=1e-2)
    before = float(bonus.loss(data).detach())
    for _ in range(30):
        adam.zero_grad()
        bonus.loss(data).backward()
        adam.step()
    assert float(bonus.loss(data).detach()) < before - 0.01


def test_surprise_regresses_the_kl_of_the_step() -> None:
    bonus, data = make("lbs"), replayed()
    assert isinstance(bonus, LatentBayesianSurprise)
    error = (bonus.surprise(data.feat).squeeze(-1) - data.kl).square()
    expected = (0.5 * error + 0.5 * torch.log(torch.tensor(2 * torch.pi))).mean()
    torch.testing.assert_close(bonus.loss(data), expected)
    states = imagined()
    torch.testing.assert_close(bonus.reward(states), bonus.surprise(states.feat).squeeze(-1))


def test_an_ensemble_that_agrees_gives_no_reward() -> None:
    bonus = make("plan2explore")
    assert isinstance(bonus, Plan2Explore)
    states = imagined()
    reward = bonus.reward(states)
    assert reward[0].tolist() == [0] * ROWS, "nothing led to a start state"
    assert (reward[1:] > 0).all()
    for member in bonus.members[1:]:
        member.load_state_dict(bonus.members[0].state_dict())
    torch.testing.assert_close(bonus.reward(states), torch.zeros(HORIZON + 1, ROWS))


@pytest.mark.parametrize("kind", ["plan2explore", "icm"])
def test_the_bonus_is_about_the_state_that_the_action_leads_to(kind: ExplorationKind) -> None:
    bonus, states = make(kind), imagined()
    before = bonus.reward(states)
    action = states.action.clone()
    action[1] += 1
    moved = (bonus.reward(trajectory(dense(states.feat), action)) - before).abs().sum(1) > 0
    assert moved.tolist() == [False, False, True, False]


@pytest.mark.parametrize("kind", ["plan2explore", "icm"])
def test_no_bonus_learns_a_step_from_one_episode_into_the_next(kind: ExplorationKind) -> None:
    bonus, data = make(kind), replayed()
    feat = data.feat.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(bonus.loss(replace(data, feat=feat)), feat)
    # Feature 2 of sequence 1 is the end of an episode: a target of the step before, no input.
    other = data.action.clone()
    other[1, 3] += 1
    torch.testing.assert_close(bonus.loss(replace(data, action=other)), bonus.loss(data))
    other[1, 2] += 1
    assert bonus.loss(replace(data, action=other)) != bonus.loss(data)
    assert gradient[1, 2].abs().sum() > 0


def test_distillation_keeps_its_target_and_rewards_the_error() -> None:
    bonus = make("rnd")
    assert isinstance(bonus, RandomNetworkDistillation)
    assert not any(p.requires_grad for p in bonus.target.parameters())
    states = imagined()
    assert (bonus.reward(states) > 0).all()
    bonus.predictor.load_state_dict(bonus.target.state_dict())
    assert bonus.reward(states).abs().sum() == 0


def test_particle_entropy_by_hand_counts_the_state_itself() -> None:
    """Three states at 0, 1 and 3 with 2 neighbours: mean distances 1/2, 1/2 and 1."""
    bonus = make_intrinsic_reward(replace(CONFIG, kind="apt", neighbours=2), 1, ACTIONS)
    states = trajectory(torch.tensor([[[0.0], [1.0], [3.0]]]), torch.zeros(0, 3, ACTIONS))
    expected = torch.log(torch.tensor([[1.5, 1.5, 2.0]]))
    torch.testing.assert_close(bonus.reward(states), expected, atol=1e-3, rtol=0)
    apart = trajectory(3 * dense(states.feat), states.action)
    assert (bonus.reward(apart) > bonus.reward(states)).all()
    assert not list(bonus.parameters())


class Sum(torch.nn.Module):
    """In place of a network with one output."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(-1, keepdim=True)


def test_curiosity_by_hand() -> None:
    """phi is the one feature; forward says phi + action, inverse says phi + phi'.

    Features 1, 2, 5 after actions 2 and 1: forward says 3 and 3, errors 1 and 4; inverse says 3 and
    7, errors 1 and 36.
    """
    bonus = make_intrinsic_reward(replace(CONFIG, kind="icm", units=1), 1, 1)
    assert isinstance(bonus, Curiosity)
    for name in ("encoder", "inverse", "forward_model"):
        setattr(bonus, name, Sum())
    feat, action = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([0.0, 2.0, 1.0])
    imagined = trajectory(feat.view(3, 1, 1), action[1:].view(2, 1, 1))
    assert bonus.reward(imagined).flatten().tolist() == [0.0, 1.0, 4.0]
    is_first = torch.tensor([[True, False, False]])
    data = Replayed(feat.view(1, 3, 1), torch.zeros(1, 3), action.view(1, 3, 1), is_first)
    expected = 0.8 * (1 + 36) / 2 + 0.2 * (1 + 4) / 2
    torch.testing.assert_close(bonus.loss(data), torch.tensor(expected))
    cut = replace(data, is_first=torch.tensor([[True, False, True]]))
    torch.testing.assert_close(bonus.loss(cut), torch.tensor(0.8 * 1 / 2 + 0.2 * 1 / 2))


def test_random_actions_train_and_reward_nothing() -> None:
    bonus = make("random")
    assert bonus.acts_randomly and not list(bonus.parameters())
    assert bonus.reward(imagined()).abs().sum() == 0
