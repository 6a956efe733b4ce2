import pytest
import torch
from golden_numbers import golden, put, sequential_weights

from choreo.envs.spaces import ArraySpec
from choreo.world_model.decoder import Decoder
from choreo.world_model.encoder import Encoder, preprocess


def with_prefix(prefix: str, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{key}": value for key, value in weights.items()}


def test_vector_encoder_and_decoder_equal_golden_numbers() -> None:
    data = golden("states_codec")
    spec = {"observation": ArraySpec((24,), "float32")}
    encoder, decoder = Encoder(spec, 4, 32, 4), Decoder(88, spec, 4, 32, 4)
    put(encoder, with_prefix("vector", sequential_weights(data, "enc._mlp_model", 4)))
    trunk = with_prefix("vector.trunk", sequential_weights(data, "dec._mlp_model", 4))
    head = {
        f"vector.heads.observation.{kind}": data[f"dec.dense_observation._out.{kind}"]
        for kind in ("weight", "bias")
    }
    put(decoder, trunk | head)
    observation = {"observation": data["observation"]}
    embed = encoder(preprocess(observation))
    torch.testing.assert_close(embed, data["embed"], atol=1e-5, rtol=0)
    mean = decoder(data["feat"])["observation"]
    torch.testing.assert_close(mean, data["mean"], atol=1e-5, rtol=0)
    log_prob = decoder.log_prob(data["feat"], observation)["observation"]
    torch.testing.assert_close(log_prob, data["log_prob"], atol=1e-5, rtol=0)


def test_image_encoder_and_decoder_equal_golden_numbers() -> None:
    data = golden("pixels_codec")
    spec = {"image": ArraySpec((3, 64, 64), "uint8")}
    encoder, decoder = Encoder(spec, 4, 32, 4), Decoder(88, spec, 4, 32, 4)
    weights = {}
    for i in range(4):
        for kind in ("weight", "bias"):
            weights[f"images.image.convolutions.{i}.{kind}"] = data[
                f"enc._conv_model.{3 * i}.{kind}"
            ]
    put(encoder, weights)
    weights = {f"images.image.input.{k}": data[f"dec._conv_in.0.{k}"] for k in ("weight", "bias")}
    for i in range(4):
        for kind in ("weight", "bias"):
            weights[f"images.image.convolutions.{i}.{kind}"] = data[
                f"dec._conv_model.{3 * i}.{kind}"
            ]
    put(decoder, weights)
    observation = preprocess({"image": data["image"]})
    torch.testing.assert_close(encoder(observation), data["embed"], atol=1e-5, rtol=0)
    mean = decoder(data["feat"])["image"]
    torch.testing.assert_close(mean, data["mean"], atol=1e-5, rtol=0)
    log_prob = decoder.log_prob(data["feat"], observation)["image"]
    torch.testing.assert_close(log_prob, data["log_prob"], atol=1e-5, rtol=0)


def test_several_keys_are_embedded_together_and_decoded_apart() -> None:
    spec = {
        "camera": ArraySpec((3, 64, 64), "uint8"),
        "joints": ArraySpec((5,), "float32"),
        "touch": ArraySpec((2,), "float32"),
    }
    encoder, decoder = Encoder(spec, 2, 16, 2), Decoder(10, spec, 2, 16, 2)
    observation = preprocess(
        {
            "camera": torch.zeros(4, 3, 64, 64, dtype=torch.uint8),
            "joints": torch.zeros(4, 5),
            "touch": torch.zeros(4, 2),
        }
    )
    assert encoder(observation).shape == (4, encoder.outputs)
    means = decoder(torch.zeros(4, 10))
    assert {key: tuple(mean.shape) for key, mean in means.items()} == {
        "camera": (4, 3, 64, 64),
        "joints": (4, 5),
        "touch": (4, 2),
    }


def test_preprocessing_scales_images_and_leaves_vectors() -> None:
    out = preprocess({"image": torch.tensor([0, 255], dtype=torch.uint8), "x": torch.tensor([3.0])})
    assert out["image"].tolist() == [-0.5, 0.5]
    assert out["x"].tolist() == pytest.approx([3.0])
