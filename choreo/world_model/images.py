"""Images: which layers a size takes, and how to compute them fast in little memory.

Shapes: N images of C channels and S x S pixels. All convolutions have stride 2. They work on
tensors in channels-last order, in which CPUs and GPUs multiply about twice as fast.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from choreo.envs.spaces import ArraySpec, check_image_size
from choreo.errors import UsageError
from choreo.nn.kept import Kept
from choreo.nn.layers import elu
from choreo.nn.precision import linear

ENCODER_KERNEL = 4
DECODER_KERNELS = {32: (5, 6, 6), 64: (5, 5, 6, 6), 128: (5, 5, 5, 6, 6)}
"""Kernels that lead from one pixel to exactly `size`. [paper: those of 64; ours: the others]"""

PIXELS_AT_ONCE = 2**20
"""Pixels that a CPU works on at a time: 256 images of 64 x 64. [ours]"""

FEW_IMAGES = 8
"""Images up to which a CPU takes `FewImages`; with more, convolutions are as fast. [ours]"""

Loss = Callable[..., Tensor]
"""From rows, their targets and weights to a sum over the rows, a scalar."""


def decoder_kernels(array: ArraySpec) -> tuple[int, ...]:
    """The decoder's kernels for images of this shape; the encoder has as many layers.

    Raises UsageError for images that are not square or of a size without layers.
    """
    _, height, width = array.shape
    if height != width:
        raise UsageError(
            f"images of {height} x {width} pixels were given; the world model takes square ones"
        )
    check_image_size(height)
    return DECODER_KERNELS[height]


def channel_widths(depth: int, layers: int) -> list[int]:
    """Channels after each layer of the encoder: `depth`, doubled from layer to layer."""
    return [depth * 2**layer for layer in range(layers)]


def embedding_size(depth: int, layers: int) -> int:
    """Numbers the encoder makes of an image: all sizes end at 2 x 2 pixels of the last width."""
    return 4 * channel_widths(depth, layers)[-1]


def scale_image(image: Tensor) -> Tensor:
    """Bring uint8 images (..., C, S, S) to x / 255 - 0.5; scaled ones stay as they are."""
    return image.float().div_(255).sub_(0.5) if image.dtype == torch.uint8 else image


def channels_last(image: Tensor) -> Tensor:
    """The same images (N, C, S, S) with the channels of a pixel side by side in memory."""
    return image.contiguous(memory_format=torch.channels_last)


def images_at_once(device: torch.device, size: int) -> int:
    """How many images of size x size pixels to work on at a time.

    On a CPU so many that what one layer hands to the next stays near the cache; on a GPU all.
    """
    return 2**31 if device.type == "cuda" else PIXELS_AT_ONCE // size**2


def layer_weights(layers: Iterable[nn.Module]) -> list[Tensor]:
    """Weight and bias of each convolution in turn, the weights in channels-last order."""
    return [
        _ChannelsLastWeight.apply(parameter) if parameter.dim() == 4 else parameter
        for layer in layers
        for parameter in layer.parameters()
    ]


class _ChannelsLastWeight(torch.autograd.Function):
    """A weight as the convolutions want it, once for all chunks.

    Its gradient comes back in the parameter's own order: fused optimisers read both as they lie in
    memory, without a look at strides.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        return weight.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> Tensor:
        return outputs[0].contiguous()


class FewImages:
    """Convolutions of stride 2 without padding, each with ELU, for few images and no gradient.

    With one image a CPU spends its time on bringing weights into the order it wants. Here that
    order is kept until the weights change, and a layer is a product of patches of pixels.
    """

    def __init__(self, layers: nn.ModuleList) -> None:
        self._layers = layers
        self._ordered = Kept(_ordered)

    def __call__(self, image: Tensor) -> Tensor:
        """Scaled images (N, C, S, S) to the last layer's pixels (N, O, S', S')."""
        x = image.permute(0, 2, 3, 1)  # a pixel's channels side by side
        for weight, bias in self._ordered(*self._layers.parameters()):
            x = elu(linear(_patches(x.contiguous()), weight, bias))
        return x.permute(0, 3, 1, 2)


