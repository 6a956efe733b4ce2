"""Convolutions in other forms, chunks and late scaling change nothing but time and memory."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from choreo.envs.spaces import IMAGE_SIZES, ArraySpec
from choreo.errors import UsageError
from choreo.nn import Optimizer, OptimizerConfig
from choreo.world_model import images
from choreo.world_model.decoder import Decoder, ImageDecoder
from choreo.world_model.encoder import Encoder, ImageEncoder, preprocess


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def random_images(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def assert_same_with_gradients(
    one: torch.Tensor, other: torch.Tensor, inputs: list[Tensor], tolerance: float = 1e-5
) -> None:
    torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance)
    upstream = noise(*one.shape, seed=9)
    pairs = zip(
        torch.autograd.grad(one, inputs, upstream),
        torch.autograd.grad(other, inputs, upstream),
        strict=True,
    )
    for mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("kernel", [2, 4, 6, 8])
@pytest.mark.parametrize(("inputs", "outputs", "size"), [(5, 3, 7), (2, 1, 1), (3, 4, 2)])
def test_transposed_to_few_channels_is_the_transposed_convolution(
    kernel: int, inputs: int, outputs: int, size: int
) -> None:
    x = noise(3, inputs, size, size).double().requires_grad_()
    weight = noise(inputs, outputs, kernel, kernel, seed=1).double().requires_grad_()
    bias = noise(outputs, seed=2).double().requires_grad_()
    plain = F.conv_transpose2d(x, weight, bias, stride=2)
    ours = images.transpose_to_few(x, weight, bias)
    assert_same_with_gradients(ours, plain, [x, weight, bias], 1e-10)


@pytest.mark.parametrize(("inputs", "outputs", "kernel"), [(7, 4, 5), (3, 1, 2), (2, 6, 6)])
def test_growing_from_one_pixel_is_the_transposed_convolution(
    inputs: int, outputs: int, kernel: int
) -> None:
    x = noise(3, inputs).double().requires_grad_()
    weight = noise(inputs, outputs, kernel, kernel, seed=1).double().requires_grad_()
    bias = noise(outputs, seed=2).double().requires_grad_()
    plain = F.conv_transpose2d(x[:, :, None, None], weight, bias, stride=2)
    ours = images.grow_from_one_pixel(x, weight, bias)
    assert_same_with_gradients(ours, plain, [x, weight, bias], 1e-10)


def plain_embed(encoder: ImageEncoder, image: Tensor) -> Tensor:
    x = image
    for convolution in encoder.convolutions:
        x = F.elu(convolution(x))
    return x.flatten(1)


def plain_decode(decoder: ImageDecoder, feat: Tensor) -> Tensor:
    x = decoder.input(feat)[:, :, None, None]
    for convolution in decoder.convolutions[:-1]:
        x = F.elu(convolution(x))
    return decoder.convolutions[-1](x)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", IMAGE_SIZES)
def test_codec_of_every_size_equals_its_plain_layers(size: int, channels: int) -> None:
    array = ArraySpec((channels, size, size), "uint8")
    encoder, decoder = ImageEncoder(array, 2), ImageDecoder(6, array, 2)
    image, feat = preprocess({"image": random_images(2, *array.shape)})["image"], noise(2, 6)
    embed, mean = encoder(image), decoder(feat)
    assert embed.shape == (2, encoder.outputs) and mean.shape == (2, *array.shape)
    assert_same_with_gradients(embed, plain_embed(encoder, image), list(encoder.parameters()))
    assert_same_with_gradients(mean, plain_decode(decoder, feat), list(decoder.parameters()))


def test_widths_double_and_all_sizes_end_at_two_by_two_pixels() -> None:
    outputs, inner = {}, {}
    for size in IMAGE_SIZES:
        array = ArraySpec((3, size, size), "uint8")
        outputs[size] = ImageEncoder(array, 48).outputs
        layers = ImageDecoder(6, array, 48).convolutions
        inner[size] = [tuple(next(layer.parameters()).shape[:2]) for layer in layers]
    assert outputs == {32: 768, 64: 1536, 128: 3072}
    assert inner[64] == [(1536, 192), (192, 96), (96, 48), (48, 3)]
    assert inner[32] == [(768, 96), (96, 48), (48, 3)]
    assert inner[128] == [(3072, 384), (384, 192), (192, 96), (96, 48), (48, 3)]


@pytest.mark.parametrize(
    ("shape", "words"), [((3, 84, 84), "nearest is 64"), ((3, 64, 32), "square")]
)
def test_other_sizes_are_refused(shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Encoder({"image": ArraySpec(shape, "uint8")}, 1, 8, 2)


CAMERAS = {
    "front": ArraySpec((3, 32, 32), "uint8"),
    "depth": ArraySpec((1, 64, 64), "uint8"),
    "joints": ArraySpec((5,), "float32"),
}


def codec_and_batch() -> tuple[Encoder, Decoder, Tensor, dict[str, Tensor]]:
    torch.manual_seed(0)
    encoder, decoder = Encoder(CAMERAS, 1, 8, 2), Decoder(10, CAMERAS, 1, 8, 2)
    observation = {
        "front": random_images(3, 4, 3, 32, 32),
        "depth": random_images(3, 4, 1, 64, 64),
        "joints": noise(3, 4, 5),
    }
    return encoder, decoder, noise(3, 4, 10).requires_grad_(), observation


def total_loss(decoder: Decoder, feat: Tensor, observation: dict[str, Tensor]) -> Tensor:
    losses = decoder.loss(feat, observation)
    assert losses.keys() == CAMERAS.keys()
    return torch.stack(list(losses.values())).sum()


def test_the_loss_is_the_mean_negative_log_density() -> None:
    _, decoder, feat, observation = codec_and_batch()
    plain = -torch.stack([p.mean() for p in decoder.log_prob(feat, observation).values()]).sum()
    loss = total_loss(decoder, feat, observation)
    assert_same_with_gradients(loss, plain, [feat, *decoder.parameters()])


@pytest.mark.parametrize("pixels", [5 * 32**2, 5 * 64**2])
def test_chunks_change_neither_values_nor_gradients(
    pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, decoder, feat, observation = codec_and_batch()
    embed, loss = encoder(observation), total_loss(decoder, feat, observation)
    means = decoder(feat)
    monkeypatch.setattr(images, "PIXELS_AT_ONCE", pixels)
    assert_same_with_gradients(encoder(observation), embed, list(encoder.parameters()))
    chunked = total_loss(decoder, feat, observation)
    assert_same_with_gradients(chunked, loss, [feat, *decoder.parameters()])
    for key, mean in decoder(feat).items():
        torch.testing.assert_close(mean, means[key])


def test_chunks_without_gradients_give_the_same_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    _, decoder, feat, observation = codec_and_batch()
    loss = total_loss(decoder, feat, observation)
    monkeypatch.setattr(images, "PIXELS_AT_ONCE", 5 * 32**2)
    with torch.no_grad():
        torch.testing.assert_close(total_loss(decoder, feat, observation), loss)


def test_frozen_weights_get_no_gradient_and_features_still_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "PIXELS_AT_ONCE", 5 * 32**2)
    _, decoder, feat, observation = codec_and_batch()
    (wanted,) = torch.autograd.grad(total_loss(decoder, feat, observation), feat)
    decoder.requires_grad_(False)
    total_loss(decoder, feat, observation).backward()
    torch.testing.assert_close(feat.grad, wanted)
    assert all(parameter.grad is None for parameter in decoder.parameters())


def test_late_scaling_equals_early_scaling() -> None:
    encoder, decoder, feat, observation = codec_and_batch()
    early = preprocess(observation)
    assert torch.equal(encoder(observation), encoder(early))
    late_loss, early_loss = decoder.loss(feat, observation), decoder.loss(feat, early)
    assert all(torch.equal(late_loss[key], early_loss[key]) for key in CAMERAS)
    assert observation["front"].dtype == torch.uint8


def test_acting_on_one_observation_equals_training_on_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder, _, _, observation = codec_and_batch()
    monkeypatch.setattr(images, "PIXELS_AT_ONCE", 5 * 64**2)
    embed = encoder(observation)
    for row in range(3):
        for step in range(4):
            one = preprocess({key: value[row, step] for key, value in observation.items()})
            alone = encoder({key: value[None] for key, value in one.items()})
            torch.testing.assert_close(alone[0], embed[row, step], atol=1e-6, rtol=1e-5)


def plain_loss(encoder: ImageEncoder, decoder: ImageDecoder, feat: Tensor, image: Tensor) -> Tensor:
    target = preprocess({"image": image})["image"]
    errors = (plain_decode(decoder, feat) - target).square().sum() / (2 * len(feat))
    return plain_embed(encoder, target).square().sum() + errors


@pytest.mark.parametrize("pixels", [5 * 32**2, 2**20])
def test_an_optimiser_step_is_that_of_the_plain_layers(
    pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fused optimisers take gradients as they lie in memory: in the order of the parameters."""
    monkeypatch.setattr(images, "PIXELS_AT_ONCE", pixels)
    array, image, feat = CAMERAS["front"], random_images(12, 3, 32, 32), noise(12, 6)
    ours = nn.ModuleList([ImageEncoder(array, 2), ImageDecoder(6, array, 2)])
    plain = copy.deepcopy(ours)
    for pair, loss in (
        (ours, ours[0](image).square().sum() + ours[1].loss(feat, image)),  # pyright: ignore
        (plain, plain_loss(plain[0], plain[1], feat, image)),  # pyright: ignore
    ):
        Optimizer(pair.parameters(), 1e-2, OptimizerConfig()).step(loss)
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", IMAGE_SIZES)
def test_few_images_are_embedded_as_many_are(size: int) -> None:
    """Also after an optimiser's step, after loading and in a copy: no old weights are kept."""
    encoder = ImageEncoder(ArraySpec((3, size, size), "uint8"), 4)
    image = torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8)
    optimizer = Optimizer(encoder.parameters(), 0.01, OptimizerConfig())
    before = {key: value.clone() for key, value in encoder.state_dict().items()}

    def check(module: ImageEncoder) -> Tensor:
        many = module(image)
        with torch.no_grad():
            torch.testing.assert_close(module(image), many, rtol=1e-5, atol=1e-6)
        return many

    first = check(encoder)
    optimizer.step(first.square().sum())
    assert not torch.allclose(check(encoder), first, atol=1e-3)
    check(copy.deepcopy(encoder))
    encoder.load_state_dict(before)
    torch.testing.assert_close(check(encoder), first)
    with torch.no_grad():
        assert encoder(image.unflatten(0, (1, 3))).shape == (1, 3, encoder.outputs)
