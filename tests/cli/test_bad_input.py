"""What goes wrong ends with a sentence that helps and with an exit code, and harms nothing."""

import io
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_disk import full_disk
from toy_runs import SMALL, last_checkpoint, pretrain, tensors

from choreo.agent import load
from choreo.cli import main
from choreo.errors import StorageError
from choreo.record import Logger, checkpoint
from choreo.replay import Replay

Refuse = Callable[..., str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-training run that is only looked at."""
    return pretrain(tmp_path_factory.mktemp("runs") / "run", frames=70)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Run a command that must fail with a code and return what it said, on one line."""

    def fail(*arguments: str | Path, code: int = 2) -> str:
        capsys.readouterr()
        try:
            found = main([str(argument) for argument in arguments])
        except SystemExit as end:
            found = end.code
        printed = capsys.readouterr()
        text = " ".join((printed.err + printed.out).replace("│", " ").split())
        assert found == code, text
        assert "Traceback" not in text
        return text

    return fail


def training(folder: Path, env: str = "toy_envs:point", frames: int = 70) -> list[str]:
    where = ["--env", env, "--frames", str(frames), "--run-dir", str(folder)]
    return ["pretrain", *SMALL, "--snapshots", *where]


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ("walker_runn", "unknown environment 'walker_runn'; did you mean walker_run"),
        ("dmc:walker-rum", "unknown environment"),
        ("gym:Pendulum-v99", "Pendulum"),
        ("no_such_module:make", "no module 'no_such_module'"),
        ("toy_envs:nothing", "no function 'nothing'"),
        ("gym:CartPole-v1", "discrete actions"),
        ("mw_reech", "mw_reach"),
    ],
)
def test_environments_that_cannot_be_used(
    env: str, words: str, tmp_path: Path, refused: Refuse
) -> None:
    assert words in refused(*training(tmp_path / "run", env))
    assert not (tmp_path / "run").exists(), "nothing is left behind"


DEBUG = ["pretrain", "--preset", "debug", "--env", "toy_envs:point"]
APT = ["--exploration.kind", "apt"]
EPISODES = ["--training.sequences", "episode"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pretrain", "--env", "walker", "--trainng.batch", "3"], "--training.batch"),
        (["pretrain", "--env", "walker", "--frames", "many"], "--frames"),
        (["pretrain", "--env", "walker", "--model.deter", "1.5"], "--model.deter"),
        (["pretrain", "--env", "walker", "--preset", "huge"], "there are paper-states"),
        (["pretrain"], "--env"),
        (["pretrain", "--env", "walker", "--exploration.kind", "luck"], "plan2explore"),
        (["pretrain", "--env", "walker", "--seed", "-1"], "seed"),
        (["pretrane"], "unknown command 'pretrane'; did you mean `choreo pretrain`?"),
        (["xyz"], "unknown command 'xyz'; `choreo --help` lists them"),
        (
            ["bench", "everything"],
            "unknown command 'bench everything'; `choreo bench --help` lists",
        ),
        (["env", "check"], "needs the id"),
        (["finetune", "--env", "toy_envs:point"], "--from RUN, or --from-scratch"),
        (
            [*DEBUG, *APT, "--imagination.starts", "2", "--exploration.neighbours", "9"],
            "--exploration.neighbours is 9, and an update imagines 8 states (2 starts x 4)",
        ),
        (
            [*DEBUG, "--skills.neighbours", "129"],
            "--skills.neighbours is 129, and an update imagines 128 states",
        ),
        (
            [*DEBUG, *EPISODES, "--training.time-limit", "20", "--training.length", "22"],
            "have 20 steps and hold no sequence of 22",
        ),
        (["finetune", "--env", "toy_envs:point", "--start", "model"], "--from RUN"),
        (["finetune", "--env", "toy_envs:point", "--start", "luck"], "explorer"),
        (
            ["finetune", "--env", "toy_envs:point", "--start", "skills", "--from-scratch"],
            "--start skills and --from-scratch contradict one another",
        ),
        (
            ["finetune", "--env", "toy_envs:point", "--start", "model", "--freeze-skills"],
            "--freeze-skills with --start model",
        ),
    ],
)
def test_commands_and_options_that_do_not_exist_or_fit(
    arguments: list[str],
    words: str,
    refused: Refuse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in refused(*arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "training.batch",
        "training.length",
        "imagination.horizon",
        "imagination.layers",
        "model.units",
    ],
)
def test_sizes_that_leave_nothing_to_learn_from(name: str, refused: Refuse, tmp_path: Path) -> None:
    text = refused(*training(tmp_path / "run"), f"--{name}", "0")
    assert name in text.replace("-", "_") and "0" in text and "at least" in text


