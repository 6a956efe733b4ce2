"""The tables of `choreo bench`, and what it says when asked for something else."""

import io

import pytest
import torch
from rich.console import Console
from rich.table import Table

from choreo.bench.act import ActCost, ActTime
from choreo.bench.env import EnvRate, EnvRates
from choreo.bench.replay import ReplayRate, ReplayRates
from choreo.bench.scaling import Growth, Point, ScalingCost
from choreo.bench.throughput import Throughput, ThroughputRates
from choreo.bench.trace import DeviceWork
from choreo.bench.update import UpdateBenchConfig, UpdateCost
from choreo.bench.workload import BenchConfig, settings
from choreo.cli import bench, main
from choreo.presets import apply_preset

CONFIG = apply_preset(BenchConfig(), "debug")  # 4 sequences of 8 steps
SETTINGS = settings(CONFIG, torch.device("cpu"), threads=2)
POINT = Point(4, 30.0, {"world_model": 10.0}, 2e9, {})


def shown(table: Table) -> str:
    drawn = io.StringIO()
    Console(width=200, file=drawn).print(table)
    return " ".join(drawn.getvalue().split())


def test_update_table() -> None:
    cost = UpdateCost(
        **SETTINGS,
        ms_per_update=50.0,
        quartiles=(48.0, 55.0),
        parts={"world_model": 20.0},
        peak_memory_gb=0.5,
        flops_per_update=1e9,
        work=DeviceWork(launches=12, kernels=340, busy=0.875),
        updates=3,
        updates_per_second=20.0,
        samples_per_second=640.0,
        matrix_rates={"fp32": 40.0, "tf32": None, "bf16": 90.0},
        matrix_gflops=40.0,
        fraction_of_limit=0.5,
    )
    text = shown(bench.update_table(cost))
    assert "world_model │ 20.0" in text
    assert "50.0 (half: 48.0 to 55.0)" in text
    assert "1.0 GFLOP at 50% of 40 GFLOP/s (products here: fp32 40, bf16 90)" in text
    assert "12 launches of 340 kernels, busy for 88% of the time" in text


def test_act_table() -> None:
    rows = [ActTime("task", 8, 0.8, 1.25, 10_000.0)]
    cost = ActCost(**SETTINGS, calls=20, rows=rows)
    text = shown(bench.act_table(cost))
    assert "task │ 8 │ 0.80 │ 1.25 │ 10000" in text and "from states" in text


def test_replay_table() -> None:
    rows = [
        ReplayRate("warm", 1000, 0.25, 500.0, 64.0, 2.0, 1.5),
        ReplayRate("cold", 1000, 0.25, 50.0, 6.4, 20.0, None),
    ]
    text = shown(
        bench.replay_table(ReplayRates(**SETTINGS, content="noise", ms_per_update=133.0, rows=rows))
    )
    assert "batches of 4 x 8 from states, noise" in text
    assert "warm │ 1,000 │ 0.25 │ 500 │ 64 │ 2.00 │ 1.5%" in text
    assert "cold │ 1,000 │ 0.25 │ 50 │ 6 │ 20.00 │ -" in text


def test_env_table() -> None:
    rows = [
        EnvRate("walker", "states", 1, 6000.4),
        EnvRate("walker", "states", 2, 9000.0),
        EnvRate("walker", "egl", 1, 100.0),
        EnvRate("walker", "egl", 2, None, "no renderer"),
    ]
    text = shown(bench.env_table(EnvRates("this one", 3.0, rows)))
    assert "walker │ states │ 6000 │ 9000" in text
    assert "walker │ egl │ 100 │ failed" in text and "no renderer" in text


def test_scaling_table() -> None:
    slopes: dict[str, float | None] = {"update": 0.97, "world_model": None, "flops": 1.0}
    cost = ScalingCost(
        **SETTINGS,
        updates=5,
        growths=[Growth("batch", [POINT], slopes)],
    )
    text = shown(bench.scaling_table(cost))
    assert "batch │ 4 │ 30.0 │ 10.0 │ 2.00" in text
    assert "growth │ ^0.97 │ - │ ^1.00" in text


def test_throughput_table() -> None:
    rows = [
        Throughput(1, [4.0], 4.0, 1.0, 0.3, None),
        Throughput(2, [3.0, 3.5], 6.5, None, 0.6, 1.5),
    ]
    text = shown(bench.throughput_table(ThroughputRates(**SETTINGS, rows=rows)))
    assert "1 │ 4.00 │ 4.00 to 4.00 │ 1.00 │ 0.30" in text
    assert "2 │ 6.50 │ 3.00 to 3.50 │ - │ 1.50" in text


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_all_measurements_are_listed(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in bench.COMMANDS)


@pytest.mark.parametrize("name", bench.COMMANDS)
def test_every_measurement_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["bench", name, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert f"choreo bench {name}" in text and "--json" in text and "--run-dir" not in text


@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [
        ([], (20, 24, 80, 16)),
        (["--preset", "cpu"], (20, 24, 80, 16)),
        (["--preset", "paper-states"], (50, 50, 2500, 64)),
        (["--preset=paper-states", "--training.batch", "7"], (7, 50, 350, 64)),
        (["--preset", "debug"], (4, 8, 32, 4)),
    ],
)
def test_sizes_are_those_of_the_preset_and_of_no_other(
    arguments: list[str], sizes: tuple[int, ...]
) -> None:
    found = bench._parse(UpdateBenchConfig(), arguments).sizes
    assert tuple(found[name] for name in ("batch", "length", "starts", "codes")) == sizes


@pytest.mark.parametrize("name", ["update", "act", "replay", "scaling", "throughput"])
def test_graphs_are_refused_before_anything_is_measured(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: pytest.fail("it is measured"))
    options = ["--preset", "debug", "--mode", "captured", "--device", "cpu"]
    assert main(["bench", name, *options]) == 2
    assert "use --mode auto" in capsys.readouterr().err


def test_something_else_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "updat"]) == 2
    assert "did you mean `choreo bench update`?" in capsys.readouterr().err
    assert main(["bench", "everything"]) == 2
    assert "unknown command 'bench everything'; `choreo bench --help`" in capsys.readouterr().err


def test_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--preset", "debug", "--calls", "2", "--environments", "1"]
    assert main(["bench", "act", *options, "--policies", "skill"]) == 0
    assert "skill" in capsys.readouterr().out
