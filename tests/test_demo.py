"""The demonstration, with little of everything."""

import json
from pathlib import Path

import pytest

from choreo.cli.demo import demo
from choreo.demo import DemoConfig, _all_minutes, _finetuning, corner
from choreo.record.progress import Stopwatch

LITTLE = (
    "--preset debug --skills 4 --frames 300 --random-frames 100 --explore-steps 6 "
    "--finetune-frames 200 --episode-steps 55 --skill-steps 5 --action-repeat 1 --episodes 2"
)


def test_the_goal_follows_from_the_seed_alone() -> None:
    drawn = [corner(DemoConfig(seed=seed)) for seed in range(3)]
    assert drawn == [f"point_mass_go_{c}" for c in ("bottom_right", "top_right", "bottom_right")]
    assert corner(DemoConfig(seed=1, task="point_mass_reach_top_left")).endswith("top_left")


def test_a_demonstration_ends_with_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo([*LITTLE.split(), "--run-dir", str(tmp_path), "--seed", "1", "--json"])
    result = json.loads(capsys.readouterr().out)
    page = (tmp_path / "report.html").read_text()
    assert "point_mass_go_top_right" in page and "200 frames" in page
    assert len(result["goals"]) == 4 and "Goals without any training" in page
    for goal in result["goals"].values():
        assert 0 <= goal["skill"] < 4 and all(0 <= goal[k] <= 55 for k in ("chosen", "chance"))
    assert set(result["task"]) == {"fine-tuned skills", "from scratch", "random actions"}
    assert json.loads((tmp_path / "demo.json").read_text())["task"] == result["task"]


def test_a_single_episode_is_evaluated_during_training_too() -> None:
    assert _finetuning(DemoConfig(episodes=1), False).training.evaluate_episodes == 1


@pytest.mark.parametrize(
    ("note", "before"),
    [('{"a": 2.0}', 2.0), ("[1]", 0.0), ("{", 0.0), ('{"a": "x"}', 0.0), (None, 0.0)],
)
def test_minutes_add_up_and_a_spoilt_note_counts_for_nothing(
    tmp_path: Path, note: str | None, before: float
) -> None:
    watch = Stopwatch()
    watch.seconds["a"] = 60.0
    if note is not None:
        (tmp_path / "minutes.json").write_text(note)
    assert _all_minutes(tmp_path / "minutes.json", watch) == {"a": before + 1.0}
