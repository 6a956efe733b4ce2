"""Rates and times are what they say."""

import pytest
import torch

from choreo.bench import machine
from choreo.bench.machine import PartTimer, at_least, matrix_rates, percentile
from choreo.errors import UsageError

CPU = torch.device("cpu")


def test_rates_of_products_in_every_kind_of_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machine.PRODUCT_SIZE, "cpu", 128)
    torch.set_float32_matmul_precision("medium")
    try:
        rates = matrix_rates(CPU)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert rates.keys() == {"fp32", "tf32", "bf16"}
    assert rates["tf32"] is None
    assert (rates["fp32"] or 0) > 0.1 and (rates["bf16"] or 0) > 0.01


def test_the_rate_is_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0, 9, 10, 14, 20, 22, 30, 35, 40, 44, 50, 53])  # products of 9, 4, 2, 5, 4, 3 s
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(ticks))
    monkeypatch.setitem(machine.PRODUCT_SIZE, "cpu", 100)
    assert machine._rate(CPU, torch.float32) == pytest.approx(2 * 100**3 / 2 / 1e9)


def test_percentiles_in_milliseconds() -> None:
    seconds = [n / 1000 for n in range(101)]
    assert percentile(seconds, 95) == pytest.approx(95)
    assert percentile([0.004], 95) == 4
    timer = PartTimer(CPU)
    timer.seconds = {"act": [0.001, 0.002, 0.003, 0.004, 0.005]}
    assert timer.quartiles("act") == pytest.approx((2, 4))


def test_medians_take_the_entropy_reward_out_of_the_skills() -> None:
    timer = PartTimer(CPU)
    timer.seconds = {"skills": [0.01, 0.03, 0.02], "entropy_reward": [0.005, 0.005, 0.005]}
    assert timer.medians() == pytest.approx({"skills": 15, "entropy_reward": 5})


def test_what_leaves_nothing_to_measure_is_refused() -> None:
    at_least("calls", 1, 1)
    with pytest.raises(UsageError, match="--calls is 0; wanted is at least 1"):
        at_least("calls", 0, 1)
