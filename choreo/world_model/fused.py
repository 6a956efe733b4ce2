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
        w, rows, new = Weights(*parameters), keep.shape[:2], keep.new_empty
        ones, size = len(w.logit), w.deter.shape[1]
        table = torch.cat([w.stoch.T, w.stoch.new_zeros(1, len(w.stoch))])
        steps = _Steps(
            before=new(uniform.shape, dtype=torch.int32),
            places=new(uniform.shape, dtype=torch.int32),
            probs=new(*rows, ones),
            deter_before=new(*rows, size),
            deter=new(*rows, size),
            input=action_part.clone(memory_format=torch.contiguous_format),
            gates=new(*rows, 3 * size),
            mean=new(rows),
            rstd=new(rows),
            hidden=embed_part.clone(memory_format=torch.contiguous_format),
        )
        logits = new(*rows, ones)
        begins = keep == 0
        for t in range(len(keep)):
            if t == 0:
                steps.before[0], steps.deter_before[0] = ones, 0.0
            else:
                torch.mul(steps.deter[t - 1], keep[t], out=steps.deter_before[t])
                steps.before[t].copy_(steps.places[t - 1]).masked_fill_(begins[t], ones)
            _step(t, steps, w, table)
            add_product(w.logit_bias, steps.hidden[t], w.logit.T, logits[t])
            native.pick(logits[t], uniform[t], steps.probs[t], steps.places[t])
        ctx.save_for_backward(keep, *steps, *parameters)
        stoch = torch.zeros_like(logits).scatter_(-1, steps.places.long(), 1.0)
        stoch.add_(logits, alpha=0)  # NaN goes on, so that it is found
        return steps.deter, stoch, logits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        keep, *saved = ctx.saved_tensors
        kept = len(_Steps._fields)
        s, w = _Steps(*saved[:kept]), Weights(*saved[kept:])
        of_input, of_deter = w.gates.split([len(w.stoch), w.deter.shape[1]], 1)
        to_logit, to_hidden = torch.empty_like(s.probs), torch.empty_like(s.hidden)
        to_gates, to_input = torch.empty_like(s.gates), torch.empty_like(s.input)
        sums = torch.zeros_like(w.norm), torch.zeros_like(w.norm_bias)
        to_deter, to_stoch = grads[0][-1], grads[1][-1]
        classes = s.probs.shape[-1] // s.places.shape[-1]
        for t in reversed(range(len(keep))):
            sampled = native.softmax_backward(to_stoch, s.probs[t], classes)
            torch.add(grads[2][t], sampled, out=to_logit[t])
            product(to_logit[t], w.logit, to_hidden[t])
            native.elu_backward_(to_hidden[t], s.hidden[t])
            to_deter = add_product(to_deter, to_hidden[t], w.deter)
            norm, statistics = (w.norm, w.norm_bias), (s.mean[t], s.rstd[t])
            inputs = (to_deter, s.gates[t], *norm, s.deter_before[t], statistics, sums)
            to_gates[t], before = native.gates_backward(*inputs)
            product(to_gates[t], of_input, to_input[t])
            native.elu_backward_(to_input[t], s.input[t])
            if t > 0:
                add_product(before, to_gates[t], of_deter, before)
                to_deter = torch.addcmul(grads[0][t - 1], before, keep[t])
                to_stoch = torch.addcmul(grads[1][t - 1], product(to_input[t], w.stoch), keep[t])
        return (
            to_input,
            to_hidden,
            None,
            None,
            *_of_weights(s, to_input, to_gates, sums, to_hidden, to_logit),
        )


def _step(t: int, steps: _Steps, w: Weights, table: Tensor) -> None:
    """From what is there: h and the posterior's hidden layer of step t."""
    size = len(w.stoch)
    native.add_rows(steps.input[t], steps.before[t], table, activate=True)
    add_product(w.gates_bias, steps.input[t], w.gates[:, :size].T, steps.gates[t])
    add_product(steps.gates[t], steps.deter_before[t], w.gates[:, size:].T, steps.gates[t])
    statistics, norm = (steps.mean[t], steps.rstd[t]), (w.norm, w.norm_bias)
    before, deter = steps.deter_before[t], steps.deter[t]
    native.gates(steps.gates[t], *norm, before, deter, statistics)
    native.elu_(add_product(steps.hidden[t], deter, w.deter.T, steps.hidden[t]))


def _of_weights(
    s: _Steps,
    to_input: Tensor,
    to_gates: Tensor,
    sums: tuple[Tensor, Tensor],
    to_hidden: Tensor,
    to_logit: Tensor,
) -> Weights:
    """Gradients of the weights from those of what they made, over all steps."""
    ones = s.probs.shape[-1]
    to_input, to_gates, to_hidden, to_logit = map(flat, (to_input, to_gates, to_hidden, to_logit))
    return Weights(
        stoch=native.sum_rows(to_input, flat(s.before), ones + 1)[:ones].T,
        gates=product(to_gates.T, torch.cat([flat(s.input), flat(s.deter_before)], 1)),
        gates_bias=to_gates.sum(0),
        norm=sums[0],
        norm_bias=sums[1],
        deter=product(to_hidden.T, flat(s.deter)),
        logit=product(to_logit.T, flat(s.hidden)),
        logit_bias=to_logit.sum(0),
    )
