"""The skill space: encoder of model states, codebook, decoder of codes."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from choreo.nn import MLP
from choreo.skills.codebook import Codebook
from choreo.skills.diayn import Discriminator


@dataclass(frozen=True)
class SkillConfig:
    """Skill discovery and skill learning settings."""

    kind: Literal["codebook", "diayn"] = "codebook"
    """Where skills come from: a codebook of model states, or a discriminator that tells them apart
    (the classic baseline). [paper: codebook]"""
    codes: int = 64
    """Number of skills. [paper]"""
    code_size: int = 16
    """Dimension of a code. [authors]"""
    layers: int = 4
    """Hidden layers of skill encoder and decoder. [authors]"""
    units: int = 400
    """Units of each of these layers. [authors]"""
    decay: float = 0.99
    """Decay of the codebook's moving averages. [authors]"""
    commitment: float = 1e-4
    """Weight of the commitment loss. [authors]"""
    resample_every: int = 200
    """Updates between two checks for unused codes; 0 turns resampling off. [paper]"""
    neighbours: int = 30
    """Nearest neighbours of the entropy reward, the state itself included. [authors]"""
    entropy_clip: float = 1e-4
    """Distance below which a neighbour counts as zero. [authors]"""
    code_scale: float = 1.0
    """Weight of r_code. [paper: unweighted]"""
    entropy_scale: float = 1.0
    """Weight of r_ent. [paper: unweighted]"""


class SkillSpace(nn.Module):
    """Maps model states h (..., D) to codes and codes back to h (paper section 3.1).

    With a discriminator, that names the skill of a state, and a skill stands for its mean state;
    autoencoder and codebook then learn nothing.
    """

    resampled: Tensor

    def __init__(self, deter: int, config: SkillConfig) -> None:
        super().__init__()
        self.config = config
        sizes = (config.layers, config.units)
        self.encoder = MLP(deter, config.code_size, *sizes, norm=True)
        self.decoder = MLP(config.code_size, deter, *sizes, norm=True)
        self.codebook = Codebook(config.codes, config.code_size, config.decay)
        self.discriminator = Discriminator(deter, config) if config.kind == "diayn" else None
        self.register_buffer("resampled", torch.zeros((), dtype=torch.int64))  # in total

    def nearest_code(self, deter: Tensor) -> Tensor:
        """Index of the code nearest to the encoding of h (..., D), (...)."""
        if self.discriminator is not None:
            return self.discriminator.nearest(deter)
        return self.codebook.nearest(self.encoder(deter))

    def code_distances(self, deter: Tensor) -> Tensor:
        """Distance of the encoded h (N, D) to every code, (N, K); DIAYN's is -log q(z | h)."""
        if self.discriminator is not None:
            return -self.discriminator.logits(deter).log_softmax(-1)
        return torch.cdist(self.encoder(deter), self.codebook.codes)

    def decoded_codes(self) -> Tensor:
        """D(code) of every code, (K, D)."""
        if self.discriminator is not None:
            return self.discriminator.means
        return self.decoder(self.codebook.codes)

    def loss(self, deter: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruction + commitment on h (N, D); moves the codebook.

        The output uses the codebook from before the move. Source: paper section 3.1, equation 3.
        """
        z = self.encoder(deter)
        quantised, index = self.codebook.quantise(z)
        reconstruction = F.mse_loss(self.decoder(quantised), deter)
        commitment = F.mse_loss(z, quantised.detach())
        self.codebook.update(z.detach(), index)
        metrics = {"reconstruction": reconstruction.detach(), "commitment": commitment.detach()}
        metrics["perplexity"] = self.codebook.perplexity()
        return reconstruction + self.config.commitment * commitment, metrics

    @torch.no_grad()
    def maybe_resample(self, deter: Tensor, update: int, generator: torch.Generator) -> None:
        """After every `resample_every` updates, replace the codes that were never chosen."""
        if self.config.resample_every and update % self.config.resample_every == 0:
            self.resampled += self.codebook.resample(self.encoder(deter), generator)
