import logging
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from choreo.record import Logger, WandbOptions
from choreo.record.sinks import GuardedSink, Sink


class Failing(Sink):
    name = "Failing"

    def __init__(self) -> None:
        self.calls = 0

    def write(self, kind: str, step: int, values: dict[str, float]) -> None:
        self.calls += 1
        raise RuntimeError("no network")

    def resume(self, step: int) -> None:
        self.calls += 1

    def close(self) -> None:
        self.calls += 1


class FakeRun:
    def __init__(self) -> None:
        self.logged: list[dict[str, float]] = []
        self.finished = threading.Event()

    def log(self, values: dict[str, float]) -> None:
        self.logged.append(values)

    def finish(self) -> None:
        self.finished.set()


def fake_wandb(monkeypatch: pytest.MonkeyPatch, init: Any) -> None:
    module = types.ModuleType("wandb")
    module.__dict__.update(init=init, util=types.SimpleNamespace(generate_id=lambda: "abc"))
    monkeypatch.setitem(sys.modules, "wandb", module)


def write_some(folder: Path) -> None:
    with Logger(folder, tensorboard=False, wandb=WandbOptions(), config={"seed": 1}) as logger:
        for frames in range(5):
            logger.write("train", {"frames": frames}, {"loss": 1.0})
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 5


def test_a_failing_sink_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    failing = Failing()
    sink = GuardedSink(failing)
    for _ in range(3):
        sink.write("train", 1, {})
    sink.close()
    assert failing.calls == 1
    assert len(caplog.records) == 1
    assert "no network" in caplog.text


def test_wandb_gets_every_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, given = FakeRun(), {}

    def init(**options: Any) -> FakeRun:
        given.update(options)
        return run

    fake_wandb(monkeypatch, init)
    write_some(tmp_path)
    assert run.logged == [{"train/loss": 1.0, "step": step} for step in range(5)]
    assert run.finished.is_set()
    assert (given["id"], given["resume"], given["config"]) == ("abc", "allow", {"seed": 1})


def test_wandb_that_fails_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def init(**_: Any) -> FakeRun:
        raise SystemExit("not logged in")

    fake_wandb(monkeypatch, init)
    with caplog.at_level(logging.WARNING):
        write_some(tmp_path)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "not logged in" in caplog.text


def test_wandb_that_is_not_installed_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    write_some(tmp_path)
    assert "Weights & Biases stopped working" in caplog.text


def test_wandb_that_hangs_delays_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hang = threading.Event()
    monkeypatch.setattr("choreo.record.sinks.CLOSE_SECONDS", 0.05)
    fake_wandb(monkeypatch, lambda **_: hang.wait())
    try:
        write_some(tmp_path)
    finally:
        hang.set()
    assert "did not finish in time" in caplog.text


def test_importing_imports_no_extras() -> None:
    code = "import sys, choreo.record; print({'tensorboard', 'wandb'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
