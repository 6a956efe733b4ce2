import pytest
import torch
from golden_numbers import golden, mlp_weights, put

from choreo.skills import SkillConfig, SkillSpace, code_reward, entropy_reward, halves, rewards


def golden_space(data: dict[str, torch.Tensor]) -> SkillSpace:
    space = SkillSpace(24, SkillConfig(codes=16, code_size=8, layers=4, units=32))
    put(space.encoder, mlp_weights(data, "w.skill_encoder", 4, "_out._out"))
    put(space.decoder, mlp_weights(data, "w.skill_decoder", 4, "_out._out"))
    space.codebook.codes.copy_(data["w.emb.weight"].T)
    space.codebook.total.copy_(data["w.emb.embed_avg"].T)
    space.codebook.count.copy_(data["w.emb.cluster_size"])
    space.codebook.usage.copy_(data["w.emb.prev_cluster"])
    return space


def test_autoencoder_equals_golden_numbers() -> None:
    data = golden("skill_autoencoder")
    space = golden_space(data)
    loss, metrics = space.loss(data["deter"])
    torch.testing.assert_close(loss, data["loss"], atol=1e-5, rtol=0)
    torch.testing.assert_close(metrics["reconstruction"], data["rec_loss"], atol=1e-5, rtol=0)
    torch.testing.assert_close(metrics["commitment"], data["commit_loss"], atol=1e-5, rtol=0)
    torch.testing.assert_close(space.codebook.codes, data["codebook_after"].T, atol=1e-5, rtol=0)
    layers = [space.encoder.linears[0], space.decoder.linears[0]]
    first = [next(layer.parameters()) for layer in layers]  # the weight
    encoder, decoder = torch.autograd.grad(loss, first)
    expected = data["grad_encoder_dense0_weight"], data["grad_decoder_dense0_weight"]
    torch.testing.assert_close(encoder, expected[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(decoder, expected[1], atol=1e-5, rtol=0)


def test_code_reward_equals_golden_numbers() -> None:
    data = golden("code_reward")
    space = golden_space(data)
    index = data["skill"].argmax(-1)
    decoded = space.decoded_codes()[index]
    torch.testing.assert_close(decoded, data["decoded"], atol=1e-5, rtol=0)
    reward = code_reward(data["deter"], decoded)
    torch.testing.assert_close(reward, data["reward"].squeeze(-1), atol=1e-5, rtol=0)


def test_code_reward_pulls_the_state_towards_the_decoded_code() -> None:
    deter = torch.tensor([[3.0, 4.0]], requires_grad=True)
    reward = code_reward(deter, torch.zeros(1, 2))
    assert reward.tolist() == [-5.0]
    (gradient,) = torch.autograd.grad(reward.sum(), deter)
    torch.testing.assert_close(gradient, torch.tensor([[-0.6, -0.8]]))


def test_entropy_reward_equals_golden_numbers() -> None:
    data = golden("entropy_reward")
    reward = entropy_reward(data["rep"], int(data["k"]), float(data["clip"]))
    torch.testing.assert_close(reward, data["reward"].squeeze(-1), atol=1e-4, rtol=0)


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """As `halves.multiply`, on any device."""
    return a.float() @ b.float()


@pytest.mark.parametrize("rows, blocks", [(300, 1), (299, 2), (128, 3), (0, 300)])
def test_on_cuda_as_many_rows_are_held_at_once_as_fit(
    rows: int, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, sizes = torch.randn(300, 5, generator=torch.Generator().manual_seed(0)), []
    monkeypatch.setattr(halves, "multiply", lambda a, b: sizes.append(len(a)) or product(a, b))
    whole = rewards._nearest_by_halves(x, 30).sort(-1).values
    monkeypatch.setattr(rewards, "BYTES", rows * 300 * 4 + 3)
    assert sizes == [300]
    found = rewards._nearest_by_halves(x, 30).sort(-1).values
    torch.testing.assert_close(found, whole)
    assert len(sizes) == 1 + blocks and max(sizes[1:]) == max(rows, 1)


@pytest.mark.parametrize("centre, spread", [(0.0, 1.0), (5.0, 0.1), (0.0, 1e-3), (3.0, 0.0)])
def test_products_of_half_floats_are_as_exact_as_those_of_floats(
    centre: float, spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For clouds of any place and spread, with three particles apart."""
    x = centre + spread * torch.randn(3000, 40, generator=torch.Generator().manual_seed(0))
    x[:3] += 0.5
    monkeypatch.setattr(halves, "multiply", product)
    nearest = rewards._nearest_by_halves(x, 30).clamp(min=0).sqrt().mean(-1)
    expected = torch.cdist(x.double(), x.double()).topk(30, largest=False).values.mean(-1)
    tolerance = 1e-4 * (x - x.mean(0)).norm(dim=-1).max().item()
    torch.testing.assert_close(nearest.double(), expected, atol=tolerance, rtol=1e-5)


def test_entropy_reward_by_hand_counts_the_particle_itself() -> None:
    x = torch.tensor([[0.0], [1.0], [3.0]])
    reward = entropy_reward(x, neighbours=2, clip=0.0)
    torch.testing.assert_close(reward, torch.tensor([0.5, 0.5, 1.0]))


def test_entropy_reward_in_chunks_equals_the_whole_matrix() -> None:
    x = torch.randn(2500, 7, generator=torch.Generator().manual_seed(0))
    nearest = torch.cdist(x, x).topk(30, largest=False).values
    expected = (nearest - 1e-4).clamp(min=0).mean(-1)
    torch.testing.assert_close(entropy_reward(x, 30, 1e-4), expected, atol=1e-4, rtol=0)


def test_every_module_of_the_space_receives_gradient() -> None:
    space = SkillSpace(6, SkillConfig(codes=4, code_size=3, layers=1, units=8))
    loss, _ = space.loss(torch.randn(20, 6))
    gradients = torch.autograd.grad(loss, list(space.parameters()))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
