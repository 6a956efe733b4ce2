import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from choreo.errors import UsageError
from choreo.record import existing_run, is_claimed, open_run, versions

CONFIG: dict[str, Any] = {
    "env": "walker",
    "run": {"frames": 1000, "folder": Path("a") / "b"},
    "model": {"units": (400, 400), "rate": 3e-4},
    "logging": {"every": 10, "wandb": None},
}


def changed(**changes: Any) -> dict[str, Any]:
    config = {name: dict(part) if isinstance(part, dict) else part for name, part in CONFIG.items()}
    for name, value in changes.items():
        group, _, option = name.partition("__")
        if option:
            config[group][option] = value
        else:
            config[group] = value
    return config


def test_a_new_folder_holds_options_and_versions(tmp_path: Path) -> None:
    run = open_run(tmp_path / "runs" / "one", CONFIG)
    content = json.loads(run.config_path.read_text())
    assert content["format"] == 1
    assert content["config"]["model"] == {"units": [400, 400], "rate": 3e-4}
    assert content["config"]["run"]["folder"] == "a/b"
    assert content["versions"] == versions()
    assert run.config() == content["config"]
    assert run.path.is_absolute()
    places = (run.replay, run.checkpoints, run.snapshots)
    assert [place.name for place in places] == ["replay", "checkpoints", "snapshots"]


def test_versions_name_what_numbers_depend_on() -> None:
    found = versions()
    assert set(found) == {
        "python", "choreo", "torch", "numpy", "mujoco", "dm_control", "gymnasium",
    }  # fmt: skip
    assert found["mujoco"] == "3.3.0"


def test_the_same_options_open_the_run_again(tmp_path: Path) -> None:
    open_run(tmp_path, CONFIG)
    before = (tmp_path / "config.json").read_bytes()
    open_run(tmp_path, CONFIG)
    assert (tmp_path / "config.json").read_bytes() == before


def test_every_option_that_may_not_change_is_named(tmp_path: Path) -> None:
    open_run(tmp_path, CONFIG)
    before = (tmp_path / "config.json").read_bytes()
    other = changed(env="quadruped", model__rate=1e-3, run__frames=5, extra=1)
    with pytest.raises(UsageError) as caught:
        open_run(tmp_path, other, may_change={"run.frames"})
    text = str(caught.value)
    assert "env: found walker, wanted quadruped" in text
    assert "model.rate: found 0.0003, wanted 0.001" in text
    assert "extra: found (not there), wanted 1" in text
    assert "run.frames" not in text
    assert "--run-dir" in text
    assert (tmp_path / "config.json").read_bytes() == before


def test_options_that_may_change_are_written_down(tmp_path: Path) -> None:
    open_run(tmp_path, CONFIG)
    other = changed(run__frames=5000, logging__every=1, logging__wandb={"project": "p"})
    run = open_run(tmp_path, other, may_change={"run.frames", "logging"})
    assert run.config()["run"]["frames"] == 5000
    assert existing_run(tmp_path).config()["logging"]["wandb"] == {"project": "p"}


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match="is not a run"):
        open_run(tmp_path, CONFIG)
    with pytest.raises(UsageError, match="is not a run"):
        open_run(tmp_path / "thesis.tex", CONFIG)
    with pytest.raises(UsageError, match="holds no run"):
        existing_run(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"format": 2, "config": {}}', '{"format": 1}'])
def test_a_damaged_config_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UsageError, match=r"config\.json"):
        open_run(tmp_path, CONFIG)


HOLD = """
import sys
from pathlib import Path
from choreo.record import open_run
run = open_run(Path(sys.argv[1]), {"seed": 1})
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.read()
"""


def test_two_processes_cannot_work_on_one_run(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        with pytest.raises(UsageError, match="Another process"):
            open_run(tmp_path / "run", {"seed": 1})
        existing_run(tmp_path / "run")  # looking is allowed
        other.kill()
    run = open_run(tmp_path / "run", {"seed": 1})
    with pytest.raises(UsageError, match="another part of this one"):
        open_run(tmp_path / "run", {"seed": 1})
    run.release()
    assert open_run(tmp_path / "run", {"seed": 1}) == run


def test_a_start_that_was_killed_early_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / ".config.json.tmp").write_text('{"form')
    assert open_run(tmp_path, CONFIG).config()["env"] == "walker"


def test_an_option_that_an_older_run_did_not_have_is_what_such_runs_did(tmp_path: Path) -> None:
    open_run(tmp_path, {"frames": 3})
    with pytest.raises(UsageError, match="precision: found fp32, wanted bf16"):
        open_run(tmp_path, {"frames": 3, "precision": "bf16"}, later={"precision": "fp32"})
    run = open_run(tmp_path, {"frames": 3, "precision": "fp32"}, later={"precision": "fp32"})
    assert run.config() == {"frames": 3, "precision": "fp32"}


def test_a_new_folder_holds_the_machine_and_the_commit(tmp_path: Path) -> None:
    run = open_run(tmp_path, CONFIG)
    machine = json.loads(run.config_path.read_text())["machine"]
    assert set(machine) == {"processor", "cores", "cuda_device", "commit"}
    assert machine["cores"] >= 1 and machine["processor"]


def test_a_run_from_before_machines_were_recorded_opens(tmp_path: Path) -> None:
    run = open_run(tmp_path, CONFIG)
    content = json.loads(run.config_path.read_text())
    del content["machine"]
    run.config_path.write_text(json.dumps(content))
    del run
    assert open_run(tmp_path, CONFIG).config() == content["config"]


def test_whether_another_process_works_on_a_run_is_asked_without_claiming(tmp_path: Path) -> None:
    assert not is_claimed(tmp_path)
    code = (
        "import sys; from pathlib import Path; from choreo.record import open_run\n"
        "run = open_run(Path(sys.argv[1]), {}); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "open\n"
        assert is_claimed(tmp_path)
        process.stdin.close()
    assert not is_claimed(tmp_path)
