import pytest
import torch
from golden_numbers import golden
from torch import nn

from choreo.nn import Optimizer, OptimizerConfig, RunningMagnitude, frozen


def test_three_steps_equal_golden_numbers() -> None:
    data = golden("optimizer")
    layer = nn.Linear(6, 5)
    with torch.no_grad():
        layer.weight.copy_(data["weight_init"])
        layer.bias.copy_(data["bias_init"])
    config = OptimizerConfig(
        epsilon=float(data["eps"]), clip=float(data["clip"]), decay=float(data["weight_decay"])
    )
    optimizer = Optimizer(layer.parameters(), float(data["lr"]), config)
    for step in range(3):
        loss = golden_loss(layer, data[f"x{step}"])
        optimizer.step(loss)
        torch.testing.assert_close(layer.weight.data, data[f"weight{step}"], atol=1e-5, rtol=0)
        torch.testing.assert_close(layer.bias.data, data[f"bias{step}"], atol=1e-5, rtol=0)


def golden_loss(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    return layer(x).square().sum()


def test_a_parameter_without_gradient_is_an_error() -> None:
    used, unused = nn.Linear(2, 2), nn.Linear(2, 2)
    parameters = [*used.parameters(), *unused.parameters()]
    with pytest.raises(RuntimeError, match="not have been used"):
        Optimizer(parameters, 1e-3, OptimizerConfig()).step(used(torch.ones(2)).sum())


def test_state_survives_a_round_trip() -> None:
    def run(steps: int, interrupt: int | None) -> torch.Tensor:
        layer = nn.Linear(3, 3)
        with torch.no_grad():
            layer.weight.fill_(0.5)
            layer.bias.zero_()
        optimizer = Optimizer(layer.parameters(), 1e-2, OptimizerConfig())
        for step in range(steps):
            if step == interrupt:
                state = optimizer.state_dict()
                optimizer = Optimizer(layer.parameters(), 1e-2, OptimizerConfig())
                optimizer.load_state_dict(state)
            optimizer.step(layer(torch.full((3,), float(step + 1))).square().sum())
        return layer.weight.detach().clone()

    assert torch.equal(run(6, None), run(6, 3))


def test_reward_normalizer_equals_golden_numbers() -> None:
    data = golden("reward_normalizer")
    normalizer = RunningMagnitude(float(data["momentum"]), float(data["eps"]))
    for call in range(3):
        out = normalizer(data[f"x{call}"])
        torch.testing.assert_close(out, data[f"y{call}"], atol=1e-5, rtol=0)
        magnitude = data[f"mag{call}"].reshape(())
        torch.testing.assert_close(normalizer.magnitude, magnitude, atol=1e-5, rtol=0)


def test_frozen_modules_pass_gradients_on_and_keep_none() -> None:
    layer, x = nn.Linear(2, 1), torch.ones(2, requires_grad=True)
    with frozen(layer):
        out = layer(x).sum()
    out.backward()
    assert layer.weight.grad is None
    assert x.grad is not None
    assert torch.equal(x.grad, layer.weight.detach()[0])
    assert layer.weight.requires_grad
