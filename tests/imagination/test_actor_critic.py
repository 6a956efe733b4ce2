import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from choreo.imagination import ActorCritic, ImaginationConfig
from choreo.imagination.actor_critic import ContinuousActor, one_hot
from choreo.nn import OneHot, condition, dense

HORIZON, ROWS, FEATURES, CODES = 4, 3, 5, 3
CONFIG = ImaginationConfig(horizon=HORIZON, slow_every=3, layers=1, units=8)


class Table(nn.Module):
    """A policy whose logits are parameters: row t for the state of index t."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.randn(HORIZON + 1, ROWS, CODES, generator=torch.Generator().manual_seed(4))
        self.logit = nn.Parameter(random)

    def forward(self, x: Tensor) -> OneHot:
        return OneHot(self.logit[: len(x)])


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def make(**options) -> ActorCritic:  # noqa: ANN003
    torch.manual_seed(0)
    return ActorCritic(FEATURES, 0, 2, CONFIG, **options)


def imagined() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs (H + 1, N, F), targets (H, N), values and weights (H + 1, N)."""
    inputs = numbers(HORIZON + 1, ROWS, FEATURES, seed=1)
    target = numbers(HORIZON, ROWS, seed=2).requires_grad_()
    value, weight = numbers(HORIZON + 1, ROWS, seed=3), numbers(HORIZON + 1, ROWS, seed=4)
    return inputs, target, value, weight


def test_action_t_is_judged_by_the_target_of_t_plus_1() -> None:
    """The dynamics gradient: nothing for target 0, -weight[t - 1] / ((H - 1) N) for target t."""
    inputs, target, value, weight = imagined()
    loss, _ = make().actor_loss(inputs, numbers(HORIZON, ROWS, 2), target, value, weight)
    (gradient,) = torch.autograd.grad(loss, target)
    assert gradient[0].tolist() == [0] * ROWS
    torch.testing.assert_close(gradient[1:], -weight[: HORIZON - 1] / ((HORIZON - 1) * ROWS))


def test_the_deviation_of_actions_is_told_of_the_first_states() -> None:
    inputs, target, value, weight = imagined()
    policy, batch = make(), (numbers(HORIZON, ROWS, 2), target, value, weight)
    assert isinstance(policy.actor, ContinuousActor)
    with torch.no_grad():
        policy.actor.std.weight.zero_()
        policy.actor.std.bias.copy_(torch.tensor([0.0, 100.0]))
    _, metrics = policy.actor_loss(inputs, *batch)
    assert metrics["deviation"].item() == pytest.approx((1.1 + 2.1) / 2)  # 2 sigmoid(x / 2) + 0.1
    assert not metrics["deviation"].requires_grad


def test_critic_learns_every_target_but_not_from_the_last_state() -> None:
    inputs, target, _, weight = imagined()
    weight.requires_grad_()
    critic = make()
    loss, metrics = critic.critic_loss(inputs, target, weight)
    mean = critic.critic(inputs).squeeze(-1)
    error = 0.5 * (target - mean[:-1]).square() + 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(loss, (weight[:-1] * error).mean())
    torch.testing.assert_close(metrics["value"], mean[:-1].mean())
    assert torch.autograd.grad(loss, [target, weight], allow_unused=True) == (None, None)
    inputs[-1] += 1
    torch.testing.assert_close(critic.critic_loss(inputs, target, weight)[0], loss)


def test_target_holds_the_reward_on_arrival_and_bootstraps_from_the_slow_critic() -> None:
    """A slow critic that says 2 everywhere: r_t + discount_t * (0.05 * 2 + 0.95 * next)."""
    actor_critic = make()
    assert actor_critic.slow_critic.output is not None
    with torch.no_grad():
        actor_critic.slow_critic.output.weight.zero_()
        actor_critic.slow_critic.output.bias.fill_(2.0)
    inputs, reward = numbers(3, 1, FEATURES), torch.tensor([[1.0], [10.0], [1000.0]])
    target, value = actor_critic.target(inputs, reward, torch.tensor([[0.5], [0.5], [0.1]]))
    last = 10 + 0.5 * 2
    assert target.flatten().tolist() == pytest.approx([1 + 0.5 * (0.05 * 2 + 0.95 * last), last])
    assert value.flatten().tolist() == [2, 2, 2]


