import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from toy_graphs import OperationRecorder

from choreo import native
from choreo.bench import machine, update
from choreo.bench.update import UpdateBenchConfig, dense_flops, time_updates
from choreo.bench.workload import make_learner
from choreo.cli import main
from choreo.learning.learner import Learner
from choreo.learning.modes import Captured
from choreo.presets import apply_preset
from choreo.world_model import images

# Section 4 of the design: what programs read.
KEYS = {
    "preset", "device", "precision", "mode", "threads", "updates", "ms_per_update", "parts",
    "peak_memory_gb", "flops_per_update", "matrix_gflops", "fraction_of_limit",
}  # fmt: skip
PARTS = {
    "pretrain": {"world_model", "exploration", "codebook", "skills", "entropy_reward"},
    "finetune": {"world_model", "adaptation"},
}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machine.PRODUCT_SIZE, "cpu", 512)


@pytest.mark.parametrize("phase", PARTS)
def test_one_json_object_with_all_that_programs_read(
    phase: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--preset", "debug", "--phase", phase, "--updates", "3", "--threads", "1"]
    assert main(["bench", "update", *options, "--device", "cpu", "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert cost.keys() >= KEYS | {"samples_per_second", "quartiles", "matrix_rates"}
    assert (cost["preset"], cost["device"], cost["precision"]) == ("debug", "cpu", "fp32")
    assert (cost["updates"], cost["threads"], cost["phase"]) == (3, 1, phase)
    assert cost["parts"].keys() == PARTS[phase]
    assert all(value > 0 for value in cost["parts"].values())
    low, high = cost["quartiles"]
    assert 0 < low <= cost["ms_per_update"] <= high
    assert cost["samples_per_second"] == pytest.approx(32_000 / cost["ms_per_update"])
    assert 0 < cost["fraction_of_limit"] < 1 and 0.01 < cost["peak_memory_gb"] < 100
    assert cost["flops_per_update"] > 1e6
    rates = cost["matrix_rates"]
    assert rates["fp32"] == cost["matrix_gflops"] > 0.1
    assert rates["tf32"] is None and rates["bf16"] > 0.01
    limit = cost["flops_per_update"] / 1e9 / cost["matrix_gflops"]  # seconds
    assert cost["fraction_of_limit"] == pytest.approx(1000 * limit / cost["ms_per_update"])


def test_the_entropy_reward_inside_a_graph_is_timed_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def captured(*given: Any) -> Learner:
        learner = make_learner(*given)
        learner.runner = Captured(OperationRecorder(learner.generator), learner.changing)
        return learner

    config = apply_preset(UpdateBenchConfig(), "debug")
    monkeypatch.setattr(native, "usable", lambda *tensors: False)
    monkeypatch.setattr(update, "dense_flops", lambda *given: 1.0)
    monkeypatch.setattr(update, "make_learner", captured)
    parts = time_updates(config, 2, CPU).parts
    assert parts.keys() == PARTS["pretrain"] and parts["entropy_reward"] > 0
    assert time_updates(replace(config, phase="finetune"), 1, CPU).parts.keys() == PARTS["finetune"]


def test_sizes_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--training.batch", "6", "--training.length", "5", "--model.deter", "12"]
    more = ["--skills.codes", "3", "--imagination.horizon", "2", "--imagination.starts", "7"]
    common = ["bench", "update", "--preset", "debug", "--updates", "1", "--json"]
    assert main([*common, *sizes, *more]) == 0
    cost = json.loads(capsys.readouterr().out)
    wanted = {"batch": 6, "length": 5, "horizon": 2, "starts": 7, "particles": 21, "codes": 3}
    assert cost["sizes"] == wanted
    assert main([*common, *sizes, *more, "--model.units", "64"]) == 0
    larger = json.loads(capsys.readouterr().out)
    assert larger["flops_per_update"] > cost["flops_per_update"]


def test_images_cost_the_same_operations_in_one_chunk_and_in_several(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["bench", "update", "--preset", "debug", "--updates", "1", "--json"]
    assert main(common) == 0
    states = json.loads(capsys.readouterr().out)["flops_per_update"]
    counted = []
    for pixels in (2**20, 5 * 32**2):
        monkeypatch.setattr(images, "PIXELS_AT_ONCE", pixels)
        assert main([*common, "--obs", "both", "--image-size", "32"]) == 0
        counted.append(json.loads(capsys.readouterr().out)["flops_per_update"])
    assert counted[0] == counted[1] > states


def test_more_starts_than_states_cost_what_all_states_do() -> None:
    config = apply_preset(UpdateBenchConfig(), "debug")
    counts = [
        dense_flops(replace(config, imagination=replace(config.imagination, starts=starts)), CPU)
        for starts in (0, config.sizes["starts"], 1000)
    ]
    assert counts[0] == counts[1] == counts[2]


def test_the_count_of_operations_is_no_matter_of_chance() -> None:
    config = apply_preset(UpdateBenchConfig(), "debug")
    first, second = (time_updates(config, 1, CPU) for _ in range(2))
    assert first.flops_per_update == second.flops_per_update
    assert first.quartiles == (first.ms_per_update, first.ms_per_update)


def test_the_preset_says_what_the_agent_sees() -> None:
    assert apply_preset(UpdateBenchConfig(), "paper-pixels").obs == "pixels"
    assert apply_preset(UpdateBenchConfig(), "cpu").obs == "states"
