import torch
from golden_numbers import golden, mlp_weights, put

from choreo.imagination.actor_critic import ContinuousActor, ImaginationConfig
from choreo.nn import MLP, OneHot, TruncatedNormal, gaussian_log_prob


def test_actor_and_critic_heads_equal_golden_numbers() -> None:
    data = golden("heads")
    actor = ContinuousActor(88, 6, ImaginationConfig(layers=4, units=32))
    weights = {f"trunk.{k}": v for k, v in mlp_weights(data, "actor", 4, "").items()}
    for kind in ("weight", "bias"):
        weights[f"mean.{kind}"] = data[f"actor._out._out.{kind}"]
        weights[f"std.{kind}"] = data[f"actor._out._std.{kind}"]
    put(actor, weights)
    policy = actor(data["feat"])
    torch.testing.assert_close(policy.mean, data["actor_mean"], atol=1e-5, rtol=0)
    torch.testing.assert_close(policy.std, data["actor_std"], atol=1e-5, rtol=0)
    log_prob = policy.log_prob(data["action"])
    torch.testing.assert_close(log_prob, data["actor_log_prob"], atol=1e-5, rtol=0)
    torch.testing.assert_close(policy.entropy(), data["actor_entropy"], atol=1e-5, rtol=0)
    critic = MLP(88, 1, 4, 32)
    put(critic, mlp_weights(data, "critic", 4, "_out._out"))
    mean = critic(data["feat"])
    torch.testing.assert_close(mean, data["critic_mean"], atol=1e-5, rtol=0)
    log_prob = gaussian_log_prob(mean, data["target"])
    torch.testing.assert_close(log_prob, data["critic_log_prob"], atol=1e-5, rtol=0)


def test_continuous_samples_are_clamped_and_keep_their_gradient() -> None:
    mean = torch.full((1000, 2), 0.9, requires_grad=True)
    std = torch.ones(1000, 2, requires_grad=True)
    sample = TruncatedNormal(mean, std).sample(torch.Generator().manual_seed(0))
    assert sample.abs().max() <= 1 - 1e-6 + 1e-7
    assert (sample > 0.999).any()
    (gradient,) = torch.autograd.grad(sample.sum(), mean)
    assert torch.equal(gradient, torch.ones_like(mean))


def test_clamping_may_stop_the_gradient() -> None:
    mean = torch.tensor([0.5, 0.5], requires_grad=True)
    policy = TruncatedNormal(mean, torch.ones(2), clamp_stops=True)
    policy.transform(torch.tensor([1.0, 0.1])).sum().backward()  # 1.5 is cut, 0.6 is not
    assert mean.grad is not None and mean.grad.tolist() == [0.0, 1.0]


def test_one_hot_samples_follow_their_probabilities() -> None:
    probs = torch.tensor([0.1, 0.2, 0.7])
    policy = OneHot(probs.log().expand(30_000, 3))
    sample = policy.sample(torch.Generator().manual_seed(0))
    frequency = sample.mean(0)
    assert (frequency - probs).abs().max() < 0.012  # four standard errors
    torch.testing.assert_close(policy.log_prob(sample), (sample * probs.log()).sum(-1))
    torch.testing.assert_close(policy.entropy()[0], -(probs * probs.log()).sum())
    assert torch.equal(policy.mode()[0], torch.tensor([0.0, 0.0, 1.0]))
