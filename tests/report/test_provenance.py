"""A report says of what it is: kind of training, frames, checkpoint, preset, date."""

import json
from pathlib import Path
from typing import get_args

import pytest
from toy_episodes import make_agent

from choreo.agent import Agent, adapt
from choreo.agent.agent import Parts
from choreo.report.provenance import PARTS, provenance_of, report_folder, unrecorded

TRAINED = {"preset": "cpu", "seed": 3, "env": "walker"}
KINDS = {
    "pretrain": ({"command": "pretrain"}, "explored walker without any reward"),
    "offline": (
        {"command": "offline", "data": "/srv/me/logs/run7"},
        "from logs/run7, recorded data",
    ),
    "finetune": (
        {"command": "finetune", "source": "/srv/me/runs/walker"},
        "fine-tuned on walker, with its reward",
    ),
    "scratch": ({"command": "finetune", "from_scratch": True}, "began with fresh weights"),
}


def saved(folder: Path, agent: Agent, config: dict) -> Path:
    """A run with a checkpoint and a snapshot, as far as reports read it."""
    agent.save(folder / "checkpoints" / "frames_000004000")
    (folder / "checkpoints" / "latest").write_text("frames_000004000\n")
    agent.save(folder / "snapshots" / "frames_2000")
    content = {"format": 1, "config": TRAINED | config, "versions": {"choreo": "0.1.0"}}
    (folder / "config.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_training_are_told_truly(kind: str, tmp_path: Path) -> None:
    config, words = KINDS[kind]
    agent = make_agent()
    about = provenance_of(saved(tmp_path / "run", agent, config), agent)
    told = about.lead(16, "walker")
    assert about.kind == kind and words in told
    assert ("explored" in told) == (kind == "pretrain")
    assert "/srv/me" not in json.dumps(about.to_json()), "nothing of the machine"
    rows = {row[0]: row[1] for row in about.table().rows}
    assert rows["Checkpoint"] == "frames_000004000" and rows["Preset"] == "cpu"
    assert {"Run", "Seed of training", "Checkpoint saved", "Report written"} <= rows.keys()
    assert "It is shown in cheetah." in about.lead(16, "cheetah")


def test_a_snapshot_tells_its_own_frames_and_has_a_report_of_its_own(tmp_path: Path) -> None:
    agent = make_agent()
    run = saved(tmp_path / "run", agent, {"command": "pretrain"})
    snapshot = run / "snapshots" / "frames_2000"
    assert provenance_of(run, agent).count == 4000
    assert provenance_of(snapshot, agent).count == 2000
    assert report_folder(run) == run.resolve() / "skills"
    assert report_folder(snapshot) == run.resolve() / "skills" / "frames_2000"


def test_an_agent_without_files_says_what_it_is() -> None:
    tuned = adapt(make_agent(), make_agent().config, seed=0)
    assert "explored" not in unrecorded(tuned).lead(4, "counting")
    assert "fine-tuned" in unrecorded(tuned).lead(4, "counting")
    assert "explored" in unrecorded(make_agent()).lead(4, "counting")


def test_every_kind_of_agent_has_a_provenance() -> None:
    """Also one that fine-tuned a single policy, from the explorer or the model alone."""
    assert set(PARTS) == set(get_args(Parts))
