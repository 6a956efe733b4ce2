"""The world model: what it is made of, its loss, and what it predicts without observations."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from choreo.envs.spaces import EnvSpec
from choreo.nn import MLP, Inputs, gaussian_log_prob
from choreo.world_model.decoder import Decoder
from choreo.world_model.encoder import Encoder, Standardizer
from choreo.world_model.rssm import RSSM, State, kl_balance

TERMS = ("kl", "reward")
"""Terms of the loss beside those of the observations, which are named as these are."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and loss settings of the world model."""

    deter: int = 200
    """Size of the deterministic state h. [paper]"""
    hidden: int = 200
    """Units of the one hidden layer of cell input, prior and posterior. [authors]"""
    variables: int = 32
    """Categorical variables of the stochastic state s. [paper]"""
    classes: int = 32
    """Classes of each variable. [paper]"""
    layers: int = 4
    """Hidden layers of the vector encoder, vector decoder and reward head. [authors]"""
    units: int = 400
    """Units of each of these layers. [authors]"""
    image_depth: int = 48
    """Channels of the first image convolution. [paper]"""
    standardize: float = 0.0
    """Deviation that vectors are brought to, with the statistics of the data before the first
    update; 0 leaves them as they are. For environments whose observations are tiny or huge.
    [ours; paper: 0]"""
    standardize_floor: float = 0.05
    """Smallest deviation of an entry that counts, as a share of the largest one. [ours]"""
    kl_balance: float = 0.8
    """Weight of the KL term that trains the prior. [authors]"""
    kl_free: float = 1.0
    """Free nats on the mean of each KL term. [authors]"""


@dataclass(frozen=True)
class Batch:
    """Replay sequences on the agent's device; B sequences of T steps.

    observation: as replay holds them, images uint8, each (B, T, shape); action (B, T, A) led to the
    observation of the same index; reward (B, T); is_first, is_terminal (B, T) bool.
    """

    observation: Mapping[str, Tensor]
    action: Tensor
    reward: Tensor
    is_first: Tensor
    is_terminal: Tensor

    @staticmethod
    def from_tensors(data: Mapping[str, Tensor], observations: list[str]) -> "Batch":
        """Pick what the model needs from tensors named as in replay."""
        return Batch(
            observation={key: data[key] for key in observations},
            action=data["action"],
            reward=data["reward"],
            is_first=data["is_first"],
            is_terminal=data["is_terminal"],
        )


@dataclass(frozen=True)
class ModelOutput:
    """Posterior states (B, T, ...), their features (B, T, F) and KL(post, prior) in nats (B, T)."""

    posterior: State
    feat: Tensor
    kl: Tensor


class WorldModel(nn.Module):
    """Encoder, recurrent state-space model, decoder and reward head."""

    def __init__(self, spec: EnvSpec, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        self.standardizer = Standardizer(spec.observations)
        self.encoder = Encoder(spec.observations, c.layers, c.units, c.image_depth)
        self.rssm = RSSM(
            spec.action_size, self.encoder.outputs, c.deter, c.hidden, c.variables, c.classes
        )
        self.feat_size = self.rssm.feat_size
        self.decoder = Decoder(self.feat_size, spec.observations, c.layers, c.units, c.image_depth)
        self.reward = MLP(self.feat_size, 1, c.layers, c.units)

    def loss(
        self,
        batch: Batch,
        reward_gradient: bool,
        generator: torch.Generator | None = None,
        uniform: Tensor | None = None,
        reward_weight: float = 1.0,
    ) -> tuple[Tensor, ModelOutput, dict[str, Tensor]]:
        """KL - log p(x | feat) - log p(r | feat) (paper section 2, equation 1).

        States are sampled at `uniform` (T, B, V), drawn from `generator` where it is not given.

        With `reward_gradient` the reward shapes the states (fine-tuning); without it the reward
        head learns from detached features (pre-training). `reward_weight` is that of its loss in
        the sum; the metric `loss_reward` is told without it.
        """
        observation = self.standardizer(batch.observation)
        embed = self.encoder(observation)
        posterior, prior = self.rssm.observe(
            embed, batch.action, batch.is_first, generator, uniform
        )
        kl_loss, kl = kl_balance(
            posterior.logit, prior, self.config.kl_balance, self.config.kl_free
        )
        feat = posterior.feat
        losses = {"kl": kl_loss}
        seen = self.decoder.loss(feat, observation)
        losses |= {f"observation/{key}" if key in TERMS else key: seen[key] for key in seen}
        reward = self.reward(feat if reward_gradient else feat.detach())
        losses["reward"] = -gaussian_log_prob(reward, batch.reward.unsqueeze(-1)).mean()
        metrics = {f"loss_{key}": value.detach() for key, value in losses.items()}
        metrics["kl"] = kl.mean()
        losses["reward"] = reward_weight * losses["reward"]
        total = torch.stack(list(losses.values())).sum()
        return total, ModelOutput(posterior.detach(), feat.detach(), kl), metrics

    def embed(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Embed observations (..., shape of each key), (..., E); images may be uint8."""
        return self.encoder(self.standardizer(observation))

    def decode(self, feat: Tensor) -> dict[str, Tensor]:
        """Mean of every preprocessed observation key, in the environment's units."""
        return self.standardizer.invert(self.decoder(feat))

    def predict_reward(self, feat: Inputs) -> Tensor:
        """Mean reward on arrival in states with features (..., F), (...)."""
        return self.reward(feat).squeeze(-1)

    @torch.no_grad()
    def open_loop(
        self, batch: Batch, context: int, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Filter the first `context` steps, then predict the rest from the actions alone.

        Returns the predicted observation means by key, (B, T - context, shape).
        """
        head = {key: value[:, :context] for key, value in batch.observation.items()}
        posterior, _ = self.rssm.observe(
            self.embed(head), batch.action[:, :context], batch.is_first[:, :context], generator
        )
        state, feats = posterior[:, -1], []
        for action in batch.action[:, context:].unbind(1):
            state = self.rssm.imagine_step(state, action, generator)
            feats.append(state.feat)
        return self.decode(torch.stack(feats, 1))
