"""`choreo play`: films, tables and dreams of a score, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_runs import QUIET, pretrain

from choreo.agent import load
from choreo.cli import main
from choreo.cli.measure import fitting_vector
from choreo.data import write_episode
from choreo.evaluation.choreography import checkpoint_of, read_score
from choreo.evaluation.performance import film, open_stage

SCORE = {"moves": [{"skill": 1, "steps": 12}, {"skill": 0, "steps": 6}], "seed": 2, "loop": 2}
GOOD = json.dumps(SCORE)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-training run of a point that draws itself, whose episodes have 20 steps."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    return pretrain(folder, env="toy_envs:drawn", frames=70)


def saved(folder: Path, score: Any) -> str:
    path = folder / "score.json"
    path.write_text(score if isinstance(score, str) else json.dumps(score))
    return str(path)


def played(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["play", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_move_is_told(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = played(capsys, saved(tmp_path, SCORE), str(run))
    moves = [(row["skill"], row["steps"]) for row in found["moves"]]
    assert moves == [(1, 12), (0, 6), (1, 2)] and found["ended"], "the point itself stops at 20"
    assert found["return"] == pytest.approx(sum(row["reward"] for row in found["moves"]))
    assert found["checkpoint"] == checkpoint_of(run)
    assert main(["play", saved(tmp_path, SCORE), str(run)]) == 0
    printed = capsys.readouterr().out
    assert "20 steps, return" in printed and "ended the episode after 20 of 36" in printed
    short = played(capsys, saved(tmp_path, {**SCORE, "loop": 1}), str(run))
    assert [row["steps"] for row in short["moves"]] == [12, 6] and not short["ended"]


@pytest.mark.parametrize("name", ["a.mp4", "new/a.gif"])
def test_a_film_is_that_of_the_library(run: Path, tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, SCORE)
    assert main(["play", path, str(run), "--out", str(tmp_path / name), "--size", "64"]) == 0
    agent, score = load(run), read_score(Path(path))
    with open_stage(lambda limit: fitting_vector(agent, None, 1, run, limit), 36) as vector:
        wanted = film(agent, vector, score, "mp4" if name.endswith("4") else "gif", 64)
    assert (tmp_path / name).read_bytes() == wanted


def test_a_score_is_imagined(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = played(capsys, saved(tmp_path, SCORE), str(run), "--imagine")
    again = played(capsys, saved(tmp_path, SCORE), str(run), "--imagine")
    assert found == again and found["imagined"] and found["steps"] == 36


def test_a_run_from_recorded_data_imagines_and_plays_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run, rng = tmp_path / "data", str(tmp_path / "run"), np.random.default_rng(0)
    data.mkdir()
    for number in range(2):
        steps = {
            "observation": rng.normal(size=(61, 3)).astype(np.float32),
            "action": rng.uniform(-1, 1, (61, 2)).astype(np.float32),
            "reward": np.zeros(61, np.float32),
            "discount": np.ones(61, np.float32),
        }
        write_episode(data, number, steps)
    where = ["--data", str(data), "--updates", "2", "--run-dir", run]
    assert main(["offline", "--preset", "debug", *QUIET, *where]) == 0
    score = saved(tmp_path, SCORE)
    found = played(capsys, score, run, "--imagine")
    assert found["steps"] == 36 and found == played(capsys, score, run, "--imagine")
    assert main(["play", score, run]) == 2
    assert "knows no environment to play in: add --imagine" in capsys.readouterr().err


def test_another_checkpoint_is_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = saved(tmp_path, {**SCORE, "checkpoint": "a" * 64})
    assert main(["play", other, str(run)]) == 0
    assert "warning: the score was written for another checkpoint" in capsys.readouterr().err
    own = saved(tmp_path, {**SCORE, "checkpoint": checkpoint_of(run)})
    assert main(["play", own, str(run)]) == 0
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("score", "options", "words"),
    [
        ("{", (), "is no JSON"),
        ("[1]", (), "is no choreography"),
        ({"moves": []}, (), "has no moves"),
        ({"moves": [{"skill": 99, "steps": 1}]}, (), "skill 99, which does not exist"),
        ({"moves": [{"skill": 0, "steps": 10**6}]}, (), "steps is 1000000"),
        ({**SCORE, "loop": 10**4}, (), "wanted are at most 100000"),
        ({**SCORE, "loop": 500}, ("--imagine",), "imagined are at most 5000"),
        (SCORE, ("--out", "film.avi"), "ends with .mp4, .gif, .webp"),
        (SCORE, ("--out", "film"), "ends with .mp4, .gif, .webp"),
        (SCORE, ("--size", "10"), "wanted are 32 to 1024"),
        (SCORE, ("--env", "point_mass"), "point_mass does not fit this agent"),
        (SCORE, ("--env", "nowhere"), "unknown environment"),
        (SCORE, ("--out", "film.mp4", "--imagine"), "cannot be drawn"),
    ],
)
def test_what_cannot_be_played(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    score: Any,
    options: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["play", saved(tmp_path, score), str(run), *options]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["score.json"], "nothing is left behind"


def test_folders_and_files_that_are_none(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path, GOOD)
    for arguments, code, words in (
        ((str(tmp_path / "none.json"), str(run)), 2, "cannot be read"),
        ((path, str(tmp_path / "none")), 2, "no such folder"),
        ((path, str(tmp_path)), 2, "no checkpoint in"),
        ((path, str(run), "--out", str(tmp_path / "a.gif" / "b.gif")), 74, "could not be written"),
    ):
        (tmp_path / "a.gif").touch()
        assert main(["play", *arguments]) == code
        assert words in " ".join(capsys.readouterr().err.split())
