"""A project that was moved goes on: what an input is counts, and not where it lies."""

from pathlib import Path

import pytest
from toy_runs import QUIET, SMALL, finetune, pretrain, state

from choreo import load
from choreo.cli import main


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, one fine-tuned from it, and its experience as recorded data."""
    old = tmp_path_factory.mktemp("projects") / "old"
    pretrain(old / "pre", frames=60)
    pretrain(old / "other", "--seed", "1", frames=60)
    finetune(old / "tuned", "--from", str(old / "pre"), frames=40)
    for name in ("pre", "other"):
        assert main(["data", "export", str(old / name), str(old / f"{name}-logs")]) == 0
    assert main(["data", "import", str(old / "pre-logs"), str(old / "set")]) == 0
    for data in ("pre-logs", "set"):
        assert main(offline(old, data, updates=1)) == 0
    return old.rename(old.with_name("new"))


def offline(project: Path, data: str, updates: int, run: str | None = None) -> list[str]:
    where = ["--data", str(project / data), "--run-dir", str(project / f"off-{run or data}")]
    return ["offline", "--preset", "debug", *QUIET, *where, "--updates", str(updates)]


def tune(project: Path, source: str, frames: int) -> list[str]:
    where = ["--from", str(project / source), "--run-dir", str(project / "tuned")]
    return ["finetune", *QUIET, "--env", "toy_envs:point", *where, "--frames", str(frames)]


def test_a_moved_project_goes_on(project: Path) -> None:
    assert main(tune(project, "pre", 60)) == 0
    assert state(project / "tuned")["count"] == 60
    for data in ("pre-logs", "set"):
        assert main(offline(project, data, updates=2)) == 0
        assert state(project / f"off-{data}")["count"] == 2
    assert main(["data", "import", str(project / "pre-logs"), str(project / "set")]) == 0


def test_other_data_and_other_agents_are_refused_wherever_they_lie(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tune(project, "other", 80)) == 2
    assert "source" in capsys.readouterr().err
    for command in (
        offline(project, "other-logs", 3, "pre-logs"),
        offline(project, "other-logs", 3, "set"),
        ["data", "import", str(project / "other-logs"), str(project / "set")],
    ):
        assert main(command) == 2, command


def test_a_home_is_found_where_the_shell_leaves_the_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    where = ["--env=toy_envs:point", "--frames=20", "--run-dir=~/runs/a"]
    assert main(["pretrain", *SMALL, *where]) == 0
    assert not Path("~").exists() and load("~/runs/a").num_skills
