"""Imagination on the CPU: every step in place, with a gradient of its own.

Equal to the steps that choreo/imagination/rollout.py takes by autograd. The way back uses that the
model is frozen and that the policy sees detached features: what is recurrent is the model alone,
and the policy's gradients are taken for all steps at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from choreo import native
from choreo.imagination.actor_critic import ContinuousActor
from choreo.imagination.trajectory import Noise, Policy
from choreo.nn import fused
from choreo.nn.distributions import MOST
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
    if policy.choose is None and policy.code is not None:
        choice = policy.code.expand(len(action), *policy.code.shape)
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

    first: FirstLayer  # on [s, h]
    code: Tensor  # (codes, U): what the first layer multiplies codes with
    hidden: list[Layer]
    heads: Layer
    min_std: Tensor

    @staticmethod
    def of(parameters: Sequence[Tensor], rssm: RSSM, min_std: float) -> "_Actor":
        (weight, bias), *hidden, mean, std = fused.pairs(parameters)
        first = FirstLayer.of((weight[:, : rssm.feat_size], bias), rssm.variables * rssm.classes)
        heads = torch.cat([mean[0], std[0]]), torch.cat([mean[1], std[1]])
        code = weight[:, rssm.feat_size :].T
        return _Actor(first, code, hidden, heads, heads[1].new_tensor(min_std))

    def given(self, code: Tensor | None) -> "_Actor":
        """The policy under codes (N, codes), whose part of the first layer goes to its bias."""
        if code is None:
            return self
        bias = add_product(self.first.bias, code, self.code)
        return replace(self, first=replace(self.first, bias=bias))


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
        units = [actor.first.table.shape[1], *(len(bias) for _, bias in actor.hidden)]
        steps = _Steps(
            places=new(*states, rssm.variables, dtype=torch.int32),
            probs=new(*states, ones),
            deter=new(*states, rssm.deter),
            activations=[new(*rows, size) for size in units],
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

    def act(self, t: int, actor: _Actor, noise: Tensor) -> None:
        """The policy's action in state t."""
        x = actor.first(self.places[t], self.deter[t], self.activations[0][t])
        for layer, kept in zip(actor.hidden, self.activations[1:], strict=True):
            x = elu_layer(x, layer, kept[t])
        add_product(actor.heads[1], x, actor.heads[0].T, self.raw[t])
        native.action(self.raw[t], noise[t], actor.min_std, self.action[t])

    def go_on(self, t: int, cell: _Cell, uniform: Tensor, logit: Tensor) -> None:
        """State t + 1, which the model expects after that action; `logit` is overwritten."""
        cell.input(self.places[t], self.action[t], self.input[t])
        of_input, of_deter, bias = cell.gates
        add_product(bias, self.input[t], of_input.T, self.gates[t])
        add_product(self.gates[t], self.deter[t], of_deter.T, self.gates[t])
        statistics = self.mean[t], self.rstd[t]
        deter = native.gates(
            self.gates[t], *cell.norm, self.deter[t], self.deter[t + 1], statistics
        )
        x = elu_layer(deter, cell.hidden, self.hidden[t])
        add_product(cell.logit[1], x, cell.logit[0].T, logit)
        native.pick(logit, uniform[t], self.probs[t + 1], self.places[t + 1])

    def gradient_of_actions(
        self, cell: _Cell, to_probs: Tensor, to_deter: Tensor, to_action: Tensor
    ) -> Tensor:
        """Gradient of the actions (H, N, A) from that of all that was given away."""
        gradient, at = torch.empty_like(self.action), _Gradients.room(self)
        at.probs.copy_(to_probs[-1])
        at.deter.copy_(to_deter[-1])

        def step(t: int) -> None:
            at.back_to_input(t, self, cell)
            add_product(to_action[t], at.input, cell.input.weight.T, gradient[t])

        def step_on(t: int) -> None:
            step(t)
            at.back_to_state(cell, to_probs[t], to_deter[t])

        native.repeat(step_on, range(len(gradient) - 1, 0, -1))
        step(0)
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


