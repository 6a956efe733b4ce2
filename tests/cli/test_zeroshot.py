"""`choreo zeroshot`: what it prints, goal sets, choosing in imagination, bad input."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toy_runs import pretrain

from choreo.agent import Agent, load
from choreo.cli import main, zeroshot
from choreo.envs import ArraySpec, EnvSpec, goal_sets, make

IMAGINED = ["--choose", "imagined"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(tmp_path_factory.mktemp("runs") / "run", frames=70)


def saved(run: Path, folder: Path, spec: EnvSpec) -> Path:
    """An untrained agent for another environment, as large as that of the run."""
    return Agent(spec, load(run).config, "pretraining").save(folder)


@pytest.fixture(scope="module")
def reacher(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with_goals = make("mw_reach")
    with_goals.close()
    return saved(run, tmp_path_factory.mktemp("runs") / "reach", with_goals.spec)


@pytest.fixture
def few_goals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two goals in a set and short episodes: the protocol's numbers stand in other tests."""
    given = goal_sets.reach_episodes
    monkeypatch.setattr(goal_sets, "GOALS", 2)
    monkeypatch.setattr(goal_sets, "STEPS", 6)
    monkeypatch.setattr(goal_sets, "SKILL_STEPS", 3)
    monkeypatch.setattr(goal_sets, "reach_episodes", lambda number: given(number)[:2])


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["zeroshot", *(str(argument) for argument in arguments), "--trust", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    capsys.readouterr()
    assert main(["zeroshot", *(str(argument) for argument in arguments), "--trust"]) == 2
    return capsys.readouterr().err


def test_it_prints_what_was_found_next_to_the_controls(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, run, "--episodes", "4")
    assert len(found["found"]) == 4 and found["frames"] == 80
    assert found["mean"] == sum(found["found"]) / 4
    low, high = found["interval95"]
    assert low <= found["mean"] <= high
    assert list(found["controls"]) == ["untrained", "random"]
    assert found["controls"]["random"].keys() == found.keys() - {"controls"}
    assert "controls" not in printed(capsys, run, "--episodes", "2", "--no-controls")


def test_people_get_a_table(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zeroshot", str(run), "--trust", "--episodes", "2"]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("trained", "untrained", "random actions", "interval"))


@pytest.mark.usefixtures("few_goals")
def test_goal_sets_are_played_goal_by_goal(
    reacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, reacher, "--goal-set", "0..1", "--episodes", "2")
    assert len(found["found"]) == 8 and found["steps"] == 8 * 6 and found["frames"] == 8 * 12
    assert all(len(skills) == 2 for skills in found["skills"]), "a new one every 3 of 6 steps"
    places = [(goal["set"], goal["number"]) for goal in found["goals"]]
    assert places == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert found["goals"][3]["position"] == goal_sets.reach_goals(1)[1].tolist()
    assert found["goals"][0]["found"].keys() == {"trained", "untrained", "random"}
    assert main(["zeroshot", str(reacher), "--trust", "--goal-set", "7", "--no-controls"]) == 0
    assert "2 goals" in capsys.readouterr().out


def test_goals_are_counted_by_episode() -> None:
    goals = zeroshot.Goals([0, 0], [0, 1], [np.zeros(6), np.ones(6)], episodes=2)
    assert [goal[0] for goal in goals.per_episode()] == [0, 0, 1, 1]
    result = zeroshot.ZeroShot([0.0, 2.0, 1.0, 1.0], [[0]] * 4, 1e-4, 4, 8)
    assert goals.found(result) == [1, 2]
    assert goals.to_json({"trained": result})[1]["found"] == {"trained": 2}


@pytest.mark.usefixtures("few_goals")
def test_skills_chosen_in_imagination(reacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reward = ["--reward", "choreo.envs.goal_sets:fingers_to_goal", "--imagined-steps", "2"]
    found = printed(capsys, reacher, "--goal-set", "0", "--choose", "imagined", *reward)
    assert list(found["controls"]) == ["untrained", "random", "random_skills"]
    assert all(len(skills) == 2 for skills in found["skills"])
    assert main(["zeroshot", str(reacher), "--trust", "--episodes", "1", *IMAGINED, *reward]) == 2
    assert "needs a goal" in capsys.readouterr().err


def test_a_reward_function_of_ones_own(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_zeroshot_reward.py").write_text(
        "def second(seen):\n    return [0, 0, 1, 0][: len(seen['observation'])]\n"
    )
    monkeypatch.chdir(tmp_path)
    own = ["--choose", "imagined", "--reward", "my_zeroshot_reward:second", "--no-controls"]
    found = printed(capsys, run, "--episodes", "2", "--imagined-steps", "1", *own)
    assert found["skills"] == [[2], [2]]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return seen['nothing_here']", "KeyError: 'nothing_here' (my_bad_reward.py, line 2)"),
        ("return ['far'] * 4", "ValueError"),
        ("return 1 / 0", "ZeroDivisionError"),
        ("return [1.0]", "wanted one finite number for each"),
    ],
)
def test_an_error_in_a_reward_function_is_a_sentence(
    run: Path,
    body: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "my_bad_reward.py").write_text(f"def bad(seen):\n    {body}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_bad_reward", raising=False)
    own = [*IMAGINED, "--reward", "my_bad_reward:bad", "--episodes", "1", "--imagined-steps", "1"]
    shown = refused(capsys, run, *own)
    assert words in shown and "Traceback" not in shown


def test_a_module_that_fails_while_it_is_imported_is_a_sentence(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_broken_module.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    shown = refused(capsys, run, *IMAGINED, "--reward", "my_broken_module:f")
    assert "SyntaxError" in shown


def picture(path: Path, width: int = 64, height: int = 64) -> Path:
    Image.new("RGB", (width, height), (10, 200, 30)).save(path)
    return path


def test_a_goal_image_becomes_an_observation(run: Path, tmp_path: Path) -> None:
    spec = EnvSpec.from_json(
        load(run).spec.to_json()
        | {"observations": {"image": {"shape": [3, 64, 64], "dtype": "uint8"}}}
    )
    agent = Agent(spec, load(run).config, "pretraining")
    for size in (64, 128):
        image = zeroshot._read_image(picture(tmp_path / "goal.png", size, size), agent)["image"]
        assert ArraySpec(image.shape, str(image.dtype)) == spec.observations["image"]
        assert image[:, 5, 5].tolist() == [10, 200, 30]
    (tmp_path / "text.png").write_text("no picture")
    for path, words in (
        (picture(tmp_path / "wide.png", 64, 32), "wanted a square"),
        (tmp_path / "text.png", "no picture that can be read"),
        (tmp_path / "missing.png", "No such file"),
    ):
        with pytest.raises(zeroshot.UsageError, match=words):
            zeroshot._read_image(path, agent)


def test_a_goal_image_is_measured_and_shown(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_pictures = make("toy_envs:seen")
    with_pictures.close()
    agent = saved(run, tmp_path / "agent", with_pictures.spec)
    goal = ["--goal-image", picture(tmp_path / "goal.png"), "--out", tmp_path / "out"]
    options = [agent, *IMAGINED, *goal, "--episodes", "1", "--time-limit", "8"]
    found = printed(capsys, *options)["goal"]
    ranking = found["ranking"]
    assert ranking[0]["skill"] == found["chosen"]
    codes = [entry["code_distance"] for entry in ranking]
    assert codes == sorted(codes) and len(codes) == load(run).num_skills
    for entry in (*ranking, found["random"]):
        for kind in ("model", "picture"):
            others = entry[f"{kind}_start"], entry[f"{kind}_end"]
            assert 0 <= entry[f"{kind}_nearest"] <= min(others)
    ends = sorted(entry["picture_end"] for entry in ranking)
    assert ends[found["place_of_chosen"] - 1] == ranking[0]["picture_end"]
    page = (tmp_path / "out" / "goal.html").read_text()
    assert "There is no film" in page and "(chosen)" in page  # the toy cannot be drawn
    assert json.loads((tmp_path / "out" / "goal.json").read_text())["chosen"] == found["chosen"]
    assert main(["zeroshot", *map(str, options), "--trust", "--no-controls"]) == 0
    assert "which knows nothing of the picture" in capsys.readouterr().out


def test_a_dense_reward_makes_found_meaningless(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The toy point is rewarded in every step near the middle, where it starts.
    assert printed(capsys, run, "--episodes", "2")["dense_reward"]
    assert main(["zeroshot", str(run), "--trust", "--episodes", "2"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "The reward is dense" in shown and "`found` says nothing here" in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--episodes", "0"], "at least 1 episode"),
        (["--skill-steps", "0"], "at least 1 step"),
        (["--goal-set", "10"], "the sets are 0 to 9"),
        (["--goal-set", "0-9"], "cannot be read"),
        (["--goal-set", "0"], "toy_envs:point has no goal sets; mw_reach has"),
        (["--goal-set", "0", "--env", "mw_reach"], "does not fit this agent"),
        (["--reward", "a:b"], "add --choose imagined"),
        (IMAGINED, "needs one of --reward"),
        ([*IMAGINED, "--reward", "a:b", "--goal-image", "c.png"], "found both"),
        ([*IMAGINED, "--reward", "no_such_module_here:b"], "no function that can be called"),
        ([*IMAGINED, "--reward", "json:nothing"], "no function that can be called"),
        ([*IMAGINED, "--reward", "json"], "no function that can be called"),
        ([*IMAGINED, "--goal-image", "c.png"], "agents that see one coloured picture"),
        (
            [*IMAGINED, "--reward", "math:fsum", "--imagined-steps", "0", "--episodes", "1"],
            "at least 1 step",
        ),
    ],
)
def test_bad_input(
    run: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, run, *options)
