import pytest
import torch
from torch import nn

from choreo.adaptation import AdaptationConfig, MetaController
from choreo.imagination import ImaginationConfig, Trajectory, discount_weights
from choreo.imagination.actor_critic import CodeActor
from choreo.nn import TruncatedNormal, dense

FEATURES, CODES, HORIZON, ROWS = 5, 3, 4, 6


class Simple(nn.Module):
    """A skill policy that does what the first features say."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> TruncatedNormal:
        return TruncatedNormal(self.gain * x[:, :2], torch.full_like(x[:, :2], 0.1))


def controller(entropy: float = 0.0) -> MetaController:
    torch.manual_seed(0)
    imagination = ImaginationConfig(horizon=HORIZON, layers=1, units=8)
    return MetaController(FEATURES, CODES, imagination, AdaptationConfig(entropy=entropy))


def imagined(choice: bool = True) -> Trajectory:
    random = torch.Generator().manual_seed(1)
    feat = torch.randn(HORIZON + 1, ROWS, FEATURES, generator=random)
    index = torch.randint(CODES, (HORIZON, ROWS), generator=random)
    codes = torch.nn.functional.one_hot(index, CODES).float()
    discount = torch.full((HORIZON + 1, ROWS), 0.9)
    discount[0, 2] = 0
    action = torch.randn(HORIZON, ROWS, 2, generator=random)
    weight = discount_weights(discount)
    return Trajectory(feat, feat, action, codes if choice else None, discount, weight)


def test_a_code_is_drawn_for_every_row_of_every_step() -> None:
    skill, feat = Simple(), torch.randn(ROWS, FEATURES)
    policy = controller().policy(skill, HORIZON, ROWS, torch.Generator().manual_seed(0))
    assert policy.actor is skill and policy.choose is not None
    first, second = (policy.choose(step, feat) for step in (0, 1))
    for code in (first, second):
        assert code.sum(-1).tolist() == [1] * ROWS and not code.requires_grad
    assert not torch.equal(first, second), "every step has its own chance"


def test_codes_follow_the_selector() -> None:
    meta = controller()
    actor = meta.selector.actor
    assert isinstance(actor, CodeActor) and actor.logit.output is not None
    head = actor.logit.output
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([0.0, 50.0, 0.0]))
    choose = meta.policy(Simple(), HORIZON, ROWS, None).choose
    assert choose is not None
    code = choose(0, torch.randn(ROWS, FEATURES))
    assert code.argmax(-1).tolist() == [1] * ROWS


def test_skill_policy_is_judged_through_the_reward_and_selector_by_reinforce() -> None:
    """d skill loss / d target_t = -weight_{t-1} / ((H - 1) N); reward of t enters target t."""
    meta, states = controller(), imagined()
    reward = torch.randn(HORIZON + 1, ROWS, requires_grad=True)
    losses, _ = meta.losses(states, reward)
    (found,) = torch.autograd.grad(losses["skill_actor"], reward, retain_graph=True)
    by_target = torch.zeros(HORIZON, ROWS)
    by_target[1:] = -states.weight[: HORIZON - 1] / ((HORIZON - 1) * ROWS)
    # Reward s enters target t <= s with the product of 0.95 * discount from t to s - 1.
    expected = torch.zeros(HORIZON + 1, ROWS)
    for s in range(HORIZON):
        for t in range(s + 1):
            expected[s] += by_target[t] * (0.95 * states.discount[t:s]).prod(0)
    torch.testing.assert_close(found, expected)
    for name in ("selector", "critic"):
        assert torch.autograd.grad(losses[name], reward, retain_graph=True, allow_unused=True) == (
            None,
        )


def test_each_loss_reaches_its_own_network_alone() -> None:
    meta, states = controller(entropy=1e-2), imagined()
    feat = dense(states.feat).clone().requires_grad_()
    reward = feat.sum(-1)
    moving = Trajectory(feat, feat, states.action, states.choice, states.discount, states.weight)
    losses, _ = meta.losses(moving, reward)
    actor, critic = list(meta.selector.actor.parameters()), list(meta.selector.critic.parameters())
    for name, own, other in (
        ("selector", actor, [*critic, feat]),
        ("critic", critic, [*actor, feat]),
        ("skill_actor", [feat], [*actor, *critic]),
    ):
        gradients = torch.autograd.grad(losses[name], own, retain_graph=True)
        assert all(gradient.abs().sum() > 0 for gradient in gradients), name
        none = torch.autograd.grad(losses[name], other, retain_graph=True, allow_unused=True)
        assert none == (None,) * len(other), name


def test_the_selector_learns_from_codes_and_not_from_actions() -> None:
    meta, states = controller(), imagined()
    reward = torch.randn(HORIZON + 1, ROWS)
    before, _ = meta.losses(states, reward)
    states.action.add_(1)
    assert torch.equal(meta.losses(states, reward)[0]["selector"], before["selector"])
    assert states.choice is not None
    states.choice.copy_(states.choice.roll(1, -1))
    assert meta.losses(states, reward)[0]["selector"] != before["selector"]


def test_a_trajectory_without_codes_is_refused() -> None:
    with pytest.raises(ValueError, match="codes"):
        controller().losses(imagined(choice=False), torch.zeros(HORIZON + 1, ROWS))
