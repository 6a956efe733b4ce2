from collections.abc import Callable

import pytest
import torch
from torch import nn

from choreo.imagination import Noise, Policy, Trajectory, imagine
from choreo.nn import Inputs, dense
from choreo.world_model import RSSM, State

HORIZON, GAMMA = 3, 0.9


def make_rssm() -> RSSM:
    torch.manual_seed(0)
    return RSSM(actions=2, embed=5, deter=6, hidden=7, variables=2, classes=3)


def make_start(rssm: RSSM, num: int = 4) -> State:
    generator = torch.Generator().manual_seed(1)
    embed, action = torch.randn(num, 1, 5, generator=generator), torch.zeros(num, 1, 2)
    first = torch.ones(num, 1, dtype=torch.bool)
    return rssm.observe(embed, action, first, generator)[0].flatten().detach()


class Fixed(nn.Module):
    """An actor that is a function of what it sees; its action is not random."""

    def __init__(self, act: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.act = act

    def forward(self, x: torch.Tensor) -> "Fixed":
        self.action = self.act(x)
        return self

    def transform(self, noise: torch.Tensor) -> torch.Tensor:
        assert noise.shape == self.action.shape
        return self.action


def draw(rssm: RSSM, num: int) -> Noise:
    return Noise.draw(rssm, num, HORIZON, torch.Generator().manual_seed(2))


def roll(rssm: RSSM, start: State, policy: Policy, terminal: list[int] | None = None) -> Trajectory:
    is_terminal = torch.zeros(len(start.deter), dtype=torch.bool)
    is_terminal[terminal or []] = True
    return imagine(rssm, start, is_terminal, policy, draw(rssm, len(is_terminal)), GAMMA)


def still() -> Policy:
    return Policy(Fixed(lambda feat: torch.zeros(len(feat), 2)))


def test_action_t_leads_from_state_t_to_state_t_plus_1() -> None:
    rssm = make_rssm()
    start = make_start(rssm)
    seen = []

    def choose(step: int, feat: Inputs) -> torch.Tensor:
        return torch.full((len(dense(feat)), 1), float(step + 1))

    def act(inputs: torch.Tensor) -> torch.Tensor:
        seen.append(inputs)
        return torch.tanh(inputs[:, :2] + inputs[:, -1:])

    found = roll(rssm, start, Policy(Fixed(act), choose))
    noise, state = draw(rssm, len(start.deter)), start
    for t in range(HORIZON):
        assert torch.equal(dense(found.feat)[t], state.feat)
        assert torch.equal(seen[t][:, :-1], state.feat), "the policy sees the state it acts in"
        assert (seen[t][:, -1] == t + 1).all(), "and the code that was chosen there"
        action = torch.tanh(state.feat[:, :2] + t + 1)
        assert torch.equal(found.action[t], action)
        state = rssm.prior_step(state, action, noise.state[t])
    assert torch.equal(dense(found.feat)[HORIZON], state.feat)
    assert torch.equal(found.deter[0], start.deter)
    assert found.choice is not None and found.choice[:, 0, 0].tolist() == [1, 2, 3]


def test_no_choice_without_codes() -> None:
    rssm = make_rssm()
    found = roll(rssm, make_start(rssm), still())
    assert found.choice is None


def test_only_what_follows_a_terminal_start_is_discounted_away() -> None:
    rssm = make_rssm()
    start = make_start(rssm)
    found = roll(rssm, start, still(), terminal=[2])
    assert found.discount[:, 0].tolist() == pytest.approx([GAMMA] * (HORIZON + 1))
    assert found.discount[:, 2].tolist() == pytest.approx([0] + [GAMMA] * HORIZON)
    assert found.weight[:, 0].tolist() == pytest.approx([1, 0.9, 0.81, 0.729])
    assert found.weight[:, 2].tolist() == [1, 0, 0, 0]


def test_the_policy_sees_detached_features_and_its_gradient_goes_through_the_dynamics() -> None:
    rssm = make_rssm()
    start, gain = make_start(rssm), torch.ones((), requires_grad=True)

    def act(feat: torch.Tensor) -> torch.Tensor:
        assert not feat.requires_grad
        return gain * torch.tanh(feat[:, -2:])

    found = roll(rssm, start, Policy(Fixed(act)))
    for t, feat in enumerate(dense(found.feat)):
        if t == 0:
            assert not feat.requires_grad or not has_gradient(feat, gain)
        else:
            assert has_gradient(feat, gain)


def has_gradient(feat: torch.Tensor, parameter: torch.Tensor) -> bool:
    weights = torch.randn(feat.shape, generator=torch.Generator().manual_seed(3))
    (gradient,) = torch.autograd.grad(
        (feat * weights).sum(), parameter, retain_graph=True, allow_unused=True
    )
    return gradient is not None and float(gradient.abs()) > 0


def test_a_policy_has_one_code_or_chooses_them() -> None:
    with pytest.raises(ValueError, match="not both"):
        Policy(nn.Identity(), lambda step, feat: torch.zeros(1, 1), torch.zeros(1, 1))
