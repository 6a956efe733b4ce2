"""Learning from recorded data alone, through the real command line on the `debug` preset."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_runs import QUIET, metrics, state, tensors

from choreo.agent import load
from choreo.cli import main
from choreo.data import first_episodes, inspect_data, open_dataset, write_episode
from choreo.data.card import read_card

STEPS = 100


def record(folder: Path, episodes: int = 3, most: float = 1.0) -> Path:
    """Episodes like those of `toy_envs:point`, whose observation follows from the actions."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(episodes):
        actions = rng.uniform(-most, most, (STEPS + 1, 2)).astype(np.float32)
        actions[0] = 0
        speed = np.cumsum(actions, 0) * 0.1
        steps = {
            "observation": np.concatenate([np.cumsum(speed, 0) * 0.1, speed], 1, dtype=np.float32),
            "action": actions,
            "reward": np.zeros(STEPS + 1, np.float32),
            "discount": np.ones(STEPS + 1, np.float32),
        }
        write_episode(folder, number, steps)
    return folder


def learn(folder: Path, data: Path, updates: int, *options: str) -> int:
    where = ["--data", str(data), "--updates", str(updates), "--run-dir", str(folder)]
    clocks = ["--logging.every", "5", "--logging.checkpoint-every", "10"]
    return main(["offline", "--preset", "debug", *QUIET, *clocks, *where, *options])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("data") / "episodes")


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that is only looked at."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert learn(folder, data, 25, "--snapshots", "10", "--model.standardize", "1.0") == 0
    return folder


def test_what_is_learned_is_kept_and_counted_in_updates(run: Path) -> None:
    train = [line for line in metrics(run) if line["kind"] == "train"]
    assert [line["updates"] for line in train] == [5, 10, 15, 20, 25]
    names = {key.split("/")[0] for key in train[-1]}
    assert {"world_model", "codebook", "skills"} <= names and "exploration" not in names
    assert state(run)["count"] == 25 and (run / "snapshots" / "updates_10").is_dir()
    agent = load(run)
    assert agent.spec.id.startswith("data:") and agent.explorer is None
    assert bool(agent.world_model.standardizer.fitted)
    assert agent.session().act(np.zeros(4, np.float32), skill=1).shape == (2,)


def test_a_run_that_goes_on_ends_as_one_that_was_never_stopped(
    run: Path, data: Path, tmp_path: Path
) -> None:
    options = ("--snapshots", "10", "--model.standardize", "1.0")
    for updates in (10, 25):
        assert learn(tmp_path / "cut", data, updates, *options) == 0
    whole, cut = tensors(run), tensors(tmp_path / "cut")
    assert whole.keys() == cut.keys()
    for key, value in whole.items():
        torch.testing.assert_close(value, cut[key], rtol=0, atol=0, msg=key)
    assert metrics(run) == metrics(tmp_path / "cut")


def test_fine_tuning_takes_the_skills_to_an_environment(run: Path, tmp_path: Path) -> None:
    where = ["--env", "toy_envs:point", "--frames", "60", "--run-dir", str(tmp_path / "task")]
    assert main(["finetune", "--from", str(run), *QUIET, *where]) == 0
    old, new = tensors(run), tensors(tmp_path / "task")
    key = "agent.skills.codebook.codes"
    assert old[key].equal(new[key])
    config = json.loads((tmp_path / "task" / "config.json").read_text())["config"]
    assert config["training"]["batch"] == 4 and config["logging"]["checkpoint_every"] == 100


def test_only_the_first_episodes_are_learned_from_where_steps_are_limited(
    run: Path, data: Path, tmp_path: Path
) -> None:
    """Whole episodes, until they hold as many steps; a reset is none."""
    whole = open_dataset(run / "data").replay
    held = STEPS + 1
    for most, episodes in ((0, 3), (1, 1), (100, 1), (101, 2), (250, 3), (10**6, 3)):
        assert first_episodes(whole, most).steps_held == episodes * held
    assert learn(tmp_path / "run", data, 5, "--max-steps", "101") == 0
    assert not tensors(tmp_path / "run")["agent.world_model.rssm.input.weight"].equal(
        tensors(run)["agent.world_model.rssm.input.weight"]
    )
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["max_steps"] == 101 and config["training"]["sequences"] == "stream"


