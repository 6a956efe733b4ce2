"""The recurrent state-space model and its KL loss.

Shapes: B sequences, T steps, N parallel states, D deterministic size, V variables of C classes.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from choreo import native
from choreo.nn import elu, one_hot_straight_through
from choreo.nn.gradient import apply
from choreo.nn.pieces import piece
from choreo.nn.precision import Linear, linear
from choreo.nn.sparse import SparseLinear
from choreo.nn.steps import Map, stepped
from choreo.world_model import fused


@dataclass(frozen=True)
class State:
    """Model state: deterministic h (..., D), stochastic s and its logits (..., V, C)."""

    deter: Tensor
    stoch: Tensor
    logit: Tensor

    @property
    def feat(self) -> Tensor:
        """Features [s, h], (..., V * C + D)."""
        return torch.cat([self.stoch.flatten(-2), self.deter], -1)

    def mode(self) -> "State":
        """The same state with the likeliest class of every variable in place of a sample."""
        likeliest = self.logit.argmax(-1, keepdim=True)
        stoch = torch.zeros_like(self.logit).scatter_(-1, likeliest, 1.0)
        return State(self.deter, stoch.add_(self.logit, alpha=0), self.logit)  # NaN goes on

    def detach(self) -> "State":
        """The same state without gradient."""
        return State(self.deter.detach(), self.stoch.detach(), self.logit.detach())

    def flatten(self) -> "State":
        """Merge the two leading axes: (B, T, ...) to (B * T, ...)."""
        return State(*(x.flatten(0, 1) for x in (self.deter, self.stoch, self.logit)))

    def __getitem__(self, index: Any) -> "State":
        return State(self.deter[index], self.stoch[index], self.logit[index])


class LayerNormGRU(nn.Module):
    """GRU cell with one LayerNorm over its three gates.

    Gates come in the order reset, candidate, update; the update gate is biased by -1, so that a
    new cell remembers. Source: authors' code (DreamerV2's cell).
    """

    def __init__(self, inputs: int, deter: int) -> None:
        super().__init__()
        self.linear = Linear(inputs + deter, 3 * deter)
        self.norm = nn.LayerNorm(3 * deter)

    def forward(self, x: Tensor, deter: Tensor) -> Tensor:
        """Map input (N, inputs) and h (N, D) to the next h (N, D)."""
        return self.update(self.linear(torch.cat([x, deter], -1)), deter)

    @piece
    def update(self, gates: Tensor, deter: Tensor) -> Tensor:
        """The same from what the linear map makes of both, (N, 3 D)."""
        if native.usable(gates):
            weight, bias = self.norm.weight, self.norm.bias
            return apply(_NativeGates, gates, weight, bias, deter)
        reset, candidate, update = self.norm(gates).chunk(3, -1)
        candidate = torch.tanh(torch.sigmoid(reset) * candidate)
        update = torch.sigmoid(update - 1)
        return deter + update * (candidate - deter)


class _NativeGates(torch.autograd.Function):
    """What follows the linear map in the cell above, as one kernel."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, bias: Tensor, deter: Tensor) -> Tensor:
        deter = deter.contiguous()
        statistics = gates.new_empty(len(gates)), gates.new_empty(len(gates))
        new = native.gates(gates, weight, bias, deter, torch.empty_like(deter), statistics)
        ctx.save_for_backward(gates, weight, bias, deter, *statistics)
        return new

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        gates, weight, bias, deter, *statistics = ctx.saved_tensors
        sums = torch.zeros_like(weight), torch.zeros_like(bias)
        kept = (gates, weight, bias, deter)
        to_gates, to_deter = native.gates_backward(grads[0], *kept, statistics, sums)
        return to_gates, *sums, to_deter


