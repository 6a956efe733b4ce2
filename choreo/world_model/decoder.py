"""From model features back to observations, as means of unit-variance Gaussians."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from choreo.envs.spaces import ArraySpec
from choreo.nn import MLP, gaussian_log_prob, module_name
from choreo.nn.distributions import LOG_SQRT_2PI
from choreo.nn.layers import elu
from choreo.nn.precision import Linear, convolve
from choreo.world_model.encoder import preprocess
from choreo.world_model.images import (
    channel_widths,
    channels_last,
    decoder_kernels,
    embedding_size,
    grow_from_one_pixel,
    images_at_once,
    in_pairs,
    layer_weights,
    map_chunks,
    scale_image,
    sum_chunks,
    transpose_to_few,
)


class ImageDecoder(nn.Module):
    """A linear map and transposed convolutions of stride 2 with ELU; (..., F) to (..., C, S, S)."""

    def __init__(self, inputs: int, array: ArraySpec, depth: int) -> None:
        super().__init__()
        kernels = decoder_kernels(array)
        widths = channel_widths(depth, len(kernels))[-2::-1]
        sizes = [embedding_size(depth, len(kernels)), *widths, array.shape[0]]
        self.input = Linear(inputs, sizes[0])
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(a, b, kernel, stride=2)
            for (a, b), kernel in zip(pairwise(sizes), kernels, strict=True)
        )
        self.pixels = array.shape[-1]

    def forward(self, feat: Tensor) -> Tensor:
        """Mean of the scaled image."""
        start, weights = self._start(feat.flatten(0, -2)), self._later_weights()
        rows = images_at_once(feat.device, self.pixels)
        mean = map_chunks(lambda chunk: _grow(chunk, weights), start, rows)
        return mean.unflatten(0, feat.shape[:-1])

    def loss(self, feat: Tensor, image: Tensor) -> Tensor:
        """Mean over all images, uint8 or scaled, of the negative log-density of an image."""
        start, images = self._start(feat.flatten(0, -2)), image.flatten(0, -4)
        rows = images_at_once(feat.device, self.pixels)
        return sum_chunks(_loss, start, images, self._later_weights(), rows) / len(images)

    def _start(self, feat: Tensor) -> Tensor:
        """From features (N, F) to the first layer's K x K pixels, (N, O, K, K)."""
        weight, bias = self.convolutions[0].parameters()
        return grow_from_one_pixel(self.input(feat), weight, bias)

    def _later_weights(self) -> list[Tensor]:
        return layer_weights(self.convolutions[1:])


def _grow(start: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """From the first layer's pixels to those of the image, (N, C, S, S)."""
    *layers, last = in_pairs(weights)
    x = F.elu(channels_last(start))
    for weight, bias in layers:
        x = elu(convolve(F.conv_transpose2d, x, weight, bias, stride=2))
    return convolve(transpose_to_few, x, *last)


def _loss(start: Tensor, image: Tensor, *weights: Tensor) -> Tensor:
    """Negative log-density under unit-variance Gaussians, summed over images and pixels."""
    target = scale_image(channels_last(image))
    squares = F.mse_loss(_grow(start, weights), target, reduction="sum")
    return 0.5 * squares + target.numel() * LOG_SQRT_2PI


class VectorDecoder(nn.Module):
    """One MLP trunk with a linear head for each vector key."""

    def __init__(self, inputs: int, spec: Mapping[str, ArraySpec], layers: int, units: int) -> None:
        super().__init__()
        self.trunk = MLP(inputs, None, layers, units, norm=True)
        self.keys = list(spec)
        self.heads = nn.ModuleDict(
            {module_name(key): Linear(units, array.shape[0]) for key, array in spec.items()}
        )

    def forward(self, feat: Tensor) -> dict[str, Tensor]:
        x = self.trunk(feat)
        return {key: self.heads[module_name(key)](x) for key in self.keys}


class Decoder(nn.Module):
    """Predicts the mean of every preprocessed observation key from features (..., F)."""

    def __init__(
        self, inputs: int, spec: Mapping[str, ArraySpec], layers: int, units: int, depth: int
    ) -> None:
        super().__init__()
        images = {key: array for key, array in spec.items() if array.dtype == "uint8"}
        vectors = {key: array for key, array in spec.items() if array.dtype != "uint8"}
        self.ranks = {key: len(array.shape) for key, array in spec.items()}
        self.image_keys = list(images)
        self.images = nn.ModuleDict(
            {module_name(key): ImageDecoder(inputs, images[key], depth) for key in images}
        )
        self.vector = VectorDecoder(inputs, vectors, layers, units) if vectors else None

    def forward(self, feat: Tensor) -> dict[str, Tensor]:
        means = {key: self.images[module_name(key)](feat) for key in self.image_keys}
        return means | (self.vector(feat) if self.vector is not None else {})

    def log_prob(self, feat: Tensor, observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Log-density of observations by key, each (...); images may be uint8.

        The plain form of `loss`, which is what is trained.
        """
        target = preprocess(observation)
        return {
            key: gaussian_log_prob(mean, target[key], self.ranks[key])
            for key, mean in self(feat).items()
        }

    def loss(self, feat: Tensor, observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Mean of the negative log-density by key, scalars; images may be uint8."""
        losses = {}
        for key in self.image_keys:
            decoder = self.images[module_name(key)]
            assert isinstance(decoder, ImageDecoder)
            losses[key] = decoder.loss(feat, observation[key])
        for key, mean in (self.vector(feat) if self.vector is not None else {}).items():
            losses[key] = -gaussian_log_prob(mean, observation[key]).mean()
        return losses
