"""The posterior of a batch on the CPU: every step in place, with a gradient of its own.

Equal to the steps that choreo/world_model/rssm.py takes by autograd. The way back goes through what
is recurrent; the gradients of weights are taken for all steps at once. Shapes: T steps of B
sequences, time first.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from choreo import native
from choreo.nn.fused import flat
from choreo.nn.precision import add_product, product


class Weights(NamedTuple):
    """What the recurrence multiplies with; hidden sizes X of the cell's input, E of the posterior.

    stoch (X, V * C) maps s to the cell's input; gates (3 D, X + D) and their bias and LayerNorm;
    deter (E, D) maps h to the posterior's hidden layer; logit (V * C, E) and its bias.
    """

    stoch: Tensor
    gates: Tensor
    gates_bias: Tensor
    norm: Tensor
    norm_bias: Tensor
    deter: Tensor
    logit: Tensor
    logit_bias: Tensor

    @property
    def of_gates(self) -> tuple[Tensor, Tensor]:
        """What the gates multiply the cell's input with, and h."""
        size = len(self.stoch)
        return self.gates[:, :size], self.gates[:, size:]


def observe(
    action_part: Tensor, embed_part: Tensor, keep: Tensor, uniform: Tensor, weights: Weights
) -> tuple[Tensor, Tensor, Tensor]:
    """States h (T, B, D), and samples and logits of s (T, B, V * C), from the zero state.

    action_part (T, B, X) and embed_part (T, B, E) are what action and observation add before the
    ELUs; keep (T, B, 1) is zero where an episode begins; uniform (T, B, V).
    """
    inputs = (action_part, embed_part, keep, uniform, *weights)
    return _Observe.apply(*inputs)  # pyright: ignore[reportReturnType]


class _Steps(NamedTuple):
    """What T steps compute, each thing in one tensor."""

    before: Tensor  # (T, B, V): places of the ones of s before; V * C where an episode begins
    places: Tensor  # (T, B, V): places of the ones of s
    probs: Tensor  # (T, B, V * C)
    deter_before: Tensor  # (T, B, D): h before, zero where an episode begins
    deter: Tensor  # (T, B, D)
    input: Tensor  # (T, B, X)
    gates: Tensor  # (T, B, 3 D)
    mean: Tensor  # (T, B)
    rstd: Tensor  # (T, B)
    hidden: Tensor  # (T, B, E)

    @staticmethod
    def room(action_part: Tensor, embed_part: Tensor, w: Weights, variables: int) -> "_Steps":
        """Tensors to fill in; what action and observation add is there."""
        rows, new = action_part.shape[:2], action_part.new_empty
        ones, size = len(w.logit), w.deter.shape[1]
        return _Steps(
            before=new(*rows, variables, dtype=torch.int32),
            places=new(*rows, variables, dtype=torch.int32),
            probs=new(*rows, ones),
            deter_before=new(*rows, size),
            deter=new(*rows, size),
            input=action_part.clone(memory_format=torch.contiguous_format),
            gates=new(*rows, 3 * size),
            mean=new(rows),
            rstd=new(rows),
            hidden=embed_part.clone(memory_format=torch.contiguous_format),
        )

    def observe(self, t: int, w: Weights, table: Tensor, logit: Tensor, uniform: Tensor) -> None:
        """From what was before: h, logits, which are overwritten, and s of step t."""
        of_input, of_deter = w.of_gates
        native.add_rows(self.input[t], self.before[t], table, activate=True)
        add_product(w.gates_bias, self.input[t], of_input.T, self.gates[t])
        add_product(self.gates[t], self.deter_before[t], of_deter.T, self.gates[t])
        statistics, norm = (self.mean[t], self.rstd[t]), (w.norm, w.norm_bias)
        native.gates(self.gates[t], *norm, self.deter_before[t], self.deter[t], statistics)
        native.elu_(add_product(self.hidden[t], self.deter[t], w.deter.T, self.hidden[t]))
        add_product(w.logit_bias, self.hidden[t], w.logit.T, logit)
        native.pick(logit, uniform, self.probs[t], self.places[t])


