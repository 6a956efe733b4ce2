"""Imagined trajectories: the prior rolled forward under a policy.

Shapes: H + 1 states of N trajectories; index t holds state t and the action that led to it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

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


Decide = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""Maps detached features (N, F) to actions (N, A) and, where there is one, the code chosen."""


def imagine(
    rssm: RSSM,
    start: State,
    is_terminal: Tensor,
    decide: Decide,
    horizon: int,
    gamma: float,
    generator: torch.Generator | None = None,
) -> Trajectory:
    """Roll the prior `horizon` steps forward from `start` (N, ...), paper section 2.

    The discount is the constant gamma, but zero in a start state that ended its episode
    (`is_terminal`, (N,)): nothing that is imagined after it counts.
    """
    state, feat = start, start.feat
    feats, actions, choices = [feat], [], []
    for _ in range(horizon):
        action, choice = decide(feat.detach())
        state = rssm.imagine_step(state, action, generator)
        feat = state.feat
        feats.append(feat)
        actions.append(action)
        if choice is not None:
            choices.append(choice)
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
