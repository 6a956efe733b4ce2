import math
from dataclasses import replace
from typing import Literal

import pytest
import torch

from choreo.skills import SkillConfig, SkillSpace

CONFIG = SkillConfig(kind="diayn", codes=2, decay=0.9, layers=1, units=8)
STATES = torch.tensor([[[math.log(3), 0.0], [0.0, 0.0]], [[0.0, math.log(3)], [1.0, 1.0]]])
"""Two steps of two trajectories; as logits they say 3/4, 1/2 and 1/4, 1/2 for skill 0."""
SKILLS = torch.tensor([0, 1])


def by_hand() -> SkillSpace:
    """A space whose discriminator takes the states themselves for logits."""
    space = SkillSpace(2, CONFIG)
    assert space.discriminator is not None
    space.discriminator.logits = torch.nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    return space


def test_the_reward_by_hand_is_zero_where_the_discriminator_knows_nothing() -> None:
    found = by_hand().discriminator
    assert found is not None
    expected = torch.tensor([[math.log(1.5), 0.0], [math.log(0.5), 0.0]])
    torch.testing.assert_close(found.reward(STATES, SKILLS), expected)


def test_the_loss_by_hand_and_the_mean_states_it_moves() -> None:
    space = by_hand()
    assert space.discriminator is not None
    loss, metrics = space.discriminator.loss(STATES, SKILLS)
    expected = -(math.log(0.75) + math.log(0.25) + 2 * math.log(0.5)) / 4
    torch.testing.assert_close(loss, torch.tensor(expected))
    assert metrics["told_right"] == 0.25  # a tie is skill 0
    mean = 0.1 * STATES.mean(0)  # of each trajectory, and so of each skill
    torch.testing.assert_close(space.decoded_codes(), mean)
    space.discriminator.loss(STATES[:, :1], torch.tensor([0]))
    torch.testing.assert_close(space.decoded_codes()[1], mean[1], msg="skill 1 was not imagined")
    assert space.nearest_code(STATES).tolist() == [[0, 0], [1, 0]]


def test_learning_tells_skills_apart_and_the_reward_reaches_the_states() -> None:
    torch.manual_seed(0)
    found = SkillSpace(2, replace(CONFIG, units=16)).discriminator
    assert found is not None
    states = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]) + 0.1 * torch.randn(20, 2, 2)
    adam = torch.optim.Adam(found.parameters(), lr=0.05)
    for _ in range(30):
        adam.zero_grad()
        found.loss(states, SKILLS)[0].backward()
        adam.step()
    moving = states.clone().requires_grad_()
    reward = found.reward(moving, SKILLS)
    assert float(reward.detach().mean()) > 0.9 * math.log(2)
    (gradient,) = torch.autograd.grad(reward.sum(), moving)
    assert gradient[..., 0].mean(0)[0] > 0 > gradient[..., 0].mean(0)[1]


def test_the_distance_to_a_skill_by_hand() -> None:
    expected = -torch.tensor([[0.75, 0.25], [0.5, 0.5]]).log()
    torch.testing.assert_close(by_hand().code_distances(STATES[0]), expected)


@pytest.mark.parametrize("kind", ["codebook", "diayn"])
def test_the_skill_at_the_least_distance_is_the_one_that_is_named(
    kind: Literal["codebook", "diayn"],
) -> None:
    space = SkillSpace(2, replace(CONFIG, kind=kind, codes=8))
    states = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)) * 3
    named = space.nearest_code(states)
    assert torch.equal(space.code_distances(states).argmin(-1), named)
    assert len(named.unique()) > 1
