"""What a run says at its beginning, after ten updates, and when it has learned nothing."""

import logging
from pathlib import Path

import pytest
import torch
from toy_runs import SMALL, pretrain, start

from choreo import native
from choreo.cli import main
from choreo.config import PretrainConfig
from choreo.envs.make import make
from choreo.record import RunFolder
from choreo.training.outlook import MEASURED, Outlook, duration, tell_beginning


def told(caplog: pytest.LogCaptureFixture, preset: str, seconds: float, device: str = "cpu") -> str:
    """What is said where every update takes so many seconds and a million are left."""
    now = [0.0]
    config = PretrainConfig(env="walker", preset=preset)  # pyright: ignore[reportArgumentType]
    outlook = Outlook(config, torch.device(device), images=False, clock=lambda: now[0])
    caplog.clear()
    with caplog.at_level(logging.INFO, "choreo"):
        for _ in range(MEASURED + 5):
            now[0] += seconds
            outlook.updated(left=1_000_000)
    assert len(caplog.records) <= 1, "once"
    return caplog.text


def test_a_heavy_preset_on_a_cpu_is_told_of_with_its_days_and_what_takes_less(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = told(caplog, "paper-states", 2.16)
    assert "WARNING" in said and "25 days" in said and "--preset cpu," in said
    assert "25 days" in told(caplog, "cpu", 2.16) and "WARNING" not in caplog.text
    assert "WARNING" not in told(caplog, "paper-states", 2.16, "cuda")
    assert told(caplog, "debug", 1e-6) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(20, "20 seconds"), (100, "1.7 minutes"), (5400, "1.5 hours"), (2_160_000, "25 days")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_first_lines_say_what_the_agent_sees_and_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--env", "toy_envs:point", "--run-dir", str(tmp_path / "run"), "--snapshots"]
    assert main(["pretrain", *SMALL, *where, "--frames", "30"]) == 0
    said = capsys.readouterr()
    for words in (
        "the agent sees ",
        "float32[",
        "it acts by ",
        "each held for 1 frame\n",
        "at most 20 steps",
        "0 updates are",
    ):
        assert words in said.err
    assert "done" not in said.out and "ended with 0 updates, so nothing was learned" in said.out
    assert main(["pretrain", *SMALL, *where, "--frames", "70"]) == 0
    said = capsys.readouterr()
    assert "3 updates are planned" in said.err and "done: " in said.out
    assert main(["pretrain", *SMALL, *where, "--frames", "70"]) == 0
    said = capsys.readouterr().err
    assert "nothing is left to do: it has 70 frames" in said and "planned" not in said
    assert main(["pretrain", *SMALL, *where, "--frames", "50"]) == 2
    assert "has 70 frames, and --frames 50 is less" in capsys.readouterr().err
    other = ["finetune", "--preset", "debug", "--from-scratch", *where[:-1], "--frames", "50"]
    assert main(other) == 2
    assert "is less" not in capsys.readouterr().err  # as more frames would not help
    assert RunFolder(tmp_path / "run").config()["frames"] == 70


def test_observations_that_are_left_out_are_named(caplog: pytest.LogCaptureFixture) -> None:
    environment = make("toy_envs:drawn", obs="pixels", image_size=32)
    with caplog.at_level(logging.INFO, "choreo"):
        tell_beginning(environment.spec, environment.left_out)
    environment.close()
    assert "it does not see position, velocity of toy_envs:drawn" in caplog.text


def test_a_resume_with_other_kernels_says_that_it_is_not_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if native.identity() == "none":
        pytest.skip("no kernels here")
    folder = pretrain(tmp_path / "run", frames=60)
    where = ["--env", "toy_envs:point", "--frames", "65", "--snapshots", "--run-dir", str(folder)]
    for value, words in (("1", []), ("0", ["this resume is not exact", "kernels ", " before, "])):
        monkeypatch.setenv("CHOREO_NATIVE", value)
        with start("pretrain", *SMALL, *where) as process:
            said = process.communicate(timeout=120)[1]
        assert process.returncode == 0
        assert all(word in said for word in words)
        assert ("not exact" in said) == bool(words)
        where[3] = "70"
