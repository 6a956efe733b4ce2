"""`choreo export` and `choreo evaluate` of what it wrote, on runs of the `debug` preset."""

import json
from pathlib import Path

import numpy as np
import pytest
from toy_exports import run_alone
from toy_runs import finetune, pretrain

import choreo
from choreo.cli import main
from choreo.export import Exported
from choreo.record import checkpoint


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-trained run with its skill report, and a fine-tuned one, both in an own environment."""
    root = tmp_path_factory.mktemp("runs")
    env = "toy_envs:drawn"
    pretrain(root / "pre", "--model.standardize", "1", env=env)
    finetune(root / "fine", "--from", str(root / "pre"), env=env)
    report = ["--steps", "60", "--episodes", "2", "--threads", "1", "--time-limit", "60"]
    assert main(["skills", str(root / "pre"), "--no-pictures", *report]) == 0
    return root


def _evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    capsys.readouterr()
    assert main(["evaluate", *arguments, "--episodes", "3", "--seed", "4", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def exported(runs: Path) -> Path:
    assert main(["export", str(runs / "pre"), str(runs / "out")]) == 0
    return runs / "out"


def test_a_run_becomes_a_folder_that_runs_alone(runs: Path, exported: Path) -> None:
    wanted = (
        "README.md SHA256SUMS act.py contract.json parity.npz policy.onnx run.py skills.json "
        "thumbnails"
    )
    assert sorted(path.name for path in exported.iterdir()) == wanted.split()
    assert "as exported" in run_alone(exported).stdout
    contract, skills = (
        json.loads((exported / name).read_text()) for name in ("contract.json", "skills.json")
    )
    found = checkpoint.latest(runs / "pre" / "checkpoints")
    assert found is not None
    weights = checkpoint.identity(found)
    assert contract["checkpoint"]["sha256"] == skills["checkpoint"]["sha256"] == weights
    assert "standardisation of vectors with the statistics of training" in contract["inside"]
    names = [port["name"] for port in contract["inputs"]]
    state = ["deter", "stoch", "previous_action", "is_first"]
    assert names == ["position", "velocity", *state, "skill"]
    text = (exported / "README.md").read_text()
    assert "What was not tried" in text and str(runs) not in text + json.dumps(contract)


def test_skills_have_the_figures_of_their_report(runs: Path, exported: Path) -> None:
    skills = json.loads((exported / "skills.json").read_text())
    report = json.loads((runs / "pre" / "skills" / "skills.json").read_text())
    assert skills["measured"] and len(skills["skills"]) == 4
    for skill, row in enumerate(skills["skills"]):
        assert row["health"]["hit_rate"] == report["hit_rate"]["per_skill"]["trained"][skill]
        assert row["hold"] == report["hold"]["per_skill"]["trained"][skill] <= 61
        rate = report["safety"]["action_rate"]["per_skill"]["trained"][skill]
        assert row["safety"]["action_rate"] == rate is not None
        assert (exported / row["thumbnail"]).read_bytes().startswith(b"\x89PNG")
    assert skills["means"]["random"]["action_rate"] == pytest.approx(1 / 3, abs=0.05)


def test_it_plays_as_its_agent_does(
    runs: Path, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = _evaluated(capsys, str(runs / "pre"), "--posterior", "mode")
    other = _evaluated(capsys, str(exported))
    assert other["policy"] == "skill" and other["lengths"] == agent["lengths"]
    np.testing.assert_allclose(other["returns"], agent["returns"], rtol=1e-4)
    assert other["returns"] != _evaluated(capsys, str(runs / "pre"))["returns"]
    one = _evaluated(capsys, str(exported), "--skill", "2")
    assert one["returns"] == other["per_skill"][2]["returns"]
    assert main(["evaluate", str(exported), "--policy", "task"]) == 2
    assert "holds the policy 'skill'" in capsys.readouterr().err
    assert main(["evaluate", str(exported), "--sample"]) == 2
    assert main(["skills", str(exported)]) == 2
    assert "is an exported policy" in capsys.readouterr().err


def test_a_sampled_program_plays_as_the_agent_in_training(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, run = tmp_path / "out", str(runs / "fine")
    options = ["--sampled", "--to", "torch", "--no-pictures"]
    assert main(["export", run, str(out), *options]) == 0
    assert "skills: not measured" in capsys.readouterr().out
    skills = json.loads((out / "skills.json").read_text())
    assert not skills["measured"] and skills["thumbnails"] == "not drawn: --no-pictures"
    assert not (out / "run.py").exists() and Exported(out).plays_task
    assert str(Path(choreo.__file__).parent).encode() not in (out / "policy.pt2").read_bytes()
    agent = _evaluated(capsys, run, "--sample")
    other = _evaluated(capsys, str(out), "--sample")
    assert other["choices"]["over_time"] == agent["choices"]["over_time"]
    np.testing.assert_allclose(other["returns"], agent["returns"], rtol=1e-4)


def test_a_pack_has_the_figures_of_its_own_report(tmp_path: Path) -> None:
    packed = Path(__file__).parents[2] / "packs" / "point_mass"
    assert main(["export", str(packed), str(tmp_path / "out"), "--no-pictures"]) == 0
    skills = json.loads((tmp_path / "out" / "skills.json").read_text())
    report = json.loads((packed / "skills.json").read_text())
    found = [row["health"]["hit_rate"] for row in skills["skills"]]
    assert skills["measured"] and found == report["hit_rate"]["per_skill"]["trained"]


REFUSED = {
    "target": (["pre", "fine"], "fine is there already"),
    "no run": (["nowhere", "new"], "no such folder"),
    "opset": (["pre", "new", "--opset", "12"], "--opset 12 is not supported"),
    "meta-controller": (["pre", "new", "--policy", "task"], "no meta-controller"),
    "foreign report": (["fine", "new", "--report", "pre/skills"], "is of another checkpoint"),
    "no report": (["pre", "new", "--report", "fine"], "no skills.json"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_command_refuses_before_it_writes(
    name: str, runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, message = REFUSED[name]
    monkeypatch.chdir(runs)
    assert main(["export", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (runs / "new").exists()
