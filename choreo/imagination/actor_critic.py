"""The actor-critic that serves explorer, skill policies and meta-controller.

They differ in what conditions the policy, in what an action is and in how the policy gradient is
estimated; which reward they maximise is the learner's affair.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from choreo.imagination.returns import lambda_return
from choreo.nn import MLP, Inputs, OneHot, TruncatedNormal, gaussian_log_prob
from choreo.nn.layers import elu
from choreo.nn.precision import Linear
from choreo.nn.steps import Map, stepped


@dataclass(frozen=True)
class ImaginationConfig:
    """Imagination and actor-critic settings, shared by all three actor-critics."""

    horizon: int = 15
    """Imagined steps from every start. [paper]"""
    starts: int = 0
    """States of a batch that imagination starts from, drawn at random; 0 is all. [paper: all]"""
    gamma: float = 0.99
    """Discount per step. [paper]"""
    lambda_: float = 0.95
    """Lambda of the returns. [paper]"""
    slow_every: int = 100
    """Updates between two copies of the critic into the slow critic. [authors]"""
    layers: int = 4
    """Hidden layers of actors and critics. [authors]"""
    units: int = 400
    """Units of each of these layers. [authors]"""
    min_std: float = 0.1
    """Smallest standard deviation of a continuous policy. [authors]"""
    clamp_stops: bool = False
    """Give actions that are clamped to the bounds no gradient (the true one) instead of that of
    the identity, under which nothing holds the deviation where a policy presses against a bound.
    Fine-tuning does so also where `adaptation.clamp-stops` says it. [ours; authors: no]"""


class ContinuousActor(nn.Module):
    """MLP with a mean and a deviation for every action; (..., inputs) to a TruncatedNormal."""

    def __init__(self, inputs: int, actions: int, config: ImaginationConfig) -> None:
        super().__init__()
        self.trunk = MLP(inputs, None, config.layers, config.units, sparse=True)
        self.mean = Linear(config.units, actions)
        self.std = Linear(config.units, actions)
        self.min_std, self.clamp_stops = config.min_std, config.clamp_stops

    def forward(self, x: Inputs) -> TruncatedNormal:
        return self._squash(self.trunk(x), self.mean, self.std)

    def stepped(self, steps: int, rows: int) -> Callable[[Tensor], TruncatedNormal]:
        """The same for one (N, inputs) after the other, `steps` times; see choreo/nn/steps.py."""
        assert not self.trunk.norms
        layers = [*self.trunk.linears, self.mean, self.std]
        *trunk, mean, std = (
            stepped(layer.weight, layer.bias.expand(steps, rows, -1)) for layer in layers
        )

        def act(x: Tensor) -> TruncatedNormal:
            for layer in trunk:
                x = elu(layer(x))
            return self._squash(x, mean, std)

        return act

    @torch.no_grad()
    def deviation(self, x: Inputs) -> Tensor:
        """Mean deviation over inputs (..., inputs) and actions, a scalar."""
        return self(x).std.mean()

    def _squash(self, y: Tensor, mean: Map, std: Map) -> TruncatedNormal:
        return TruncatedNormal.from_outputs(mean(y), std(y), self.min_std, self.clamp_stops)


class CodeActor(nn.Module):
    """MLP with a logit for every code; (..., inputs) to a OneHot."""

    def __init__(self, inputs: int, codes: int, config: ImaginationConfig) -> None:
        super().__init__()
        self.logit = MLP(inputs, codes, config.layers, config.units, sparse=True)

    def forward(self, x: Inputs) -> OneHot:
        return OneHot(self.logit(x))


class ActorCritic(nn.Module):
    """Policy, critic and slow critic over [features, condition].

    `condition` is the size of what is appended to the features (0 for nothing). `actions` names
    the kind of action: a continuous vector or a code. `gradient` is how the policy gradient is
    estimated: through the dynamics, or REINFORCE with the slow critic as baseline.
    """

    def __init__(
        self,
        features: int,
        condition: int,
        action_size: int,
        config: ImaginationConfig,
        actions: Literal["continuous", "code"] = "continuous",
        gradient: Literal["dynamics", "reinforce"] = "dynamics",
        entropy: float = 0.0,
    ) -> None:
        super().__init__()
        self.config, self.gradient, self.entropy = config, gradient, entropy
        inputs = features + condition
        kind = ContinuousActor if actions == "continuous" else CodeActor
        self.actor = kind(inputs, action_size, config)
        self.critic = MLP(inputs, 1, config.layers, config.units)
        self.slow_critic = MLP(inputs, 1, config.layers, config.units)
        self.slow_critic.load_state_dict(self.critic.state_dict())
        self.slow_critic.requires_grad_(False)

    def target(self, inputs: Inputs, reward: Tensor, discount: Tensor) -> tuple[Tensor, Tensor]:
        """Lambda-returns (H, N) and slow values (H + 1, N) of inputs (H + 1, N, F)."""
        value = self.slow_critic(inputs).squeeze(-1)
        c = self.config
        returns = lambda_return(reward[:-1], value[:-1], discount[:-1], value[-1], c.lambda_)
        return returns, value

    def actor_loss(
        self, inputs: Inputs, action: Tensor, target: Tensor, value: Tensor, weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of the policy on inputs (H + 1, N, F), actions (H, N, A), targets (H, N).

        The objective of index t uses the target of t + 1; the last two states carry no loss.
        Source: paper section 2 and authors' code.
        """
        weight = weight[:-2].detach()
        objective = target[1:]
        metrics = {"return": target.detach().mean()}
        if self.gradient == "reinforce" or self.entropy:
            policy = self.actor(inputs[:-2].detach())
            if self.gradient == "reinforce":
                advantage = (target[1:] - value[:-2]).detach()
                objective = policy.log_prob(action[:-1].detach()) * advantage
            entropy = policy.entropy()
            objective = objective + self.entropy * entropy
            metrics["entropy"] = entropy.detach().mean()
        if isinstance(self.actor, ContinuousActor):
            metrics["deviation"] = self.actor.deviation(inputs[0])
        return -(weight * objective).mean(), metrics

    def critic_loss(
        self, inputs: Inputs, target: Tensor, weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Unit-variance Gaussian regression on the stopped target, (H, N)."""
        mean = self.critic(inputs[:-1].detach())
        log_prob = gaussian_log_prob(mean, target.detach().unsqueeze(-1))
        loss = -(weight[:-1].detach() * log_prob).mean()
        return loss, {"value": mean.detach().mean()}

    def update_slow_critic(self, update: int) -> None:
        """Copy the critic into the slow critic on update 0 and every `slow_every` ones."""
        if update % self.config.slow_every == 0:
            self.slow_critic.load_state_dict(self.critic.state_dict())


def one_hot(index: Tensor, size: int) -> Tensor:
    """Float one-hot vectors of integer indices (...), (..., size)."""
    zeros = torch.zeros(*index.shape, size, device=index.device)
    return zeros.scatter_(-1, index.unsqueeze(-1), 1.0)  # asks the device for nothing
