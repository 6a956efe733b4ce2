import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from choreo.bench import replay as bench
from choreo.bench.replay import ReplayBenchConfig, make_replay
from choreo.cli import main
from choreo.presets import apply_preset
from choreo.replay import SequenceSampler

KEYS = {"image": ((3, 4, 4), "uint8"), "reward": ((), "float32"), "is_first": ((), "bool")}


def measured(capsys: pytest.CaptureFixture[str], *options: str | Path) -> dict[str, Any]:
    fixed = ["--preset", "debug", "--rounds", "2", "--batches", "3", "--json"]
    assert main(["bench", "replay", *fixed, *map(str, options)]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("content", ["holes", "noise"])
def test_batches_of_every_size_warm_and_cold(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = measured(capsys, "--content", content, "--steps", "500", "2000", "--folder", tmp_path)
    assert [(row["state"], row["steps"]) for row in rates["rows"]] == [
        ("warm", 500), ("warm", 2000), ("cold", 500), ("cold", 2000)
    ]  # fmt: skip
    assert (rates["sizes"]["batch"], rates["sizes"]["length"], rates["obs"]) == (4, 8, "states")
    for row in rates["rows"]:
        assert row["ms_per_batch"] == pytest.approx(1000 / row["batches_per_second"])
        step = 1e9 * row["gigabytes"] / row["steps"]  # bytes
        assert 24 * 4 + 6 * 4 + 4 + 3 <= step < 140
        per_second = row["batches_per_second"] * 4 * 8 * step
        assert 1e6 * row["megabytes_per_second"] == pytest.approx(per_second)
        assert row["percent_of_update"] is None
    assert rates["ms_per_update"] is None
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_sampling_as_a_share_of_an_update(capsys: pytest.CaptureFixture[str]) -> None:
    rates = measured(capsys, "--steps", "200", "--update", "--updates", "1")
    for row in rates["rows"]:
        share = 100 * row["ms_per_batch"] / rates["ms_per_update"]
        assert row["percent_of_update"] == pytest.approx(share)


def test_a_replay_too_large_for_the_memory_is_measured_cold_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ("--obs", "pixels", "--steps", "400000")  # 4.9 GB, none of which is on the disk
    rates = measured(capsys, *options)
    assert [row["state"] for row in rates["rows"]] == ["cold"]
    assert rates["rows"][0]["gigabytes"] == pytest.approx(4.9, rel=0.01)


def test_noise_is_noise_of_every_kind(tmp_path: Path) -> None:
    replay = make_replay(tmp_path / "replay", KEYS, 2500, "noise")
    assert replay.steps_held == 2500
    steps = replay.read(0, 0, 2500)
    assert steps["is_first"].dtype == bool and 0.4 < steps["is_first"].mean() < 0.6
    assert steps["image"].dtype == np.uint8 and len(np.unique(steps["image"])) == 256
    assert len(np.unique(steps["reward"])) > 2400
    batch = SequenceSampler(replay, 3, 5, np.random.default_rng(0)).sample()
    assert batch["image"].shape == (3, 5, 3, 4, 4)


def test_a_replay_of_holes_is_read_like_another(tmp_path: Path) -> None:
    replay = make_replay(tmp_path / "replay", KEYS, 2500, "holes")
    assert replay.steps_held == 2500
    assert not any(values.any() for values in replay.read(0, 2490, 2500).values())
    files = list((tmp_path / "replay").rglob("*.steps"))
    assert sum(file.stat().st_blocks for file in files) == 0


def test_noise_larger_than_the_disk_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10_000))
    assert main(["bench", "replay", "--preset", "debug", "--content", "noise"]) == 2
    error = capsys.readouterr().err
    assert "needs 0.0 GB" in error and "--content holes" in error


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--steps", "7"], "--steps is 7; wanted is at least 8"),
        (["--steps"], "--steps is 0"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--folder", "nowhere/at/all"], "is no folder"),
    ],
)
def test_what_cannot_be_measured(
    option: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "replay", "--preset", "debug", *option]) == 2
    assert words in capsys.readouterr().err


def test_a_cold_round_draws_no_more_than_a_tenth_of_the_replay() -> None:
    config = apply_preset(ReplayBenchConfig(batches=50), "debug")  # 32 steps a batch
    assert [bench._batches(config, steps, "cold") for steps in (100, 3200, 10**6)] == [1, 10, 50]
    assert bench._batches(config, 100, "warm") == 50
