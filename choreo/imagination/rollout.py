"""Imagined trajectories: the prior rolled forward under a policy."""

import torch
from torch import Tensor

from choreo.imagination import fused
from choreo.imagination.actor_critic import ContinuousActor
from choreo.imagination.returns import discount_weights
from choreo.imagination.trajectory import Noise, Policy, Trajectory
from choreo.nn.features import Inputs
from choreo.world_model.rssm import RSSM, State

Rolled = tuple[Inputs, Tensor, Tensor, Tensor | None]
"""Features (H + 1, N, F), h (H + 1, N, D), actions (H, N, A), choices (H, N, codes) or None."""


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
    (`is_terminal`, (N,)): nothing that is imagined after it counts. On the CPU features come as
    the places of their ones, see choreo/nn/features.py.
    """
    roll = fused.roll if fused.usable(rssm, policy) else _roll
    feat, deter, action, choice = roll(rssm, start, policy, noise)
    discount = torch.full_like(deter[..., 0], gamma)
    discount[0] *= (~is_terminal).to(discount.dtype)
    return Trajectory(feat, deter, action, choice, discount, discount_weights(discount))


def _roll(rssm: RSSM, start: State, policy: Policy, noise: Noise) -> Rolled:
    """Every step by autograd; what choreo/imagination/fused.py must equal."""
    actor, state, feat = policy.actor, start, start.feat
    if noise.state.is_cuda and isinstance(actor, ContinuousActor):  # a CPU gains nothing by it
        actor = actor.stepped(*noise.state.shape[:2])
    feats, actions, choices = [feat], [], []
    for step, (normal, uniform) in enumerate(zip(noise.action, noise.state, strict=True)):
        inputs = feat.detach()
        code = policy.code_at(step, inputs)
        if code is not None:
            choices.append(code)
            inputs = torch.cat([inputs, code], -1)
        action = actor(inputs).transform(normal)
        state = rssm.prior_step(state, action, uniform)
        feat = state.feat
        feats.append(feat)
        actions.append(action)
    all_feats = torch.stack(feats)
    choice = torch.stack(choices) if choices else None
    return all_feats, all_feats[..., -rssm.deter :], torch.stack(actions), choice