def test_reinforce_gradient_by_hand() -> None:
    """Of logit_t: -w_t / ((H - 1) N) * ((target_{t+1} - V_t) (a_t - p) + eta dH/dlogit)."""
    inputs, target, value, weight = imagined()
    eta = 0.3
    selector = ActorCritic(FEATURES, 0, CODES, CONFIG, "code", "reinforce", eta)
    table = Table()
    selector.actor = table  # pyright: ignore[reportAttributeAccessIssue]
    action = one_hot(torch.randint(CODES, (HORIZON, ROWS)), CODES)
    loss, metrics = selector.actor_loss(inputs, action, target, value, weight)
    found, none = torch.autograd.grad(loss, [table.logit, target], allow_unused=True)
    assert none is None, "the advantage is a number and not a path for gradients"
    p = torch.softmax(table.logit.detach(), -1)[: HORIZON - 1]
    entropy = -(p * p.log()).sum(-1, keepdim=True)
    advantage = (target[1:] - value[: HORIZON - 1]).detach().unsqueeze(-1)
    slope = advantage * (action[: HORIZON - 1] - p) - eta * p * (p.log() + entropy)
    scale = weight[: HORIZON - 1].unsqueeze(-1) / ((HORIZON - 1) * ROWS)
    torch.testing.assert_close(found[: HORIZON - 1], -scale * slope)
    assert found[HORIZON - 1 :].abs().sum() == 0, "the last two states carry no actor loss"
    torch.testing.assert_close(metrics["entropy"], entropy.mean())


def test_reinforce_ignores_what_the_gradient_could_reach_through_states_and_actions() -> None:
    inputs, target, value, weight = imagined()
    inputs.requires_grad_()
    action = numbers(HORIZON, ROWS, CODES).requires_grad_()
    selector = ActorCritic(FEATURES, 0, CODES, CONFIG, "code", "reinforce")
    loss, _ = selector.actor_loss(inputs, action, target, value, weight)
    assert torch.autograd.grad(loss, [inputs, action], allow_unused=True) == (None, None)


def test_an_entropy_bonus_is_added_to_the_dynamics_gradient() -> None:
    inputs, target, value, weight = imagined()
    action = numbers(HORIZON, ROWS, 2)
    plain, bonus = make(), make(entropy=0.5)
    without, metrics = plain.actor_loss(inputs, action, target, value, weight)
    assert "entropy" not in metrics
    entropy = plain.actor(inputs[:-2]).entropy()
    found, _ = bonus.actor_loss(inputs, action, target, value, weight)
    torch.testing.assert_close(found, without - 0.5 * (weight[:-2] * entropy).mean())


def test_slow_critic_is_copied_on_update_0_and_every_few_updates() -> None:
    actor_critic = make()
    copied = []
    for update in range(8):
        with torch.no_grad():
            for parameter in actor_critic.critic.parameters():
                parameter += 1
        actor_critic.update_slow_critic(update)
        slow, fast = actor_critic.slow_critic.state_dict(), actor_critic.critic.state_dict()
        copied.append(all(slow[key].equal(fast[key]) for key in fast))
    assert copied == [True, False, False, True, False, False, True, False]
    assert not any(p.requires_grad for p in actor_critic.slow_critic.parameters())


def test_slow_critic_starts_as_the_critic() -> None:
    actor_critic = make()
    x = numbers(2, FEATURES)
    assert torch.equal(actor_critic.critic(x), actor_critic.slow_critic(x))


def test_min_std_reaches_the_policy() -> None:
    torch.manual_seed(0)
    wide = ActorCritic(FEATURES, 0, 2, replace(CONFIG, min_std=0.7)).actor(numbers(2, FEATURES))
    torch.testing.assert_close(wide.std - 0.7, make().actor(numbers(2, FEATURES)).std - 0.1)


def test_condition_appends_one_code_to_every_step() -> None:
    code = one_hot(torch.tensor([1, 0]), 3)
    assert code.tolist() == [[0, 1, 0], [1, 0, 0]]
    joined = dense(condition(torch.zeros(4, 2, 5), code))
    assert joined.shape == (4, 2, 8)
    assert all(torch.equal(row, code) for row in joined[..., 5:])


def test_an_actor_step_by_step_is_the_actor() -> None:
    """Distributions and the gradients of all its parameters."""
    actor, seen = ContinuousActor(FEATURES, 2, replace(CONFIG, layers=2)), numbers(4, ROWS, 5)
    act, found = actor.stepped(4, ROWS), []
    for policy in ([act(x) for x in seen], [actor(x) for x in seen]):
        loss = torch.stack([p.mean.sin().sum() + p.std.square().sum() for p in policy]).sum()
        found.append([loss, *torch.autograd.grad(loss, list(actor.parameters()))])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