class _Gradients(NamedTuple):
    """The gradients of all steps, and those that go back from step to step."""

    logit: Tensor  # (T, B, V * C)
    hidden: Tensor  # (T, B, E), before the ELU
    gates: Tensor  # (T, B, 3 D)
    input: Tensor  # (T, B, X), before the ELU
    norm: tuple[Tensor, Tensor]  # (3 D,) each: of weight and bias of the LayerNorm
    deter: Tensor  # (B, D) of the state of a step
    stoch: Tensor  # (B, V * C)
    before: Tensor  # (B, D) of h before
    sample: Tensor  # (B, V * C): room for what comes through the sample

    @staticmethod
    def room(s: _Steps, w: Weights, deter: Tensor, stoch: Tensor, logit: Tensor) -> "_Gradients":
        """From the gradients of the last state (B, ...) and of all logits."""
        like = torch.empty_like
        whole = logit.clone(), like(s.hidden), like(s.gates), like(s.input)
        norm = torch.zeros_like(w.norm), torch.zeros_like(w.norm_bias)
        return _Gradients(*whole, norm, deter.clone(), stoch.clone(), like(deter), like(stoch))

    def back_to_input(self, t: int, s: _Steps, w: Weights) -> None:
        """From the state of step t to h before and what the cell took beside it."""
        classes = s.probs.shape[-1] // s.places.shape[-1]
        native.softmax_backward(self.stoch, s.probs[t], classes, self.sample)
        native.add_(self.logit[t], self.sample)
        product(self.logit[t], w.logit, self.hidden[t])
        native.elu_backward_(self.hidden[t], s.hidden[t])
        add_product(self.deter, self.hidden[t], w.deter, self.deter)
        inputs = self.deter, s.gates[t], w.norm, w.norm_bias, s.deter_before[t]
        out, statistics = (self.gates[t], self.before), (s.mean[t], s.rstd[t])
        native.gates_backward(*inputs, statistics, self.norm, out)
        product(self.gates[t], w.of_gates[0], self.input[t])
        native.elu_backward_(self.input[t], s.input[t])

    def back_to_state(self, t: int, w: Weights, keep: Tensor, deter: Tensor, stoch: Tensor) -> None:
        """From there to the state before; `deter` and `stoch` are what else it was used for."""
        add_product(self.before, self.gates[t], w.of_gates[1], self.before)
        native.add_kept(deter, keep, self.before, self.deter)
        product(self.input[t], w.stoch, self.sample)
        native.add_kept(stoch, keep, self.sample, self.stoch)


class _Observe(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        action_part: Tensor,
        embed_part: Tensor,
        keep: Tensor,
        uniform: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        w, uniform = Weights(*parameters), uniform.contiguous()
        steps = _Steps.room(action_part, embed_part, w, uniform.shape[-1])
        flags, logits = keep.squeeze(-1).contiguous(), torch.empty_like(steps.probs)
        table = torch.cat([w.stoch.T, w.stoch.new_zeros(1, len(w.stoch))])
        ones = len(w.logit)

        def step(t: int) -> None:
            before = steps.deter_before[t], steps.before[t]
            native.keep(flags[t], steps.deter[t - 1], steps.places[t - 1], before, ones)
            steps.observe(t, w, table, logits[t], uniform[t])

        steps.before[0], steps.deter_before[0] = ones, 0.0
        steps.observe(0, w, table, logits[0], uniform[0])
        native.repeat(step, range(1, len(keep)))
        ctx.save_for_backward(flags, *steps, *parameters)
        stoch = torch.zeros_like(logits).scatter_(-1, steps.places.long(), 1.0)
        stoch.add_(logits, alpha=0)  # NaN goes on, so that it is found
        return steps.deter, stoch, logits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        flags, *saved = ctx.saved_tensors
        kept = len(_Steps._fields)
        s, w = _Steps(*saved[:kept]), Weights(*saved[kept:])
        to_deter, to_stoch, to_logit = (g.contiguous() for g in grads)
        at = _Gradients.room(s, w, to_deter[-1], to_stoch[-1], to_logit)

        def step(t: int) -> None:
            at.back_to_input(t, s, w)
            at.back_to_state(t, w, flags[t], to_deter[t - 1], to_stoch[t - 1])

        native.repeat(step, range(len(flags) - 1, 0, -1))
        at.back_to_input(0, s, w)
        return at.input, at.hidden, None, None, *_of_weights(s, at)


def _of_weights(s: _Steps, at: _Gradients) -> Weights:
    """Gradients of the weights from those of what they made, over all steps."""
    ones = s.probs.shape[-1]
    to_input, to_gates, to_hidden, to_logit = map(flat, (at.input, at.gates, at.hidden, at.logit))
    return Weights(
        stoch=native.sum_rows(to_input, flat(s.before), ones + 1)[:ones].T,
        gates=product(to_gates.T, torch.cat([flat(s.input), flat(s.deter_before)], 1)),
        gates_bias=to_gates.sum(0),
        norm=at.norm[0],
        norm_bias=at.norm[1],
        deter=product(to_hidden.T, flat(s.deter)),
        logit=product(to_logit.T, flat(s.hidden)),
        logit_bias=to_logit.sum(0),
    )