class RSSM(nn.Module):
    """h_t = cell(h_{t-1}, [s_{t-1}, a_{t-1}]); prior p(s_t | h_t); posterior q(s_t | h_t, e_t)."""

    def __init__(
        self, actions: int, embed: int, deter: int, hidden: int, variables: int, classes: int
    ) -> None:
        super().__init__()
        self.actions, self.deter = actions, deter
        self.variables, self.classes = variables, classes
        self.feat_size = variables * classes + deter
        logits = variables * classes
        self.input = SparseLinear(logits + actions, hidden)
        self.cell = LayerNormGRU(hidden, deter)
        self.prior_hidden = Linear(deter, hidden)
        self.prior_logit = Linear(hidden, logits)
        self.posterior_hidden = Linear(deter + embed, hidden)
        self.posterior_logit = Linear(hidden, logits)

    def initial(self, num: int) -> State:
        """Zero state of `num` rows: what every episode starts from."""
        weight = self.input.weight
        stoch = weight.new_zeros(num, self.variables, self.classes)
        return State(weight.new_zeros(num, self.deter), stoch, stoch)

    def prior_logits(self, deter: Tensor) -> Tensor:
        """Logits of p(s | h), (..., V, C)."""
        logit = self.prior_logit(F.elu_(self.prior_hidden(deter)))
        return logit.unflatten(-1, (self.variables, self.classes))

    def imagine_step(
        self, state: State, action: Tensor, generator: torch.Generator | None = None
    ) -> State:
        """One step of the prior from `state` under `action` (N, A)."""
        return self.prior_step(state, action, self._uniform((len(action),), generator))

    def prior_step(self, state: State, action: Tensor, uniform: Tensor) -> State:
        """The same, sampled at uniform numbers (N, V)."""
        inputs = torch.cat([state.stoch.flatten(-2), action], -1)
        deter = self.cell(F.elu_(self.input(inputs)), state.deter)
        logit = self.prior_logits(deter)
        return State(deter, one_hot_straight_through(logit, uniform), logit)

    def _uniform(self, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
        weight, full = self.input.weight, (*shape, self.variables)
        return torch.rand(full, generator=generator, device=weight.device, dtype=weight.dtype)

    def observe_step(
        self,
        state: State,
        action: Tensor,
        embed: Tensor,
        is_first: Tensor,
        generator: torch.Generator | None = None,
        uniform: Tensor | None = None,
    ) -> State:
        """One step of the posterior: `action` (N, A) led to the observation embedded in `embed`.

        Rows with `is_first` (N,) start an episode: their previous state and action become zero.
        The state is sampled at `uniform` (N, V), drawn from `generator` where it is not given.
        """
        if uniform is None:
            uniform = self._uniform((len(action),), generator)
        keep = (~is_first).to(embed.dtype).unsqueeze(-1)
        given = action * keep
        maps = _Maps(
            input=lambda stoch: self.input(torch.cat([stoch, given], -1)),
            gates=self.cell.linear,
            hidden=lambda deter: self.posterior_hidden(torch.cat([deter, embed], -1)),
            logit=self.posterior_logit,
        )
        return self._observe_step(state, keep, maps, uniform)

    def observe(
        self,
        embed: Tensor,
        action: Tensor,
        is_first: Tensor,
        generator: torch.Generator | None = None,
        uniform: Tensor | None = None,
    ) -> tuple[State, Tensor]:
        """Filter a batch from the zero state.

        Takes embed (B, T, E), action (B, T, A), is_first (B, T) and, where it is not to be drawn
        here, what states are sampled at, uniform (T, B, V); returns the posterior states
        (B, T, ...) and the logits of the priors (B, T, V, C).
        """
        if uniform is None:
            uniform = self._uniform((embed.shape[1], embed.shape[0]), generator)
        embed, action, is_first = (x.transpose(0, 1) for x in (embed, action, is_first))
        keep = (~is_first).to(embed.dtype).unsqueeze(-1)
        parts = self._action_part(action * keep), self._embed_part(embed), keep, uniform
        observe = self._observe_fused if native.usable(embed, uniform) else self._observe_steps
        posterior = observe(*parts)
        return posterior, self.prior_logits(posterior.deter)

    def _observe_steps(
        self, action_part: Tensor, embed_part: Tensor, keep: Tensor, uniform: Tensor
    ) -> State:
        """Every step by autograd; inputs (T, B, ...), states (B, T, ...)."""
        of_stoch, of_deter = self._recurrent_weights()
        gates, logit = self.cell.linear, self.posterior_logit
        maps = _Maps(
            input=stepped(of_stoch, action_part),
            gates=stepped(gates.weight, gates.bias.expand(*keep.shape[:2], -1)),
            hidden=stepped(of_deter, embed_part),
            logit=stepped(logit.weight, logit.bias.expand(*keep.shape[:2], -1)),
        )
        state, states = self.initial(keep.shape[1]), []
        for keep_t, uniform_t in zip(keep, uniform, strict=True):
            state = self._observe_step(state, keep_t, maps, uniform_t)
            states.append(state)
        return stack_states(states, 1)

    def _observe_fused(
        self, action_part: Tensor, embed_part: Tensor, keep: Tensor, uniform: Tensor
    ) -> State:
        """The same in place (choreo/world_model/fused.py)."""
        stoch_weight, deter_weight = self._recurrent_weights()
        gates, norm, logit = self.cell.linear, self.cell.norm, self.posterior_logit
        weights = fused.Weights(
            *(stoch_weight, gates.weight, gates.bias, norm.weight, norm.bias),
            *(deter_weight, logit.weight, logit.bias),
        )
        parts = fused.observe(action_part, embed_part, keep, uniform, weights)
        deter, stoch, logits = (x.transpose(0, 1) for x in parts)
        shape = (self.variables, self.classes)
        return State(deter, stoch.unflatten(-1, shape), logits.unflatten(-1, shape))

    def _observe_step(self, state: State, keep: Tensor, maps: "_Maps", uniform: Tensor) -> State:
        before = state.deter * keep
        x = elu(maps.input(state.stoch.flatten(-2) * keep))
        deter = self.cell.update(maps.gates(torch.cat([x, before], -1)), before)
        logit = maps.logit(elu(maps.hidden(deter)))
        logit = logit.unflatten(-1, (self.variables, self.classes))
        return State(deter, one_hot_straight_through(logit, uniform), logit)

    # A linear map of [x, y] is the sum of a map of x and a map of y: the parts that do not depend
    # on the recurrence are computed for all steps at once.

    def _action_part(self, action: Tensor) -> Tensor:
        return linear(action, self.input.weight[:, -action.shape[-1] :], self.input.bias)

    def _embed_part(self, embed: Tensor) -> Tensor:
        layer = self.posterior_hidden
        return linear(embed, layer.weight[:, self.deter :], layer.bias)

    def _recurrent_weights(self) -> tuple[Tensor, Tensor]:
        """What maps s to the cell's input, and h to the posterior; cut out once per sequence."""
        logits = self.variables * self.classes
        return self.input.weight[:, :logits], self.posterior_hidden.weight[:, : self.deter]


class _Maps(NamedTuple):
    """The linear maps of a step of the posterior, with what observation and action add."""

    input: Map  # of s, to the cell's input
    gates: Map  # of that input and h
    hidden: Map  # of the new h, to the posterior's hidden layer
    logit: Map


def stack_states(states: list[State], dim: int) -> State:
    """Stack states along a new time axis."""
    return State(
        torch.stack([s.deter for s in states], dim),
        torch.stack([s.stoch for s in states], dim),
        torch.stack([s.logit for s in states], dim),
    )


def categorical_kl(p_log: Tensor, q_log: Tensor) -> Tensor:
    """KL(p, q) in nats of (..., V, C) log-probabilities, summed over the variables, (...)."""
    return (p_log.exp() * (p_log - q_log)).sum((-2, -1))


def kl_balance(
    posterior: Tensor, prior: Tensor, balance: float = 0.8, free: float = 1.0
) -> tuple[Tensor, Tensor]:
    """KL loss with balancing and free nats; returns the loss and KL(post, prior) per step.

    `balance` weighs the term that trains the prior; free nats apply to the mean of each side.
    Source: paper section 2 (DreamerV2's KL balancing).
    """
    if native.usable(posterior, prior):
        value: Tensor = _BalancedKL.apply(posterior, prior, balance)  # pyright: ignore
        return value.mean().clamp(min=free), value.detach()
    posterior, prior = torch.log_softmax(posterior, -1), torch.log_softmax(prior, -1)
    value = categorical_kl(posterior.detach(), prior)
    train_prior = value.mean().clamp(min=free)
    train_posterior = categorical_kl(posterior, prior.detach()).mean().clamp(min=free)
    return balance * train_prior + (1 - balance) * train_posterior, value.detach()


class _BalancedKL(torch.autograd.Function):
    """KL(post, prior) per step, summed over the variables; both terms above have this value.

    The gradient of the prior is multiplied by `balance`, that of the posterior by the rest.
    """

    @staticmethod
    def forward(ctx: Any, posterior: Tensor, prior: Tensor, balance: float) -> Tensor:
        value, *gradients = native.kl(posterior, prior)
        ctx.save_for_backward(*gradients)
        ctx.balance = balance
        return value.sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        grad = grads[0][..., None, None]
        to_posterior, to_prior = ctx.saved_tensors
        return (1 - ctx.balance) * grad * to_posterior, ctx.balance * grad * to_prior, None