def test_there_is_no_explorer_to_start_from(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--env", "toy_envs:point", "--frames", "60", "--run-dir", str(tmp_path / "task")]
    assert main(["finetune", "--from", str(run), "--start", "explorer", *QUIET, *where]) == 2
    error = capsys.readouterr().err
    assert "no trained explorer" in error and "recorded data" in error and "--start model" in error
    assert not (tmp_path / "task").exists()
    assert main(["finetune", "--from", str(run), "--start", "model", *QUIET, *where]) == 0


def test_the_report_needs_no_environment(run: Path, tmp_path: Path) -> None:
    assert main(["skills", str(run), "--out", str(tmp_path / "data")]) == 0
    figures = json.loads((tmp_path / "data" / "skills.json").read_text())
    assert figures["coverage"] is None and figures["hit_rate"] is None
    assert figures["codebook"]["source"] == "data" and figures["model_error"]["sequences"] > 0
    assert "recorded data" in (tmp_path / "data" / "report.html").read_text()
    with_one = ["--env", "toy_envs:long_point", "--episodes", "2", "--steps", "60"]
    assert main(["skills", str(run), *with_one, "--out", str(tmp_path / "env")]) == 0
    assert json.loads((tmp_path / "env" / "skills.json").read_text())["coverage"]["trained"] > 0


def test_bounds_that_only_the_actions_tell_are_told_to_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = record(tmp_path / "data", most=0.5)
    with np.load(data / "episode_000000_100.npz") as found:
        steps = dict(found)
    steps["action"][1, 0] = 1.5
    write_episode(data, 0, steps)
    run, where = tmp_path / "run", ["--env", "toy_envs:point", "--frames", "60"]
    assert learn(run, data, 5) == 0
    text = capsys.readouterr().out
    assert "(the extremes of the actions)" in text and "tell them with --spec" in text
    task = ["finetune", "--from", str(run), *QUIET, *where, "--run-dir", str(tmp_path / "task")]
    assert main(task) == 2
    text = capsys.readouterr().err
    assert "1.5] x [" in text and "and [-1, 1]" in text and "--spec that tells the bounds" in text


def test_playing_needs_an_environment(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run)]) == 2
    assert "name one with --env" in capsys.readouterr().err


def test_data_that_are_not_there(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert learn(tmp_path / "run", tmp_path / "empty", 5) == 2
    assert str(tmp_path / "empty") in capsys.readouterr().err
    assert not (tmp_path / "run").exists(), "the right path could not be given any more"


def test_bad_episodes_stop_a_run_until_it_may_leave_them_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = record(tmp_path / "data")
    bad = data / "episode_000001_100.npz"
    bad.write_bytes(bad.read_bytes()[:300])
    assert learn(tmp_path / "run", data, 5) == 2
    assert f"{bad.name}: it cannot be read" in capsys.readouterr().err
    assert learn(tmp_path / "run", data, 5, "--skip-bad") == 0
    text = capsys.readouterr().out
    assert "1 of 3 episodes cannot be used and were left out" in text and bad.name in text


def test_a_run_that_learned_from_data_is_a_data_set(run: Path, tmp_path: Path) -> None:
    assert inspect_data(run)["steps"] == 3 * STEPS
    assert learn(tmp_path / "next", run, 5) == 0


def test_a_run_needs_its_source_no_more_once_it_is_imported(data: Path, tmp_path: Path) -> None:
    source, run = tmp_path / "source", tmp_path / "run"
    shutil.copytree(data, source)
    assert learn(run, source, 5, "--snapshots", "5") == 0
    shutil.rmtree(source)
    assert learn(run, source, 10, "--snapshots", "5") == 0
    assert state(run)["count"] == 10
    snapshot = str(run / "snapshots" / "updates_5")
    assert main(["skills", snapshot, "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "report.html").is_file()


LOW_HIGH = {"action_low": [-0.5, -0.5], "action_high": [0.5, 0.5]}


def renamed(folder: Path) -> Path:
    """Episodes whose actions are called otherwise, with an array that nobody asked for."""
    record(folder)
    for path in folder.glob("*.npz"):
        with np.load(path) as held:
            arrays = dict(held)
        arrays["command"] = arrays.pop("action")
        arrays["temperature"] = np.zeros((len(arrays["command"]), 3), np.float32)
        np.savez(path, **arrays)
    (folder / "card.json").unlink(missing_ok=True)
    return folder


def test_names_keys_and_bounds_are_given_to_the_import_and_belong_to_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = renamed(tmp_path / "episodes"), tmp_path / "run"
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(LOW_HIGH))
    options = ["--map", "action=command", "--keys", "observation", "--spec", str(spec)]
    assert learn(tmp_path / "none", data, 5) == 2
    assert learn(tmp_path / "none", data, 5, *options) in (1, 2), "actions beyond the bounds"
    assert learn(run, data, 5, *options, "--clip") == 0
    assert "warning: only 300 steps" in capsys.readouterr().out
    card = read_card(run / "data")
    assert card is not None and list(card["spec"]["observations"]) == ["observation"]
    assert card["request"]["clip"] and card["request"]["map"] == ["action=command"]

    assert learn(run, data, 10, *options, "--clip") == 0, "the same goes on"
    assert learn(run, data, 12, *options, "--rescale") == 2
    assert "clip: found True, wanted False" in capsys.readouterr().err
    assert learn(tmp_path / "whole", data, 10, *options, "--clip") == 0
    one, other = tensors(run), tensors(tmp_path / "whole")
    assert all(bool((one[name] == other[name]).all()) for name in one)

    where = [str(data), str(tmp_path / "set"), "--no-progress"]
    assert main(["data", "import", *where, *options, "--clip"]) == 0
    capsys.readouterr()
    assert learn(tmp_path / "of_set", tmp_path / "set", 5) == 0
    assert "warning: only 300 steps" in capsys.readouterr().out
    assert learn(tmp_path / "other", tmp_path / "set", 5, "--map", "action=command") == 2
    assert "is an imported set, and --map" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
