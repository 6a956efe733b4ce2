import pytest
import torch

from choreo.imagination import Trajectory, imagine
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


def roll(rssm: RSSM, start: State, decide, terminal: list[int] | None = None) -> Trajectory:  # noqa: ANN001
    is_terminal = torch.zeros(len(start.deter), dtype=torch.bool)
    is_terminal[terminal or []] = True
    generator = torch.Generator().manual_seed(2)
    return imagine(rssm, start, is_terminal, decide, HORIZON, GAMMA, generator)


def test_action_t_leads_from_state_t_to_state_t_plus_1() -> None:
    rssm = make_rssm()
    start = make_start(rssm)
    seen = []

    def decide(feat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(feat)
        code = torch.full((len(feat), 1), float(len(seen)))
        return torch.tanh(feat[:, :2] + len(seen)), code

    found = roll(rssm, start, decide)
    generator, state = torch.Generator().manual_seed(2), start
    for t in range(HORIZON):
        assert torch.equal(found.feat[t], state.feat)
        assert torch.equal(seen[t], state.feat), "the policy sees the state it acts in"
        action = torch.tanh(state.feat[:, :2] + t + 1)
        assert torch.equal(found.action[t], action)
        state = rssm.imagine_step(state, action, generator)
    assert torch.equal(found.feat[HORIZON], state.feat)
    assert torch.equal(found.deter[0], start.deter)
    assert found.choice is not None and found.choice[:, 0, 0].tolist() == [1, 2, 3]


def test_no_choice_without_codes() -> None:
    rssm = make_rssm()
    found = roll(rssm, make_start(rssm), lambda feat: (torch.zeros(len(feat), 2), None))
    assert found.choice is None


def test_only_what_follows_a_terminal_start_is_discounted_away() -> None:
    rssm = make_rssm()
    start = make_start(rssm)
    found = roll(rssm, start, lambda feat: (torch.zeros(len(feat), 2), None), terminal=[2])
    assert found.discount[:, 0].tolist() == pytest.approx([GAMMA] * (HORIZON + 1))
    assert found.discount[:, 2].tolist() == pytest.approx([0] + [GAMMA] * HORIZON)
    assert found.weight[:, 0].tolist() == pytest.approx([1, 0.9, 0.81, 0.729])
    assert found.weight[:, 2].tolist() == [1, 0, 0, 0]


def test_the_policy_sees_detached_features_and_its_gradient_goes_through_the_dynamics() -> None:
    rssm = make_rssm()
    start, gain = make_start(rssm), torch.ones((), requires_grad=True)

    def decide(feat: torch.Tensor) -> tuple[torch.Tensor, None]:
        assert not feat.requires_grad
        return gain * torch.tanh(feat[:, -2:]), None

    found = roll(rssm, start, decide)
    for t, feat in enumerate(found.feat):
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
