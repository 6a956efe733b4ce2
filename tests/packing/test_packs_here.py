"""The packs of the repository: every one opens, acts, and is what was packed."""

import re
from pathlib import Path

import numpy as np
import pytest
from toy_runs import QUIET

import choreo
from choreo.cli import main
from choreo.intact import examine_run
from choreo.record import pack

ROOT = Path(__file__).parents[2] / "packs"
PACKS = sorted(path.parent.name for path in ROOT.glob(f"*/{pack.LISTING}"))
MOST = 4 * 2**20  # bytes: a clone of the repository should stay small


def test_there_are_packs_and_all_are_in_the_index() -> None:
    assert "point_mass" in PACKS
    linked = re.findall(r"\]\((\w+)/README\.md\)", (ROOT / "README.md").read_text())
    assert sorted(linked) == PACKS
    assert {path.name for path in ROOT.iterdir()} == {*PACKS, "README.md"}


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_opens_and_acts(name: str) -> None:
    folder = ROOT / name
    assert all(finding.ok for finding in examine_run(folder))
    assert {pack.FILM, pack.PAGE, pack.FIGURES} <= {path.name for path in folder.iterdir()}
    assert sum(path.stat().st_size for path in folder.iterdir()) < MOST
    agent = choreo.load(folder)
    seen = {k: np.zeros(one.shape, one.dtype) for k, one in agent.spec.observations.items()}
    taken = [agent.session().act(seen, skill=skill) for skill in range(agent.num_skills)]
    assert len({one.tobytes() for one in taken}) > agent.num_skills // 2, "skills differ"
    assert np.abs(taken).max() <= 1
    own = agent.session().act_in_units(seen, skill=0)
    low, high = (np.array(b, own.dtype) for b in (agent.spec.action_low, agent.spec.action_high))
    assert (own >= low).all() and (own <= high).all()


def test_a_pack_is_fine_tuned(tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ["--env", "point_mass_reach_top_left", "--frames", "600", "--run-dir", str(run)]
    small = ["--training.random-frames", "500", "--training.batch", "4", "--training.length", "8"]
    assert main(["finetune", "--from", str(ROOT / "point_mass"), *options, *small, *QUIET]) == 0
    source, tuned = choreo.load(ROOT / "point_mass"), choreo.load(run)
    assert tuned.controller is not None and tuned.num_skills == source.num_skills
    assert tuned.spec.id == "point_mass_reach_top_left"
