import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from toy_runs import pretrain

from choreo import load
from choreo.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(tmp_path_factory.mktemp("runs") / "run", frames=70)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict:
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_evaluate_prints_returns_mean_and_interval(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, "evaluate", run, "--trust", "--skill", "2", "--episodes", "3", "--json")
    assert len(found["returns"]) == 3 and found["skill"] == 2
    assert found["mean"] == pytest.approx(sum(found["returns"]) / 3)
    low, high = found["interval95"]
    assert low <= found["mean"] <= high
    assert found["counted"] == "steps" and found["steps"] == found["frames"] == 60
    config, about = json.loads((run / "config.json").read_text())["config"], found["about"]
    assert found["env"] == about["environment"] == config["env"] and found["seed"] == 0
    assert (about["count"], about["seed"]) == (config["frames"], config["seed"])
    assert about["checkpoint"] == f"frames_{config['frames']:09}" and about["updates"] > 0


def test_evaluate_plays_every_skill_of_a_pre_trained_agent(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, "evaluate", run, "--trust", "--episodes", "1", "--json")
    assert [one["skill"] for one in found["per_skill"]] == [0, 1, 2, 3]
    assert main(["evaluate", str(run), "--trust", "--episodes", "1"]) == 0
    assert "skill 3" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_returns(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "evaluate",
        run,
        "--trust",
        "--policy",
        "random",
        "--episodes",
        "2",
        "--json",
        "--seed",
    ]
    first, again, other = (printed(capsys, *options, seed) for seed in ("5", "5", "6"))
    assert first == again and first["returns"] != other["returns"]


@pytest.mark.parametrize(
    "command", [["evaluate"], ["skills"], ["zeroshot"], ["data", "collect", "--policy"]]
)
def test_the_code_that_a_folder_names_runs_only_for_who_asks_for_it(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    """The run is somebody else's, and so is the module beside which the command is given."""
    forged = tmp_path / "run"
    agent = load(run)
    agent.spec = replace(agent.spec, id="evil:make")
    agent.save(forged)
    (tmp_path / "evil.py").write_text("open('ran', 'w').close()\ndef make(): pass\n")
    monkeypatch.chdir(tmp_path)
    more = [str(tmp_path / "out"), "--frames", "10"] if command[-1] == "--policy" else []
    assert main([*command, str(forged), *more]) == 2
    assert "--env evil:make" in capsys.readouterr().err and not Path("ran").exists()
    main([*command, str(forged), *more, "--trust"])
    assert Path("ran").exists()
    sys.modules.pop("evil")


def test_code_that_was_trained_with_may_be_named_by_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the same command was given with the same file, and nowhere else."""
    for project in ("mine", "theirs"):
        (tmp_path / project).mkdir()
        (tmp_path / project / "arm.py").write_text("from toy_envs import point as make\n")
    monkeypatch.chdir(tmp_path / "mine")
    options = ["--preset", "debug", "--frames", "20", "--logging.no-progress", "--run-dir", "run"]
    assert main(["pretrain", "--env", "arm:make", *options]) == 0
    play = ["evaluate", str(tmp_path / "mine" / "run"), "--episodes", "1", "--skill", "0", "--json"]
    play += ["--time-limit", "5"]
    assert printed(capsys, *play)["skill"] == 0
    monkeypatch.chdir(tmp_path / "theirs")
    assert main(play) == 2 and "--env arm:make" in capsys.readouterr().err
    sys.modules.pop("arm")


def test_env_check_says_what_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "check", "toy_envs:point"]) == 0
    assert "toy_envs:point: fits" in capsys.readouterr().out


def test_env_list_names_every_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "list"]) == 0
    shown = capsys.readouterr().out
    for name in ("walker_run", "jaco_fixed_reach_top_left", "dmc:point_mass-easy", "gym:Pendulum"):
        assert name in shown
