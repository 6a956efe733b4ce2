"""The meta-controller: a policy whose actions are codes (paper section 3.3)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from choreo.imagination import ActorCritic, ImaginationConfig, Policy, Trajectory
from choreo.nn import Inputs


@dataclass(frozen=True)
class AdaptationConfig:
    """Settings of fine-tuning."""

    entropy: float = 1e-4
    """Entropy bonus of the selector. [authors]"""
    skill_steps: int = 125
    """Steps for which a random code is kept before the reward is found. [authors]"""
    reward_threshold: float = 1e-4
    """Reward above which a task counts as found. [authors]"""
    reward_gradient: bool = False
    """Let the gradient of the reward head shape the world model. [authors, as their files compose;
    their fine-tuning file alone says yes]"""
    reward_weight: float = 1.0
    """Weight of the reward's loss in the world model, meant for `reward-gradient`; 0 leaves the
    reward head untrained. [ours; authors: 1]"""
    model_waits: bool = True
    """Begin updates after `training.random-frames`; without it the world model learns as soon as a
    sequence can be drawn. [authors]"""
    before_reward: Literal["random-skill", "selector"] = "random-skill"
    """Who plays in evaluations during training until the meta-controller begins to learn: random
    skills, kept for `skill-steps`, or the untrained selector. [authors]"""
    search_with: Literal["skills", "explorer", "random", "turns"] = "skills"
    """Who acts in training until then: random skills, the explorer's policy of pre-training, or
    random actions; turns: an episode of the explorer, an episode of random skills (of the first
    environment, where there are several), or skills alone where there is no explorer. The others
    may meet rewards that skills pass by; evaluations are as `before-reward` says. [skills: authors;
    the others: ours]"""
    clamp_stops: bool = False
    """Fine-tune with `imagination.clamp-stops`, whatever that says of itself. [ours; authors:
    no]"""


class MetaController(nn.Module):
    """Selects a code in every state; the skill policy acts on it.

    The selector learns by REINFORCE, the skill policy through the dynamics of the model, both on
    the returns of one imagined batch and with one critic on the features.
    """

    def __init__(
        self, feat_size: int, codes: int, imagination: ImaginationConfig, config: AdaptationConfig
    ) -> None:
        super().__init__()
        self.selector = ActorCritic(
            feat_size, 0, codes, imagination, "code", "reinforce", config.entropy
        )

    def policy(
        self, skill_actor: nn.Module, steps: int, rows: int, generator: torch.Generator | None
    ) -> Policy:
        """What acts in imagination: a code drawn in every state, and the skill policy on it."""
        device = next(self.parameters()).device
        uniform = torch.rand(steps, rows, generator=generator, device=device)

        @torch.no_grad()
        def choose(step: int, feat: Inputs) -> Tensor:
            return self.selector.actor(feat).transform(uniform[step])

        return Policy(skill_actor, choose)

    def losses(
        self, trajectory: Trajectory, reward: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses of selector, critic and skill policy for rewards (H + 1, N)."""
        if trajectory.choice is None:
            raise ValueError("the meta-controller needs a trajectory that holds the chosen codes")
        feat, weight = trajectory.feat, trajectory.weight
        target, value = self.selector.target(feat, reward, trajectory.discount)
        selector, metrics = self.selector.actor_loss(
            feat, trajectory.choice, target.detach(), value, weight
        )
        critic, critic_metrics = self.selector.critic_loss(feat, target, weight)
        skill_actor = -(weight[:-2].detach() * target[1:]).mean()
        losses = {"selector": selector, "critic": critic, "skill_actor": skill_actor}
        return losses, metrics | critic_metrics
