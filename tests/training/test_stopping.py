"""Signals that ask a run to end: it saves first, says what it saved, and goes on bit for bit."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from toy_runs import (
    QUIET,
    SMALL,
    TESTS,
    assert_same_run,
    frames_of,
    pretrain,
    replay_files,
    state,
)  # fmt: skip

from choreo.cli import main
from choreo.record import checkpoint
from choreo.stopping import Stopped, handling, raise_stopped
from choreo.training.collector import Collector
from choreo.training.offline import OfflineTrainer
from choreo.training.online import OnlineTrainer
from choreo.training.run import Streams
from choreo.training.schedule import Minutes
from choreo.training.trainer import Trainer

FRAMES = 120
CLOCKS = ["--logging.checkpoint-every", "50", "--logging.every", "4"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted pre-training run."""
    return pretrain(tmp_path_factory.mktemp("runs") / "whole", *CLOCKS, frames=FRAMES)


def strike(
    monkeypatch: pytest.MonkeyPatch, place: tuple[type, str], call: int, *numbers: int
) -> None:
    """Raise signals before the given call of a method."""
    before, calls = getattr(*place), 0

    def struck(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        for number in numbers if calls == call else ():
            signal.raise_signal(number)
        return before(*arguments, **options)

    monkeypatch.setattr(*place, struck)


ROUND, UPDATE, SAVE = (Collector, "finish"), (Trainer, "update"), (OnlineTrainer, "save")


@pytest.mark.parametrize(
    ("place", "call", "number", "code"),
    [
        (ROUND, 5, signal.SIGINT, 130),  # among the random frames
        (UPDATE, 3, signal.SIGTERM, 75),
        (SAVE, 1, signal.SIGHUP, 75),  # in the middle of a checkpoint
        (SAVE, 3, signal.SIGTERM, 75),  # of the last one
    ],
)
def test_a_stopped_run_saves_says_so_and_goes_on_bit_for_bit(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: tuple[type, str],
    call: int,
    number: int,
    code: int,
) -> None:
    where = ["--env", "toy_envs:point", "--run-dir", str(tmp_path / "run"), *SMALL, *CLOCKS]
    command = ["pretrain", "--frames", str(FRAMES), "--snapshots", *where]
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as context:
        strike(context, place, call, number)
        assert main(command) == code
    saved = state(tmp_path / "run")["count"]
    assert f"the same command goes on from frame {saved}" in capsys.readouterr().err
    assert saved == frames_of(tmp_path / "run") or place == ROUND
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert main(command) == 0
    assert_same_run(source, tmp_path / "run")


@pytest.mark.parametrize(
    ("place", "numbers", "code"),
    [
        ((Streams, "__init__"), [signal.SIGTERM], 75),  # before the first round
        (ROUND, [signal.SIGINT, signal.SIGINT], 130),  # the second leaves at once
    ],
)
def test_a_run_that_saved_nothing_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: tuple[type, str],
    numbers: list[int],
    code: int,
) -> None:
    strike(monkeypatch, place, 1, *numbers)
    command = ["pretrain", *SMALL, "--env", "toy_envs:point", "--run-dir", str(tmp_path / "run")]
    assert main(command) == code
    assert "no checkpoint yet: the same command begins anew" in capsys.readouterr().err
    assert checkpoint.latest(tmp_path / "run" / "checkpoints") is None


def test_fine_tuning_and_offline_stop_alike(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["--from", str(source), "--training.random-frames", "20"]
    tuned = ["finetune", *QUIET, "--env", "toy_envs:point", "--frames", "60", *given]
    logs = tmp_path / "logs"
    assert main(["data", "export", str(source), str(logs), "--no-progress"]) == 0
    offline = ["offline", "--preset", "debug", *QUIET, "--data", str(logs), "--updates", "6"]
    for command, place in ((tuned, UPDATE), (offline, (OfflineTrainer, "round"))):
        whole, run = tmp_path / f"{command[0]}-whole", tmp_path / command[0]
        assert main([*command, "--run-dir", str(whole)]) == 0
        with monkeypatch.context() as context:
            strike(context, place, 2, signal.SIGTERM)
            assert main([*command, "--run-dir", str(run)]) == 75
        assert (
            f"goes on from {'frame' if place == UPDATE else 'update'} " in capsys.readouterr().err
        )
        assert main([*command, "--run-dir", str(run)]) == 0
        assert_same_run(whole, run)


def test_saving_by_time_changes_nothing_that_is_computed(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = itertools.count(1)
    monkeypatch.setattr(Minutes, "__call__", lambda self: next(due) % 9 == 0)
    often = pretrain(tmp_path / "often", *CLOCKS)
    assert_same_run(source, often)
    first, _ = (path.name for path in checkpoint.list_checkpoints(often / "checkpoints"))
    assert first > "frames_000000100"  # where the clock of frames saved last


def test_a_closed_terminal_takes_workers_along_only_after_the_round(
    source: Path, tmp_path: Path
) -> None:
    """The signal goes to the whole group of processes, and nobody reads what is said."""
    where = ["--env", "toy_envs:point", "--run-dir", str(tmp_path / "run"), *SMALL, *CLOCKS]
    command = ["pretrain", "--frames", str(FRAMES), "--snapshots", *where, "--training.parallel"]
    process = in_a_session(*command, "--frames", "1000000")
    deadline = time.monotonic() + 100
    while frames_of(tmp_path / "run") < 60 and process.poll() is None:
        assert time.monotonic() < deadline, "the run does not get on"
        time.sleep(0.005)
    assert process.stderr is not None
    process.stderr.close()
    os.killpg(process.pid, signal.SIGHUP)
    assert process.wait(60) == 75
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # no worker is left
    saved = state(tmp_path / "run")["count"]
    assert saved >= 60 and saved == state(tmp_path / "run")["collector"]["frames"]
    whole = pretrain(tmp_path / "whole", *CLOCKS, frames=saved)
    assert replay_files(whole) == replay_files(tmp_path / "run")


def test_what_is_ignored_stays_ignored() -> None:
    """`nohup` means that a closed terminal is no reason to stop."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handling(raise_stopped):
            signal.raise_signal(signal.SIGHUP)
            with pytest.raises(Stopped):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def in_a_session(*arguments: str) -> subprocess.Popen[str]:
    """The command as the head of a group of processes, as a terminal starts it."""
    variables = os.environ | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "choreo", *arguments],
        env=variables, text=True, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
