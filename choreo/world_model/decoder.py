"""From model features back to observations, as means of unit-variance Gaussians."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from choreo.envs.spaces import ArraySpec
from choreo.nn import MLP, gaussian_log_prob

IMAGE_KERNELS = (5, 5, 6, 6)


class ImageDecoder(nn.Module):
    """A linear map and four transposed convolutions of stride 2; (..., F) to (..., C, 64, 64)."""

    def __init__(self, inputs: int, channels: int, depth: int) -> None:
        super().__init__()
        sizes = [32 * depth, 4 * depth, 2 * depth, depth, channels]
        self.input = nn.Linear(inputs, sizes[0])
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(a, b, kernel, stride=2)
            for a, b, kernel in zip(sizes[:-1], sizes[1:], IMAGE_KERNELS, strict=True)
        )

    def forward(self, feat: Tensor) -> Tensor:
        x = self.input(feat).flatten(0, -2)[:, :, None, None]
        for convolution in self.convolutions[:-1]:
            x = F.elu(convolution(x))
        return self.convolutions[-1](x).unflatten(0, feat.shape[:-1])


class VectorDecoder(nn.Module):
    """One MLP trunk with a linear head for each vector key."""

    def __init__(self, inputs: int, spec: Mapping[str, ArraySpec], layers: int, units: int) -> None:
        super().__init__()
        self.trunk = MLP(inputs, None, layers, units, norm=True)
        self.heads = nn.ModuleDict(
            {key: nn.Linear(units, array.shape[0]) for key, array in spec.items()}
        )

    def forward(self, feat: Tensor) -> dict[str, Tensor]:
        x = self.trunk(feat)
        return {key: head(x) for key, head in self.heads.items()}


class Decoder(nn.Module):
    """Predicts the mean of every preprocessed observation key from features (..., F)."""

    def __init__(
        self, inputs: int, spec: Mapping[str, ArraySpec], layers: int, units: int, depth: int
    ) -> None:
        super().__init__()
        images = {key: array for key, array in spec.items() if array.dtype == "uint8"}
        vectors = {key: array for key, array in spec.items() if array.dtype != "uint8"}
        self.ranks = {key: len(array.shape) for key, array in spec.items()}
        self.images = nn.ModuleDict(
            {key: ImageDecoder(inputs, array.shape[0], depth) for key, array in images.items()}
        )
        self.vector = VectorDecoder(inputs, vectors, layers, units) if vectors else None

    def forward(self, feat: Tensor) -> dict[str, Tensor]:
        means = {key: decoder(feat) for key, decoder in self.images.items()}
        return means | (self.vector(feat) if self.vector is not None else {})

    def log_prob(self, feat: Tensor, observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Log-density of preprocessed observations by key, each (...)."""
        return {
            key: gaussian_log_prob(mean, observation[key], self.ranks[key])
            for key, mean in self(feat).items()
        }