class _Gradients(NamedTuple):
    """The gradients that go back from step to step, and room for those on the way."""

    probs: Tensor  # (N, V * C) of the state that a step leads to
    deter: Tensor  # (N, D)
    before: Tensor  # (N, D): the part of h before that passes the gates by
    logit: Tensor  # (N, V * C)
    hidden: Tensor  # (N, hidden)
    gates: Tensor  # (N, 3 D)
    input: Tensor  # (N, hidden)

    @staticmethod
    def room(steps: _Steps) -> "_Gradients":
        like, probs, deter = torch.empty_like, steps.probs[0], steps.deter[0]
        widest = like(steps.hidden[0]), like(steps.gates[0]), like(steps.input[0])
        return _Gradients(like(probs), like(deter), like(deter), like(probs), *widest)

    def back_to_input(self, t: int, steps: _Steps, cell: _Cell) -> None:
        """From state t + 1 to the gates of step t and what the cell took beside h."""
        classes = steps.probs.shape[-1] // steps.places.shape[-1]
        native.softmax_backward(self.probs, steps.probs[t + 1], classes, self.logit)
        product(self.logit, cell.logit[0], self.hidden)
        native.elu_backward_(self.hidden, steps.hidden[t])
        add_product(self.deter, self.hidden, cell.hidden[0], self.deter)
        inputs = self.deter, steps.gates[t], *cell.norm, steps.deter[t]
        statistics = steps.mean[t], steps.rstd[t]
        native.gates_backward(*inputs, statistics, out=(self.gates, self.before))
        product(self.gates, cell.gates[0], self.input)
        native.elu_backward_(self.input, steps.input[t])

    def back_to_state(self, cell: _Cell, probs: Tensor, deter: Tensor) -> None:
        """From there to the state before; `probs` and `deter` are what else it was used for."""
        add_product(deter, self.gates, cell.gates[1], self.deter)
        native.add_(self.deter, self.before)
        add_product(probs, self.input, cell.input.table.T, self.probs)


class _Roll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rssm: RSSM, start: State, policy: Policy, noise: Noise, *parameters: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        assert isinstance(policy.actor, ContinuousActor)
        cell, actor = _Cell.of(rssm), _Actor.of(parameters, rssm, policy.actor.min_std)
        steps = _Steps.room(rssm, actor, start, len(noise.action))
        logit, choices = torch.empty_like(steps.probs[0]), []

        normal, uniform = noise.action.contiguous(), noise.state.contiguous()

        def step(t: int, actor: _Actor) -> None:
            steps.act(t, actor, normal)
            steps.go_on(t, cell, uniform, logit)

        if policy.choose is None:
            actor, times = actor.given(policy.code), range(len(noise.action))
            native.repeat(lambda t: step(t, actor), times)
        else:
            for t in range(len(noise.action)):
                feat = Features(steps.places[t], steps.probs[t], steps.deter[t])
                choices.append(policy.choose(t, feat))
                step(t, actor.given(choices[-1]))
        choice = torch.stack(choices) if choices else None
        tensors = steps._replace(activations=[])
        ctx.save_for_backward(
            *(normal, policy.code, choice),
            *(x for x in tensors if torch.is_tensor(x)),
            *steps.activations,
        )
        ctx.cell, ctx.actor, ctx.clamp_stops = cell, actor, policy.actor.clamp_stops
        ctx.mark_non_differentiable(steps.places, *([] if choice is None else [choice]))
        return steps.probs, steps.deter, steps.action, steps.places, choice

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        noise, code, choice, places, probs, deter, *others = ctx.saved_tensors
        kept = len(_Steps._fields) - 4
        steps = _Steps(places, probs, deter, others[kept:], *others[:kept])
        if code is not None:
            choice = code.expand(len(noise), *code.shape)
        to_action = steps.gradient_of_actions(ctx.cell, *(g.contiguous() for g in grads[:3]))
        if ctx.clamp_stops:
            to_action = to_action.masked_fill(steps.action.abs() >= MOST, 0)
        gradients = steps.gradients_of_policy(ctx.actor, to_action, noise, choice)
        return None, None, None, None, *gradients
