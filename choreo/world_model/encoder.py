"""From observations to one embedding: an MLP for vectors, convolutions for images."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from choreo.envs.spaces import ArraySpec
from choreo.nn import MLP

IMAGE_KERNELS = (4, 4, 4, 4)


def preprocess(observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scale images (uint8) to x / 255 - 0.5 and leave vectors as they are.

    The only preprocessing in the house: acting and training both go through it.
    """
    return {
        key: value.float() / 255 - 0.5 if value.dtype == torch.uint8 else value
        for key, value in observation.items()
    }


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
            {key: nn.Parameter(torch.zeros(spec[key].shape), False) for key in self.keys}
        )
        self.scales = nn.ParameterDict(
            {key: nn.Parameter(torch.ones(spec[key].shape), False) for key in self.keys}
        )

    @torch.no_grad()
    def fit(self, observation: Mapping[str, Tensor], deviation: float = 1.0) -> None:
        """Take the statistics of vectors (N, D) and bring these to `deviation`."""
        deviations = {key: observation[key].std(0) for key in self.keys}
        largest = torch.cat(list(deviations.values())).max().clamp(min=1e-6)
        for key in self.keys:
            self.means[key].copy_(observation[key].mean(0))
            self.scales[key].copy_(deviations[key].clamp(min=largest / 20) / deviation)
        self.fitted.fill_(True)

    def forward(self, observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Standardise preprocessed vectors and leave images as they are."""
        scaled = {k: (observation[k] - self.means[k]) / self.scales[k] for k in self.keys}
        return dict(observation) | scaled

    def invert(self, observation: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """From standardised vectors back to the environment's units."""
        scaled = {k: observation[k] * self.scales[k] + self.means[k] for k in self.keys}
        return dict(observation) | scaled


class ImageEncoder(nn.Module):
    """Four convolutions of stride 2 with ELU; (..., C, 64, 64) to (..., 32 * depth)."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        sizes = [channels] + [depth * 2**i for i in range(len(IMAGE_KERNELS))]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, kernel, stride=2)
            for a, b, kernel in zip(sizes[:-1], sizes[1:], IMAGE_KERNELS, strict=True)
        )

    def forward(self, image: Tensor) -> Tensor:
        x = image.flatten(0, -4)
        for convolution in self.convolutions:
            x = F.elu(convolution(x))
        return x.flatten(1).unflatten(0, image.shape[:-3])


class Encoder(nn.Module):
    """Embeds every observation key and joins them: images one by one, vectors together."""

    def __init__(self, spec: Mapping[str, ArraySpec], layers: int, units: int, depth: int) -> None:
        super().__init__()
        self.image_keys = [key for key, array in spec.items() if array.dtype == "uint8"]
        self.vector_keys = [key for key, array in spec.items() if array.dtype != "uint8"]
        self.images = nn.ModuleDict(
            {key: ImageEncoder(spec[key].shape[0], depth) for key in self.image_keys}
        )
        inputs = sum(spec[key].shape[0] for key in self.vector_keys)
        self.vector = MLP(inputs, None, layers, units, norm=True) if self.vector_keys else None
        image_size = 32 * depth * len(self.image_keys)
        self.outputs = image_size + (units if self.vector else 0)

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """Embed preprocessed observations (..., shape of each key) to (..., outputs)."""
        parts = [self.images[key](observation[key]) for key in self.image_keys]
        if self.vector is not None:
            vectors = [observation[key] for key in self.vector_keys]
            parts.append(self.vector(torch.cat(vectors, -1) if len(vectors) > 1 else vectors[0]))
        return torch.cat(parts, -1) if len(parts) > 1 else parts[0]
