import json

import pytest

from choreo import bench
from choreo.cli import main
from choreo.presets import PRESETS
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


@pytest.mark.parametrize("phase", PARTS)
def test_one_json_object_with_all_that_programs_read(
    phase: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--preset", "debug", "--phase", phase, "--updates", "3", "--threads", "1"]
    assert main(["bench", "update", *options, "--device", "cpu", "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert cost.keys() >= KEYS | {"samples_per_second"}
    assert (cost["preset"], cost["device"], cost["precision"]) == ("debug", "cpu", "fp32")
    assert (cost["updates"], cost["threads"], cost["phase"]) == (3, 1, phase)
    assert cost["parts"].keys() == PARTS[phase]
    assert all(value > 0 for value in cost["parts"].values())
    assert cost["samples_per_second"] == pytest.approx(32_000 / cost["ms_per_update"])
    assert 0 < cost["fraction_of_limit"] < 1 and 0.01 < cost["peak_memory_gb"] < 100
    assert cost["flops_per_update"] > 1e6 and cost["matrix_gflops"] > 0.1


def test_presets_that_look_at_images_are_measured_on_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench, "matrix_gflops", lambda device: 1.0)  # not what this is about
    config = bench.BenchConfig(preset="debug", updates=1, threads=1, device="cpu", image_size=32)
    states = bench.bench_update(config).flops_per_update
    debug = PRESETS["debug"]
    monkeypatch.setitem(PRESETS, "debug", debug | {"run": debug["run"] | {"obs": "both"}})
    counted = []
    for pixels in (2**20, 5 * 32**2):  # in one chunk, and in several
        monkeypatch.setattr(images, "PIXELS_AT_ONCE", pixels)
        counted.append(bench.bench_update(config).flops_per_update)
    assert counted[0] == counted[1] > states


def test_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "update", "--preset", "debug", "--updates", "1", "--threads", "1"]) == 0
    shown = capsys.readouterr().out
    assert "world_model" in shown and "whole update" in shown and "updates/s" in shown


def test_something_else_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "walking"]) == 2
    assert "measures `update`; found walking" in capsys.readouterr().err
    assert main(["bench"]) == 2
