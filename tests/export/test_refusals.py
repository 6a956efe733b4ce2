"""What is refused: before anything is written, by whoever opens a folder, and in a control loop."""

import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import pytest
from toy_exports import KINDS, SOURCE, run_alone, toy_export, toy_recorded

from choreo.errors import ChoreoError, StorageError, UsageError
from choreo.export import Exported, Extras, Settings, parity
from choreo.export.act import Policy
from choreo.export.folder import export
from choreo.export.parity import NotTheSame, steps_together
from choreo.export.run import replay
from choreo.export.skills import skills_file
from choreo.export.step import RESERVED, observation_names


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported folder."""
    folder = tmp_path_factory.mktemp("export") / "out"
    toy_export(KINDS["states"], folder)
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def _export(folder: Path, sha256: str = SOURCE.sha256, **settings: Any) -> None:
    agent = KINDS["states"].agent()
    with TemporaryDirectory() as place:
        recorded = toy_recorded(agent, Path(place))
    skills = skills_file(SOURCE, agent.num_skills, None)
    skills["checkpoint"]["sha256"] = sha256
    told = Settings(**{"policy": "skill", **settings})
    export(agent, SOURCE, recorded, Extras(skills), folder, told)


SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "opset": ({"opset": 17}, "--opset 17 is not supported; give one from 18 to 23"),
    "newer opset": ({"opset": 99}, "--opset 99"),
    "no meta-controller": ({"policy": "task"}, "no meta-controller .* --policy skill"),
    "foreign skills": ({"sha256": "cd" * 32}, "skills.json is of another checkpoint"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_cannot_be_exported_is_refused(name: str, tmp_path: Path) -> None:
    settings, message = SETTINGS[name]
    with pytest.raises(UsageError, match=message) as refused:
        _export(tmp_path / "out", **settings)
    assert refused.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UsageError, match=r"onnxscript, .* pip install 'choreo\[export\]'"):
        _export(tmp_path / "out")


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for place in (tmp_path, tmp_path / "file", tmp_path / "link"):
        with pytest.raises(UsageError, match="is there already"):
            _export(place)
    with pytest.raises(UsageError, match="cannot be written to"):
        _export(tmp_path / "file" / "out")
    assert (tmp_path / "file").read_text() == "kept"


FAILING: dict[str, tuple[Any, type[ChoreoError], str]] = {
    "full disk": (OSError(28, "No space left on device"), StorageError, "No space left"),
    "read-only": (
        OSError(30, "Read-only file system"),
        StorageError,
        "Read-only file system. Nothing was left",
    ),
    "other actions": (None, NotTheSame, "action differs by up to 0.01"),
}


@pytest.mark.parametrize("name", FAILING)
def test_nothing_half_written_is_left(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, kind, message = FAILING[name]
    left = tmp_path / ".out.partial" / "thumbnails"  # by a process that was killed
    left.mkdir(parents=True)
    (left / "skill_000.png").write_text("old")
    steps, save = parity.agents_steps, parity.save_parity

    def fail(path: Path, content: dict[str, np.ndarray]) -> None:
        save(path, content)
        raise error

    def differ(*given: Any) -> dict[str, np.ndarray]:
        content = steps(*given)
        content["wanted/action"][100, 0, 1] += 0.1  # of a range of 20
        return content

    if error is None:
        monkeypatch.setattr(parity, "agents_steps", differ)
    else:
        monkeypatch.setattr(parity, "save_parity", fail)
    with pytest.raises(kind, match=message):
        _export(tmp_path / "out", to="torch")
    assert list(tmp_path.iterdir()) == []


def _other_weights(folder: Path) -> None:
    content = bytearray((folder / "policy.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "policy.onnx").write_bytes(content)


def _other_steps(folder: Path) -> None:
    content = bytearray((folder / "parity.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "parity.npz").write_bytes(content)


def _foreign_skills(folder: Path) -> None:
    skills = json.loads((folder / "skills.json").read_text())
    skills["checkpoint"]["sha256"] = "0" * 64
    (folder / "skills.json").write_text(json.dumps(skills))


def _edited_skills(folder: Path) -> None:
    path = folder / "skills.json"
    path.write_text(path.read_text().replace('"measured": false', '"measured": true'))


def _edited_contract(folder: Path) -> None:
    path = folder / "contract.json"
    path.write_text(path.read_text().replace('"sampled": false', '"sampled": true'))


def _other_format(folder: Path) -> None:
    contract = json.loads((folder / "contract.json").read_text())
    (folder / "contract.json").write_text(json.dumps(contract | {"format": 99}))


CHANGED = {
    "weights": (_other_weights, "policy.onnx is not what was exported"),
    "steps": (_other_steps, "parity.npz is not what was exported"),
    "no skills": (lambda folder: (folder / "skills.json").write_text("{}"), "skills.json in"),
    "foreign skills": (_foreign_skills, "skills.json is of another checkpoint"),
    "edited skills": (_edited_skills, "skills.json is not what was exported"),
    "edited contract": (_edited_contract, "contract.json is not what was exported"),
    "missing file": (lambda folder: (folder / "parity.npz").unlink(), "parity.npz"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_file_is_named(name: str, copy: Path) -> None:
    change, message = CHANGED[name]
    change(copy)
    with pytest.raises(ChoreoError, match=message):
        Exported(copy)
    ran = run_alone(copy)
    assert ran.returncode == 1 and "as exported" not in ran.stdout
    assert message in ran.stderr and "Traceback" not in ran.stderr


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', "\x00"])
def test_a_contract_that_is_none_is_refused(text: str, copy: Path) -> None:
    (copy / "contract.json").write_text(text)
    with pytest.raises(ChoreoError, match="no intact export"):
        Exported(copy)


def test_another_format_is_refused(copy: Path) -> None:
    _other_format(copy)
    with pytest.raises(ChoreoError, match="its format is 99, known is 1"):
        Exported(copy)


SEEN = np.arange(4, dtype=np.float32)
STEPS: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"skill": 0}, "input 'observation' is missing"),
    "no skill": ({"observation": SEEN}, "input 'skill' is missing"),
    "unknown": ({"observation": SEEN, "skill": 0, "task": 1}, "no input 'task'"),
    "shape": ({"observation": SEEN[:3], "skill": 0}, r"shape \(3,\); wanted is \(1, 4\)"),
    "nan": ({"observation": SEEN * np.nan, "skill": 0}, "'observation' holds NaN"),
    "too large": ({"observation": SEEN.astype(float) * 1e300, "skill": 0}, "NaN or infinity"),
    "poison": ({"observation": SEEN * 1e38, "skill": 0}, "is not finite"),
    "text": ({"observation": np.array(list("abcd")), "skill": 0}, "'observation' is <U1"),
    "skill": ({"observation": SEEN, "skill": 5}, r"skill \[5\] does not exist; there are 5"),
    "negative skill": ({"observation": SEEN, "skill": -1}, "does not exist"),
    "half a skill": ({"observation": SEEN, "skill": 0.5}, "'skill' is float64"),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_is_refused_leaves_the_policy_as_it_was(name: str, whole: Path) -> None:
    given, message = STEPS[name]
    policy, other = Policy(whole), Policy(whole)
    for one in (policy, other):
        one.step(observation=SEEN, skill=1)
    with pytest.raises(ValueError, match=message):
        policy.step(**given)
    after, wanted = (one.step(observation=SEEN + 1, skill=2)["action"] for one in (policy, other))
    assert np.array_equal(after, wanted)


def test_a_near_tie_is_told_and_anything_else_refused(whole: Path) -> None:
    content = dict(np.load(whole / "parity.npz"))
    chosen = content["wanted/chosen"][90, 1]
    chosen[0] = (chosen[0] + 1) % 4
    assert content["margin"][90, 1, 0] > 1e-4
    with pytest.raises(ValueError, match="step 90: another class"):
        replay(Policy(whole, 2), content)
    content["margin"][90, 1, 0] = 1e-5
    content = {name: value[:91] for name, value in content.items()}
    assert replay(Policy(whole, 2), content)["near_ties"] == [[90, 1]]


class Growing:
    """Logistic maps: a policy in 32 bits whose state, class and action all decide the next step."""

    contract: ClassVar[dict[str, Any]] = {"action": {"high": [1.0], "low": [-1.0]}}
    rows = 1

    def __init__(self, kind: Any = np.float32, **wrong: Any) -> None:
        self.kind, self.wrong = kind, wrong
        self.reset()

    def reset(self) -> None:
        stoch, start = np.array([[[1, 0]]], self.kind), np.full((1, 1), 0.3, self.kind)
        self.state = {"deter": start, "stoch": stoch, "previous_action": start}

    def step(self, is_first: Any = None) -> dict[str, np.ndarray]:
        seen = {name: value.astype(self.kind) for name, value in self.state.items()}
        x = (seen["deter"] + seen["previous_action"]) / 2
        after = (seen["stoch"][:, 0] @ np.array([[3.9], [3.8]], self.kind)) * x * (1 - x)
        likeliest = (after > 0.5).astype(int)
        stoch = np.eye(2, dtype=self.kind)[likeliest]
        self.state = {"deter": after, "stoch": stoch, "previous_action": after} | self.wrong
        return {"action": after, "next_deter": after, "next_stoch": stoch}


def grown(steps: int = 100, tie: int = -1) -> dict[str, np.ndarray]:
    """Steps of an agent in 64 bits; at `tie` it takes the other class."""
    agent, parity = Growing(np.float64), {"margin": np.ones((steps, 1, 1))}
    found = []
    for step in range(steps):
        found.append(agent.step())
        if step == tie:
            found[-1]["next_stoch"] = agent.state["stoch"] = agent.state["stoch"][..., ::-1]
            parity["margin"][step] = 1e-6
    parity["wanted/action"] = np.stack([one["action"] for one in found])
    parity["wanted/deter"] = np.stack([one["next_deter"] for one in found])
    parity["wanted/chosen"] = np.stack([one["next_stoch"].argmax(-1) for one in found])
    return parity


@pytest.mark.parametrize("tie", [-1, 40])
def test_roundings_may_grow_over_steps_and_every_step_begins_where_the_agent_is(tie: int) -> None:
    alone, parity = Growing(), grown(tie=tie)
    apart = [abs(alone.step()["action"] - wanted).item() for wanted in parity["wanted/action"]]
    assert max(apart[-20:]) > 0.1
    found = replay(Growing(), parity)
    assert max(found["largest_difference"].values()) < 1e-6
    assert found["near_ties"] == ([] if tie < 0 else [[tie, 0]])
    parity["wanted/action"][-1] += 2e-4
    with pytest.raises(ValueError, match=r"action differs by up to 0\.0002; allowed"):
        replay(Growing(), parity)


def test_how_long_a_policy_left_to_itself_acts_as_its_agent() -> None:
    parity = grown(60)
    apart = np.abs(np.array([Growing().step()["action"]]) - parity["wanted/action"][:1]).item()
    assert apart < 1e-6
    alone = Growing()
    steps = [abs(alone.step()["action"] - w).item() > 0.01 for w in parity["wanted/action"]]
    first = np.zeros((60, 1), bool)
    first[0] = True
    assert steps_together(alone, parity | {"input/is_first": first}) == steps.index(True) > 10
    same = {name: value[:5] for name, value in parity.items()}
    assert steps_together(alone, same | {"input/is_first": first[:5]}) is None


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "deter": ({"deter": np.full((1, 1), 0.3, np.float32)}, "deter differs by up to"),
    "action": ({"previous_action": np.full((1, 1), 0.3)}, "action differs by up to"),
    "classes": ({"stoch": np.array([[[0.1, 0.9]]])}, "step 0: the classes remembered"),
    "nan": ({"deter": np.full((1, 1), np.nan)}, "deter differs by up to nan"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_remembered_has_to_be_what_the_agent_remembers(name: str) -> None:
    wrong, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        replay(Growing(**wrong), grown())


def test_names_of_observations_that_a_step_has_itself_are_changed() -> None:
    keys = ["skill", "observation_skill", "deter", "position", "self"]
    names = observation_names(keys)
    assert names["position"] == "position" and names["self"] == "self"
    assert names["observation_skill"] == "observation_skill"
    assert len({*names.values()}) == 5 and not {*names.values()} & {*RESERVED}


def test_the_script_that_replays_is_short(whole: Path) -> None:
    assert len((whole / "run.py").read_text().splitlines()) < 60
