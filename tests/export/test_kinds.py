"""Agents of every kind, exported, and replayed without PyTorch and without this package.

Each takes seconds: PyTorch's exporter does, however small the network is.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from toy_exports import KINDS, run_alone, toy_export

import choreo
from choreo.export.act import Policy
from choreo.export.run import TOLERANCE


@pytest.mark.parametrize("name", KINDS)
def test_a_policy_acts_as_its_agent_without_it(name: str, tmp_path: Path) -> None:
    kind, folder = KINDS[name], tmp_path / "out"
    agent, contract = toy_export(kind, folder)
    parity = contract["parity"]
    assert parity["steps"] == [200, 2]
    assert parity["resets"] >= 4
    assert (parity["skill_switches"] >= 10) is (kind.policy == "skill")
    assert max(parity["largest_difference"].values()) <= TOLERANCE == 1e-4
    assert len(parity["near_ties"]) <= 2
    ran = run_alone(folder)
    assert ran.returncode == 0 and "as exported" in ran.stdout, ran.stderr
    assert json.loads(json.dumps(contract)) == json.loads((folder / "contract.json").read_text())
    assert str(Path(choreo.__file__).parent).encode() not in (folder / "policy.onnx").read_bytes()
    _takes_any_rows(folder, agent.num_skills)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def _takes_any_rows(folder: Path, skills: int) -> None:
    """Rows do not depend on one another, and what is seen, who acts and what was before matter."""
    parity = dict(np.load(folder / "parity.npz"))
    inputs = {k.removeprefix("input/"): v for k, v in parity.items() if k.startswith("input/")}
    three, one = Policy(folder, rows=3), Policy(folder)
    actions = []
    for step in range(4):
        many = {k: np.concatenate([v[step], v[step, :1]]) for k, v in inputs.items()}
        if "skill" in many:
            many["skill"] = np.array([0, 1, 0]) % skills
        single = {k: v[0] for k, v in many.items()}
        outputs = three.step(**many)
        np.testing.assert_allclose(outputs["action"][:1], one.step(**single)["action"], atol=1e-5)
        np.testing.assert_allclose(outputs["action"][0], outputs["action"][2], atol=1e-5)
        actions.append(outputs["action"])
    assert np.abs(actions[0][0] - actions[0][1]).max() > 1e-3
    assert np.abs(actions[3][0] - actions[2][0]).max() > 1e-3
    low, high = one.contract["action"]["low"], one.contract["action"]["high"]
    assert (np.array(actions) >= low).all() and (np.array(actions) <= high).all()