@pytest.mark.parametrize(
    "option",
    [
        "--frames -5",
        "--frames 0",
        "--training.time-limit -1",
        "--training.action-repeat 0",
        "--model-first -1",
        "--optimizer.model-lr -1",
        "--optimizer.clip nan",
        "--replay.max-gb -2",
        "--threads -1",
        "--snapshots -10",
        "--training.batch 10000000000",
    ],
)
def test_budgets_that_no_run_can_have(option: str, refused: Refuse, tmp_path: Path) -> None:
    name, value = option.split()
    text = refused(*training(tmp_path / "run"), name, value).replace("-", "_")
    assert name.replace("-", "_") in text and "wanted is" in text
    assert not (tmp_path / "run").exists()


def test_a_video_of_another_kind_is_refused_before_anything_is_played(
    run: Path, refused: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("choreo.cli.measure.run_evaluation", None)
    for name in ("film.gif", "film", "film.mp4.txt"):
        text = refused("evaluate", run, "--trust", "--video", tmp_path / name)
        assert "Give a name that ends with .mp4" in text
    assert "is a folder" in refused(
        "evaluate", run, "--trust", "--video", folder_named_mp4(tmp_path)
    )


def folder_named_mp4(folder: Path) -> Path:
    (folder / "film.mp4").mkdir()
    return folder / "film.mp4"


def test_cuda_where_there_is_none(
    refused: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    text = refused(*training(tmp_path / "run"), "--device", "cuda")
    assert "--device cpu" in text


def test_what_is_noted_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a library has given the log of the process a handler of its own."""
    elsewhere = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(elsewhere)])
    pretrain(tmp_path / "run", frames=70)
    assert "updates run eager on cpu" in capsys.readouterr().err
    assert elsewhere.getvalue() == ""


def test_graphs_where_there_is_no_card(refused: Refuse, tmp_path: Path) -> None:
    text = refused(*training(tmp_path / "run"), "--mode", "captured")
    assert "--mode captured" in text and "use --mode auto" in text
    assert not (tmp_path / "run").exists()


def test_nan_from_the_environment(tmp_path: Path, refused: Refuse) -> None:
    folder = tmp_path / "run"
    text = refused(*training(folder, "toy_envs:gives_nan", 200), code=1)
    assert "toy_envs:gives_nan: the observation 'observation' is nan at index 1" in text
    assert "in step 7 of the episode" in text
    assert last_checkpoint(folder).name == "frames_000000100"
    assert all(value.isfinite().all() for value in tensors(folder).values())


def test_nan_in_a_loss_names_it_saves_the_batch_and_harms_no_checkpoint(
    tmp_path: Path, refused: Refuse
) -> None:
    folder = tmp_path / "run"
    text = refused(*training(folder, "toy_envs:gives_huge_reward", 400), code=1)
    assert "NaN or infinity in world_model/loss_reward" in text
    batch = next(folder.glob("not-finite-update-*.npz"))
    assert batch.name in text.replace(" ", "")
    with np.load(batch) as data:
        assert data["reward"].max() > 1e29
        assert data["action"].shape == (4, 8, 2)
    assert last_checkpoint(folder).name == "frames_000000100"
    assert all(value.isfinite().all() for value in tensors(folder).values())


def test_nan_from_the_networks_while_acting(tmp_path: Path, refused: Refuse) -> None:
    text = refused(*training(tmp_path / "run", "toy_envs:gives_huge_observation", 400), code=1)
    assert "action [nan, nan] in environment 0" in text and "'observation' up to 1e+30" in text
    assert last_checkpoint(tmp_path / "run").name == "frames_000000100"


def test_a_run_folder_of_another_configuration(run: Path, tmp_path: Path, refused: Refuse) -> None:
    before = (run / "config.json").read_bytes()
    text = refused(*training(run), "--skills.codes", "9", "--seed", "4")
    assert "skills.codes: found 4, wanted 9" in text and "seed: found 0, wanted 4" in text
    text = refused(*training(run), "--precision", "bf16")
    assert "precision: found fp32, wanted bf16" in text
    assert "--run-dir" in text and (run / "config.json").read_bytes() == before
    (tmp_path / "notes.txt").write_text("mine")
    assert "is not a run" in refused(*training(tmp_path))


def test_a_run_of_another_command(run: Path, refused: Refuse) -> None:
    text = refused(
        "finetune", "--from", run, "--env", "toy_envs:point", "--run-dir", run, "--device", "cpu"
    )
    assert "command: found pretrain, wanted finetune" in text


def damaged(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder)
    return folder


def test_a_truncated_checkpoint(run: Path, tmp_path: Path, refused: Refuse) -> None:
    folder = damaged(run, tmp_path / "run")
    file = last_checkpoint(folder) / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    for command in (["evaluate", folder], training(folder, frames=90)):
        text = refused(*command, code=1)
        assert "is damaged" in text and "Remove that folder" in text


def test_a_foreign_checkpoint(run: Path, tmp_path: Path, refused: Refuse) -> None:
    folder = damaged(run, tmp_path / "run")
    (last_checkpoint(folder) / "state.json").write_text(json.dumps({"weights": "of another"}))
    for command in (["evaluate", folder], training(folder, frames=90)):
        assert "is not a checkpoint of Choreo" in refused(*command, code=1)


def test_a_checkpoint_without_a_run_in_it_cannot_be_resumed(
    run: Path, tmp_path: Path, refused: Refuse
) -> None:
    folder = damaged(run, tmp_path / "run")
    shutil.rmtree(folder / "checkpoints")
    load(run).save(folder / "checkpoints" / "frames_70")
    text = refused(*training(folder, frames=90), code=1)
    assert "cannot be resumed" in text and "frames_70" in text


def test_a_checkpoint_of_an_agent_with_unknown_settings(
    run: Path, tmp_path: Path, refused: Refuse
) -> None:
    agent = load(run)
    description = agent.description()
    description["config"]["skills"]["wings"] = 2
    values = {f"agent.{key}": value for key, value in agent.state_dict().items()}
    path = checkpoint.save(tmp_path, "agent", values, {"agent": description}, keep=None)
    text = refused("evaluate", path, code=1)
    assert "wings" in text and "version" in text


@pytest.mark.parametrize(
    ("owner", "method", "room", "where"),
    [
        (checkpoint, "save", 20_000, "checkpoints"),
        (Replay, "append", 20_000, "replay"),
        (Logger, "write", 100, "metrics.jsonl"),
    ],
)
def test_a_full_disk_stops_the_run_and_leaves_the_last_checkpoint_whole(
    run: Path,
    tmp_path: Path,
    refused: Refuse,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    method: str,
    room: int,
    where: str,
) -> None:
    folder = damaged(run, tmp_path / "run")
    before, original = tensors(folder), getattr(owner, method)

    def squeezed(*arguments: Any, **options: Any) -> Any:
        if owner is Replay:  # a new segment is when a replay asks for room
            arguments[0]._files.create(0, 1)
        return original(*arguments, **options)

    def limited(*arguments: Any, **options: Any) -> Any:
        with full_disk(room):
            return squeezed(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, limited)
        text = refused(*training(folder, frames=110), code=StorageError.exit_code)
    assert "ould not write" in text and where in text and "same command" in text
    after = tensors(folder)
    assert all(after[key].equal(before[key]) for key in before)
    assert main(training(folder, frames=110)) == 0, "with room again the run goes on"


def test_a_folder_without_a_checkpoint(tmp_path: Path, run: Path, refused: Refuse) -> None:
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.mkdir()
    tune = ["finetune", "--env", "toy_envs:point", "--run-dir", tmp_path / "new", "--from"]
    assert "no such folder" in refused(*tune, missing)
    assert "no checkpoint in" in refused(*tune, empty)
    assert not (tmp_path / "new").exists()
    for command in ("evaluate", "skills", "zeroshot"):
        assert "no checkpoint in" in refused(command, empty)


def test_a_task_that_does_not_fit_the_pre_trained_agent(
    run: Path, tmp_path: Path, refused: Refuse
) -> None:
    tune = ["finetune", "--from", run, "--env", "toy_envs:keys", "--run-dir", tmp_path / "new"]
    text = refused(*tune)
    assert "toy_envs:keys does not fit the agent" in text and "toy_envs:point" in text
    assert not (tmp_path / "new").exists()
    assert "does not fit this agent" in refused("evaluate", run, "--env", "toy_envs:keys")


@pytest.mark.parametrize("skill", ["4", "-1"])
def test_a_skill_out_of_range(run: Path, skill: str, refused: Refuse) -> None:
    text = refused("evaluate", run, f"--skill={skill}")
    assert "4 skills, 0 to 3" in text


def test_a_policy_the_agent_has_not(run: Path, refused: Refuse) -> None:
    assert "no meta-controller" in refused(
        "evaluate", run, "--trust", "--policy", "task", "--episodes", "1"
    )
    assert "at least 1 episode" in refused("evaluate", run, "--episodes", "0")


def test_a_video_without_a_renderer(run: Path, tmp_path: Path, refused: Refuse) -> None:
    text = refused(
        "evaluate",
        run,
        "--trust",
        "--skill",
        "0",
        "--episodes",
        "1",
        "--video",
        tmp_path / "v.mp4",
        code=1,
    )
    assert "no video" in text and "rgb_array" in text
    assert not (tmp_path / "v.mp4").exists()


def test_evaluations_that_would_never_end_are_refused_before_training(
    tmp_path: Path, refused: Refuse
) -> None:
    options = ["--preset", "debug", "--env", "toy_envs:point", "--run-dir", tmp_path / "run"]
    text = refused("pretrain", *options, "--frames", "50", "--training.evaluate-every", "20")
    assert "--training.time-limit" in text
    assert not (tmp_path / "run").exists()
