"""From observations to one embedding: an MLP for vectors, convolutions for images."""

from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from choreo.envs.spaces import ArraySpec
from choreo.nn import MLP, module_name
from choreo.nn.layers import elu
from choreo.nn.precision import convolve
from choreo.world_model.images import (
    ENCODER_KERNEL,
    FEW_IMAGES,
    FewImages,
    channel_widths,
    channels_last,
    decoder_kernels,
    embedding_size,
    images_at_once,
    in_pairs,
    layer_weights,
    map_chunks,
    scale_image,
)


def preprocess(observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scale images (uint8) to x / 255 - 0.5 and leave vectors as they are.

    The only preprocessing in the house. Encoder and decoder do it to what is still uint8 when they
    come to it, so that a batch need not be held as floats, which take four times the memory.
    """
    return {key: scale_image(value) for key, value in observation.items()}


class Standardizer(nn.Module):
    """Brings vectors to zero mean and one deviation with statistics fixed once, at the start.

    Until `fit` it is the identity. The decoder is a Gaussian of deviation 1, so the deviation that
    vectors are brought to decides how finely the model must tell them apart. A deviation counts at
    least 1/20 of the largest one, so that entries which hardly moved at first are not blown up.
    Source: ours; the paper has none.
    """

    fitted: Tensor

    def __init__(self, spec: Mapping[str, ArraySpec]) -> None:
        super().__init__()
        self.keys = [key for key, array in spec.items() if array.dtype != "uint8"]
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))
        self.means = nn.ParameterDict(
            {module_name(k): nn.Parameter(torch.zeros(spec[k].shape), False) for k in self.keys}
        )
        self.scales = nn.ParameterDict(
            {module_name(k): nn.Parameter(torch.ones(spec[k].shape), False) for k in self.keys}
        )

    @torch.no_grad()
    def fit(
        self, observation: Mapping[str, Tensor], deviation: float = 1.0, floor: float = 0.05
    ) -> None:
        """Take the statistics of vectors (N, D) and bring these to `deviation`.

        Deviations below `floor` times the largest one count as that.
        """
        deviations = {key: observation[key].std(0) for key in self.keys}
        largest = torch.cat(list(deviations.values())).max().clamp(min=1e-6)
        for key in self.keys:
            mean, scale = self._statistics(key)
            mean.copy_(observation[key].mean(0))
            scale.copy_(deviations[key].clamp(min=largest * floor) / deviation)
        self.fitted.fill_(True)

    def forward(self, observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Standardise preprocessed vectors and leave images as they are."""
        scaled = {}
        for key in self.keys:
            mean, scale = self._statistics(key)
            scaled[key] = (observation[key] - mean) / scale
        return dict(observation) | scaled

    def invert(self, observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """From standardised vectors back to the environment's units."""
        scaled = {}
        for key in self.keys:
            mean, scale = self._statistics(key)
            scaled[key] = observation[key] * scale + mean
        return dict(observation) | scaled

    def _statistics(self, key: str) -> tuple[Tensor, Tensor]:
        name = module_name(key)
        return self.means[name], self.scales[name]


class ImageEncoder(nn.Module):
    """Convolutions of stride 2 with ELU down to 2 x 2 pixels; (..., C, S, S) to (..., outputs)."""

    def __init__(self, array: ArraySpec, depth: int) -> None:
        super().__init__()
        layers = len(decoder_kernels(array))
        self.outputs = embedding_size(depth, layers)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, ENCODER_KERNEL, stride=2)
            for a, b in pairwise([array.shape[0], *channel_widths(depth, layers)])
        )
        self._few = FewImages(self.convolutions)

    def forward(self, image: Tensor) -> Tensor:
        """Embed images, uint8 or scaled."""
        images = image.flatten(0, -4)
        if torch.compiler.is_exporting():  # of any number of images, so in one way for all
            embedded = _embed(images, [*self.convolutions.parameters()])
            return embedded.unflatten(0, image.shape[:-3])
        if len(images) <= FEW_IMAGES and not (image.is_cuda or torch.is_grad_enabled()):
            embedded = self._few(scale_image(images)).flatten(1)
            return embedded.unflatten(0, image.shape[:-3])
        weights = layer_weights(self.convolutions)
        rows = images_at_once(image.device, image.shape[-1])
        embedded = map_chunks(lambda chunk: _embed(chunk, weights), images, rows)
        return embedded.unflatten(0, image.shape[:-3])


def _embed(image: Tensor, weights: list[Tensor]) -> Tensor:
    x = scale_image(channels_last(image))
    for weight, bias in in_pairs(weights):
        x = elu(convolve(F.conv2d, x, weight, bias, stride=2))
    return x.flatten(1)


class Encoder(nn.Module):
    """Embeds every observation key and joins them: images one by one, vectors together."""

    def __init__(self, spec: Mapping[str, ArraySpec], layers: int, units: int, depth: int) -> None:
        super().__init__()
        self.image_keys = [key for key, array in spec.items() if array.dtype == "uint8"]
        self.vector_keys = [key for key, array in spec.items() if array.dtype != "uint8"]
        images = {module_name(key): ImageEncoder(spec[key], depth) for key in self.image_keys}
        self.images = nn.ModuleDict(images)
        self.outputs = sum(encoder.outputs for encoder in images.values())
        inputs = sum(spec[key].shape[0] for key in self.vector_keys)
        self.vector = MLP(inputs, None, layers, units, norm=True) if self.vector_keys else None
        self.outputs += units if self.vector else 0

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Embed observations (..., shape of each key) to (..., outputs); images may be uint8."""
        parts = [self.images[module_name(key)](observation[key]) for key in self.image_keys]
        if self.vector is not None:
            vectors = [observation[key] for key in self.vector_keys]
            parts.append(self.vector(torch.cat(vectors, -1) if len(vectors) > 1 else vectors[0]))
        return torch.cat(parts, -1) if len(parts) > 1 else parts[0]
