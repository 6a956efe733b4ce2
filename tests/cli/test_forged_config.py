"""A config.json that somebody edited: a sentence that names the file, whoever reads it."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy_runs import QUIET, SMALL, last_checkpoint, pretrain

from choreo.cli import main
from choreo.config import FinetuneConfig, OfflineConfig, PretrainConfig
from choreo.config_form import options_problem

WHERE = ["--env", "toy_envs:point", "--frames", "60", "--snapshots"]
READERS: dict[str, Callable[[str, str], list[str]]] = {
    "resume": lambda run, out: ["pretrain", *SMALL, *WHERE, "--run-dir", run],
    "finetune": lambda run, out: [
        "finetune", *QUIET, "--env", "toy_envs:point", "--frames", "50", "--from", run,
        "--run-dir", out,
    ],
    "evaluate": lambda run, out: ["evaluate", run, "--trust", "--episodes", "1", "--skill", "0"],
    "skills": lambda run, out: ["skills", run, "--trust", "--no-pictures", "--out", out],
}  # fmt: skip
FORGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "negative": lambda config: config["training"].update(batch=-4, time_limit=-1),
    "huge": lambda config: config["training"].update(batch=10**400, time_limit=2**70),
    "wrong type": lambda config: config.update(training=[1], exploration=7, seed="x"),
    "not finite": lambda config: config["optimizer"].update(model_lr=float("nan")),
    "no preset": lambda config: config.update(preset={}),
    "a list": lambda config: config.update(command=["pretrain"]),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(tmp_path_factory.mktemp("runs") / "run", frames=60)


@pytest.fixture
def forged(run: Path, tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], Any]], Path]:
    """A copy of the run with other options in its config.json."""

    def forge(change: Callable[[dict[str, Any]], Any]) -> Path:
        shutil.copytree(run, tmp_path / "run")
        path = tmp_path / "run" / "config.json"
        content = json.loads(path.read_text())
        change(content["config"])
        path.write_text(json.dumps(content))
        return path

    return forge


@pytest.mark.parametrize("change", FORGED)
def test_forged_options_are_named_by_every_reader(
    forged: Any, change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = forged(FORGED[change])
    for reader, command in READERS.items():
        assert main(command(str(path.parent), str(tmp_path / "out"))) in (1, 2), reader
        assert str(path) in capsys.readouterr().err, reader
        assert not (tmp_path / "out").exists(), reader


@pytest.mark.parametrize("name", ["training", "preset", "device", "optimizer"])
def test_missing_options_are_named(
    forged: Any, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = forged(lambda config: config.pop(name))
    for reader in ("resume", "finetune", "evaluate"):
        main(READERS[reader](str(path.parent), str(tmp_path / "out")))
        assert f"{path} holds options that no run has: {name} is missing" in capsys.readouterr().err


def test_a_file_that_nests_without_end_is_named(
    forged: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = forged(lambda config: None)
    path.write_text("[" * 100_000)
    for command in READERS.values():
        assert main(command(str(path.parent), str(tmp_path / "out"))) in (1, 2)
        assert str(path) in capsys.readouterr().err


def test_a_report_leaves_forged_options_out_and_says_so(
    forged: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = forged(lambda config: config.update(seed=10**400, training=[], frames="many"))
    assert main(["report", str(path.parent), "--out", str(tmp_path / "page")]) in (0, 1, 2)
    said = capsys.readouterr()
    pages = "".join(page.read_text() for page in (tmp_path / "page").glob("*.md"))
    assert "seed is a huge number" in said.out + said.err + pages


@pytest.mark.parametrize(
    "config",
    [PretrainConfig(env="x"), OfflineConfig(data=Path("d")), FinetuneConfig(env="x")],
    ids=lambda config: config.command,
)
def test_every_default_has_the_form_of_its_option(config: Any) -> None:
    written = json.loads(json.dumps(config.to_json()))
    assert options_problem(written, tuple(written.keys() - {"command"})) is None


def test_forged_sizes_of_the_agent_are_named_by_fine_tuning(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "run")
    path = last_checkpoint(tmp_path / "run")
    content = json.loads((path / "state.json").read_text())
    content["state"]["agent"]["config"]["skills"]["layers"] = "x"
    text = json.dumps(content["state"])
    content["state_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (path / "state.json").write_text(json.dumps(content))
    assert main(READERS["finetune"](str(tmp_path / "run"), str(tmp_path / "out"))) == 1
    assert f"{path} does not describe an agent: skills.layers" in capsys.readouterr().err
