"""`choreo data collect` and `choreo data relabel`, from the command line's words to files."""

import json
from pathlib import Path

import pytest
from toy_agents import toy_agent

from choreo.cli.data_collect import collect, relabel
from choreo.data.formats.exorl import list_episodes
from choreo.data.formats.npz import load
from choreo.errors import UsageError

QUICK = ["--processes", "1", "--no-progress"]


def test_collect_and_relabel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, new = str(tmp_path / "data"), str(tmp_path / "new")
    collect([data, "--env", "point_mass", "--frames", "8", "--time-limit", "5", *QUICK, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found == {"folder": data, "episodes": 2, "steps": 10, "frames": 10}
    relabel([data, new, "--task", "point_mass_reach_bottom_right", "--no-progress"])
    assert "2 episodes, 10 steps with the rewards of point_mass_reach_bottom" in (
        capsys.readouterr().out
    )
    assert list_episodes(tmp_path / "new") == {0: 5, 1: 5}
    name = "episode_000001_5.npz"
    old, changed = load(tmp_path / "data" / name), load(tmp_path / "new" / name)
    assert (old["reward"] != changed["reward"]).any()
    assert (old["physics"] == changed["physics"]).all()


def test_a_run_collects_where_it_was_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = str(toy_agent().save(tmp_path / "agent"))
    words = ["--policy", saved, "--which", "skill", "--frames", "30", "--environments", "2"]
    collect([str(tmp_path / "data"), *words, "--trust", "--time-limit", "9", *QUICK])
    assert "of toy_envs:point" in capsys.readouterr().out
    assert list_episodes(tmp_path / "data") == {0: 9, 1: 9, 2: 9, 3: 9}
    card = json.loads((tmp_path / "data" / "card.json").read_text())
    plan = card["collected"]["plan"]
    assert (plan["which"], plan["environments"], plan["sample"]) == ("skill", 2, True)
    assert card["collected"]["agent_sha256"]


def test_random_actions_need_an_environment(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--env"):
        collect([str(tmp_path / "data"), "--frames", "8", *QUICK])
