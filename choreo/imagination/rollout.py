"""Imagined trajectories: the prior rolled forward under a policy.

Shapes: H + 1 states of N trajectories; index t holds state t and the action that led to it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from choreo.imagination.actor_critic import condition
from choreo.imagination.returns import discount_weights
from choreo.world_model.rssm import RSSM, State


@dataclass(frozen=True)
class Trajectory:
    """An imagined batch.

    feat (H + 1, N, F) and deter (H + 1, N, D), a view of it; action (H, N, A), `action[t]` taken in
    state t; choice: what conditioned the policy in state t, (H, N, codes), or None; discount and
    weight (H + 1, N).
    """

    feat: Tensor
    deter: Tensor
    action: Tensor
    choice: Tensor | None
    discount: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Policy:
    """What acts in imagination: an actor on detached features and, where there is one, a code.

    `actor` maps (N, F + codes) to a distribution that samples from standard normal noise;
    `choose` maps the step and its features (N, F) to codes (N, codes), without gradient.
    """

    actor: nn.Module
    choose: Callable[[int, Tensor], Tensor] | None = None


@dataclass(frozen=True)
class Noise:
    """Everything random in H steps of imagination, drawn at once.

    action (H, N, A) standard normal; state (H, N, V) uniform, one number for each variable.
    """

    action: Tensor
    state: Tensor

    @staticmethod
    def draw(rssm: RSSM, num: int, horizon: int, generator: torch.Generator | None) -> "Noise":
        """Noise for `num` trajectories, where the model is."""
        device = rssm.input.weight.device
        shape = (horizon, num)
        normal = torch.randn(*shape, rssm.actions, generator=generator, device=device)
        uniform = torch.rand(*shape, rssm.variables, generator=generator, device=device)
        return Noise(normal, uniform)


def imagine(
    rssm: RSSM,
    start: State,
    is_terminal: Tensor,
    policy: Policy,
    noise: Noise,
    gamma: float,
) -> Trajectory:
    """Roll the prior forward from `start` (N, ...), a step for each of the noise, paper section 2.

    The discount is the constant gamma, but zero in a start state that ended its episode
    (`is_terminal`, (N,)): nothing that is imagined after it counts.
    """
    state, feat = start, start.feat
    feats, actions, choices = [feat], [], []
    for step, (normal, uniform) in enumerate(zip(noise.action, noise.state, strict=True)):
        inputs = feat.detach()
        if policy.choose is not None:
            choices.append(policy.choose(step, inputs))
            inputs = condition(inputs, choices[-1])
        action = policy.actor(inputs).transform(normal)
        state = rssm.prior_step(state, action, uniform)
        feat = state.feat
        feats.append(feat)
        actions.append(action)
    all_feats = torch.stack(feats)
    discount = torch.full_like(all_feats[..., 0], gamma)
    discount[0] *= (~is_terminal).to(discount.dtype)
    return Trajectory(
        feat=all_feats,
        deter=all_feats[..., -rssm.deter :],
        action=torch.stack(actions),
        choice=torch.stack(choices) if choices else None,
        discount=discount,
        weight=discount_weights(discount),
    )