def _ordered(*parameters: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Weights (O, 16 I) in the order of a patch, and biases."""
    pairs = in_pairs(parameters)
    return [(weight.permute(0, 2, 3, 1).flatten(1), bias) for weight, bias in pairs]


def _patches(x: Tensor) -> Tensor:
    """The 4 x 4 pixels that each output pixel sees, (N, S, S, C) to (N, S', S', 16 C)."""
    images, size, _, channels = x.shape
    row, outputs = size * channels, (size - ENCODER_KERNEL) // 2 + 1
    shape = (images, outputs, outputs, ENCODER_KERNEL, ENCODER_KERNEL * channels)
    return x.as_strided(shape, (size * row, 2 * row, 2 * channels, row, 1)).flatten(3)


def in_pairs(weights: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """(weight, bias) of layer after layer."""
    return zip(weights[::2], weights[1::2], strict=True)


def map_chunks(function: Callable[[Tensor], Tensor], x: Tensor, rows: int) -> Tensor:
    """`function(x)`, computed `rows` rows at a time."""
    parts = [function(part) for part in x.split(rows)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def sum_chunks(
    loss: Loss, x: Tensor, target: Tensor, weights: Sequence[Tensor], rows: int
) -> Tensor:
    """`loss(x, target, *weights)`, a sum over rows, computed `rows` rows at a time.

    Each chunk's gradients are taken right after its loss, so that the activations of one chunk
    alone are ever alive; the scalar that comes out has them ready for its own backward pass.
    """
    if len(x) > rows and torch.is_grad_enabled():
        return _SumChunks.apply(loss, rows, x, target, *weights)
    parts = zip(x.split(rows), target.split(rows), strict=True)
    return torch.stack([loss(part, goal, *weights) for part, goal in parts]).sum()


class _SumChunks(torch.autograd.Function):
    """See `sum_chunks`."""

    @staticmethod
    def forward(
        ctx: Any, loss: Loss, rows: int, x: Tensor, target: Tensor, *weights: Tensor
    ) -> Tensor:
        values, x_gradients = [], []
        leaves = [weight.detach().requires_grad_() for weight in weights]
        sums = [torch.zeros_like(weight) for weight in weights]
        for part, goal in zip(x.split(rows), target.split(rows), strict=True):
            with torch.enable_grad():
                part = part.detach().requires_grad_()
                value = loss(part, goal, *leaves)
            x_gradient, *gradients = torch.autograd.grad(value, (part, *leaves))
            for total, gradient in zip(sums, gradients, strict=True):
                total.add_(gradient)
            x_gradients.append(x_gradient)
            values.append(value.detach())
        ctx.save_for_backward(torch.cat(x_gradients), *sums)
        return torch.stack(values).sum()

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        x_gradient, *sums = (gradient * outputs[0] for gradient in ctx.saved_tensors)
        return None, None, x_gradient, None, *sums


def grow_from_one_pixel(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Transposed convolution of one pixel, (N, I) to (N, O, K, K): a plain matrix product.

    `weight` (I, O, K, K) and `bias` (O,) are those of `ConvTranspose2d`.
    """
    outputs, *kernel = weight.shape[1:]
    pixels = kernel[0] * kernel[1]
    grown = linear(x, weight.flatten(1).t(), bias.repeat_interleave(pixels))
    return grown.unflatten(1, (outputs, *kernel))


def transpose_to_few(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Transposed convolution of stride 2 to few channels, (N, I, S, S) to (N, O, 2S - 2 + K, ...).

    `weight` (I, O, K, K) with K even and `bias` (O,) are those of `ConvTranspose2d`. CPUs compute
    it four times faster as a convolution of stride 1 whose outputs are shuffled into pixels.
    """
    if x.is_cuda:
        return F.conv_transpose2d(x, weight, bias, stride=2)
    return _TransposeToFew.apply(x, weight, bias)


class _TransposeToFew(torch.autograd.Function):
    """Forward by pixel shuffle; the backward pass of the transposed form is fast as it is."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        padding = weight.shape[-1] // 2 - 1
        quarters = F.conv2d(x, quarter_kernels(weight), bias.repeat_interleave(4), 1, padding)
        return F.pixel_shuffle(quarters, 2)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, zero, one, transposed, groups = [2, 2], [0, 0], [1, 1], True, 1
        return torch.ops.aten.convolution_backward(
            outputs[0], x, weight, [weight.shape[1]],
            stride, zero, one, transposed, zero, groups, ctx.needs_input_grad,
        )  # fmt: skip


def quarter_kernels(weight: Tensor) -> Tensor:
    """Kernels (4 O, I, K/2, K/2) whose outputs, shuffled, are the transposed convolution's.

    Output pixel (2i + a, 2j + b) gets y[2i + a] = sum_m x[i - m] w[2m + a], and the same along
    the other axis: only weights of its own parity (a, b) reach it.
    """
    half = weight.shape[-1] // 2
    parities = weight.unflatten(3, (half, 2)).unflatten(2, (half, 2))  # (I, O, K/2, a, K/2, b)
    return parities.permute(1, 3, 5, 0, 2, 4).flatten(0, 2).flip(-2, -1)
