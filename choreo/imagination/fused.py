"""Imagination on the CPU: every step in place, with a gradient of its own.

Equal to the steps that choreo/imagination/rollout.py takes by autograd. The way back uses that the
model is frozen and that the policy sees detached features: what is recurrent is the model alone,
and the policy's gradients are taken for all steps at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from choreo import native
from choreo.imagination.actor_critic import ContinuousActor
from choreo.imagination.trajectory import Noise, Policy
from choreo.nn import fused
from choreo.nn.features import Features
from choreo.nn.fused import FirstLayer, Layer, elu_layer, flat
from choreo.nn.precision import add_product, product
from choreo.world_model.rssm import RSSM, State


def usable(rssm: RSSM, policy: Policy) -> bool:
    """Whether this can run: on the CPU with kernels, a frozen model, a continuous policy."""
    frozen = not any(p.requires_grad for p in rssm.parameters())
    return frozen and isinstance(policy.actor, ContinuousActor) and native.usable(rssm.input.weight)


def roll(
    rssm: RSSM, start: State, policy: Policy, noise: Noise
) -> tuple[Features, Tensor, Tensor, Tensor | None]:
    """As `choreo.imagination.rollout.Rolled`, from states without gradient whose s is one-hot."""
    assert isinstance(policy.actor, ContinuousActor)
    trunk, heads = policy.actor.trunk.linears, (policy.actor.mean, policy.actor.std)
    parameters = [p for layer in (*trunk, *heads) for p in (layer.weight, layer.bias)]
    results = _Roll.apply(rssm, start, policy, noise, *parameters)
    probs, deter, action, places, choice = results  # pyright: ignore[reportGeneralTypeIssues]
    return Features(places, probs, deter), deter, action, choice


@dataclass(frozen=True)
class _Cell:
    """Weights of one step of the prior, as the steps below want them."""

    input: FirstLayer
    gates: tuple[Tensor, Tensor, Tensor]  # of the input, of h, and the bias
    norm: Layer
    hidden: Layer
    logit: Layer

    @staticmethod
    def of(rssm: RSSM) -> "_Cell":
        size = rssm.input.out_features
        gates, norm = rssm.cell.linear, rssm.cell.norm
        return _Cell(
            FirstLayer.of((rssm.input.weight, rssm.input.bias), rssm.variables * rssm.classes),
            (gates.weight[:, :size], gates.weight[:, size:], gates.bias),
            (norm.weight, norm.bias),
            (rssm.prior_hidden.weight, rssm.prior_hidden.bias),
            (rssm.prior_logit.weight, rssm.prior_logit.bias),
        )


@dataclass(frozen=True)
class _Actor:
    """Weights of the policy: first layer, further layers, and both heads as one."""

    first: FirstLayer
    hidden: list[Layer]
    heads: Layer
    min_std: Tensor

    @staticmethod
    def of(parameters: Sequence[Tensor], ones: int, min_std: float) -> "_Actor":
        *trunk, mean, std = fused.pairs(parameters)
        heads = torch.cat([mean[0], std[0]]), torch.cat([mean[1], std[1]])
        return _Actor(FirstLayer.of(trunk[0], ones), trunk[1:], heads, heads[1].new_tensor(min_std))


class _Steps(NamedTuple):
    """What H steps of N trajectories compute, each thing in one tensor."""

    places: Tensor  # (H + 1, N, V) of the ones of s
    probs: Tensor  # (H + 1, N, V * C)
    deter: Tensor  # (H + 1, N, D)
    activations: list[Tensor]  # of every layer of the policy, (H, N, U)
    raw: Tensor  # (H, N, 2 A): means and deviations before they are squashed
    action: Tensor  # (H, N, A)
    input: Tensor  # (H, N, hidden): what the cell takes beside h
    gates: Tensor  # (H, N, 3 D)
    mean: Tensor  # (H, N) of the gates
    rstd: Tensor  # (H, N)
    hidden: Tensor  # (H, N, hidden) of the prior

    @staticmethod
    def room(rssm: RSSM, actor: _Actor, start: State, horizon: int) -> "_Steps":
        """Tensors to fill in, with the start states in their places."""
        new, rows = start.deter.new_empty, (horizon, len(start.deter))
        states, ones = (horizon + 1, rows[1]), rssm.variables * rssm.classes
        biases = [actor.first.bias, *(bias for _, bias in actor.hidden)]
        steps = _Steps(
            places=new(*states, rssm.variables, dtype=torch.int32),
            probs=new(*states, ones),
            deter=new(*states, rssm.deter),
            activations=[new(*rows, len(bias)) for bias in biases],
            raw=new(*rows, 2 * rssm.actions),
            action=new(*rows, rssm.actions),
            input=new(*rows, rssm.input.out_features),
            gates=new(*rows, 3 * rssm.deter),
            mean=new(rows),
            rstd=new(rows),
            hidden=new(*rows, rssm.prior_hidden.out_features),
        )
        steps.places[0] = start.stoch.argmax(-1) + rssm.classes * torch.arange(rssm.variables)
        steps.probs[0], steps.deter[0] = 0.0, start.deter
        return steps

    def act(self, t: int, actor: _Actor, noise: Tensor, choice: Tensor | None) -> None:
        """The policy's action in state t."""
        rest = self.deter[t] if choice is None else torch.cat([self.deter[t], choice], -1)
        x = actor.first(self.places[t], rest, self.activations[0][t])
        for layer, kept in zip(actor.hidden, self.activations[1:], strict=True):
            x = elu_layer(x, layer, kept[t])
        add_product(actor.heads[1], x, actor.heads[0].T, self.raw[t])
        native.action(self.raw[t], noise, actor.min_std, self.action[t])

    def go_on(self, t: int, cell: _Cell, uniform: Tensor) -> None:
        """State t + 1, which the model expects after that action."""
        cell.input(self.places[t], self.action[t], self.input[t])
        of_input, of_deter, bias = cell.gates
        add_product(bias, self.input[t], of_input.T, self.gates[t])
        add_product(self.gates[t], self.deter[t], of_deter.T, self.gates[t])
        statistics = self.mean[t], self.rstd[t]
        deter = native.gates(
            self.gates[t], *cell.norm, self.deter[t], self.deter[t + 1], statistics
        )
        x = elu_layer(deter, cell.hidden, self.hidden[t])
        logit = add_product(cell.logit[1], x, cell.logit[0].T)
        native.pick(logit, uniform, self.probs[t + 1], self.places[t + 1])

    def gradient_of_actions(
        self, cell: _Cell, to_probs: Tensor, to_deter: Tensor, to_action: Tensor
    ) -> Tensor:
        """Gradient of the actions (H, N, A) from that of all that was given away."""
        ones, variables = self.probs.shape[-1], self.places.shape[-1]
        of_input, of_deter, _ = cell.gates
        gradient = torch.empty_like(self.action)
        probs, deter = to_probs[-1], to_deter[-1]
        for t in reversed(range(len(self.action))):
            logit = native.softmax_backward(probs, self.probs[t + 1], ones // variables)
            hidden = native.elu_backward_(product(logit, cell.logit[0]), self.hidden[t])
            deter = add_product(deter, hidden, cell.hidden[0])
            statistics = self.mean[t], self.rstd[t]
            gates, before = native.gates_backward(
                deter, self.gates[t], *cell.norm, self.deter[t], statistics
            )
            x = native.elu_backward_(product(gates, of_input), self.input[t])
            add_product(to_action[t], x, cell.input.weight.T, gradient[t])
            if t > 0:
                deter = add_product(before, gates, of_deter).add_(to_deter[t])
                probs = add_product(to_probs[t], x, cell.input.table.T)
        return gradient

    def gradients_of_policy(
        self, actor: _Actor, to_action: Tensor, noise: Tensor, choice: Tensor | None
    ) -> list[Tensor]:
        """Gradients of the policy's parameters from that of its actions (H, N, A)."""
        activations = [flat(x) for x in self.activations]
        raw = native.action_backward(to_action, flat(self.raw), flat(noise))
        weight, bias = fused.layer_gradients(raw, activations[-1])
        heads = [weight.chunk(2), bias.chunk(2)]
        grad = product(raw, actor.heads[0])
        grad, hidden = fused.hidden_gradients(grad, activations, actor.hidden, train=True)
        rest = self.deter[:-1] if choice is None else torch.cat([self.deter[:-1], choice], -1)
        places, ones = flat(self.places[:-1]), self.probs.shape[-1]
        first = fused.first_gradients(grad, places, flat(rest), ones)
        return [*first, *hidden, heads[0][0], heads[1][0], heads[0][1], heads[1][1]]


class _Roll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rssm: RSSM, start: State, policy: Policy, noise: Noise, *parameters: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        assert isinstance(policy.actor, ContinuousActor)
        cell = _Cell.of(rssm)
        actor = _Actor.of(parameters, rssm.variables * rssm.classes, policy.actor.min_std)
        steps = _Steps.room(rssm, actor, start, len(noise.action))
        choices = []
        for t, (normal, uniform) in enumerate(zip(noise.action, noise.state, strict=True)):
            if policy.choose is not None:
                feat = Features(steps.places[t], steps.probs[t], steps.deter[t])
                choices.append(policy.choose(t, feat))
            steps.act(t, actor, normal, choices[-1] if choices else None)
            steps.go_on(t, cell, uniform)
        choice = torch.stack(choices) if choices else None
        tensors = steps._replace(activations=[])
        ctx.save_for_backward(
            noise.action, choice, *(x for x in tensors if torch.is_tensor(x)), *steps.activations
        )
        ctx.cell, ctx.actor = cell, actor
        ctx.mark_non_differentiable(steps.places, *([] if choice is None else [choice]))
        return steps.probs, steps.deter, steps.action, steps.places, choice

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        noise, choice, places, probs, deter, *others = ctx.saved_tensors
        kept = len(_Steps._fields) - 4
        steps = _Steps(places, probs, deter, others[kept:], *others[:kept])
        to_action = steps.gradient_of_actions(ctx.cell, *grads[:3])
        gradients = steps.gradients_of_policy(ctx.actor, to_action, noise, choice)
        return None, None, None, None, *gradients
