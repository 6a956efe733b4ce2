"""`choreo data` from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from toy_data import episode, write_npz

from choreo.cli import main


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three episodes, the last of them bad."""
    bad = episode(4, observation=np.full((5, 3), np.nan, np.float32))
    return write_npz(tmp_path / "source", [episode(3), episode(6), bad])


def test_inspect_import_verify_and_export(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "inspect", str(source)]) == 0
    text = capsys.readouterr().out
    assert "float32[3]" in text and "episode_000002_4.npz" in text and "--skip-bad" in text
    folder = tmp_path / "set"
    assert main(["data", "import", str(source), str(folder)]) == 2
    assert "NaN" in capsys.readouterr().err
    assert main(["data", "import", str(source), str(folder), "--skip-bad"]) == 0
    text = capsys.readouterr().out
    assert "2 episodes, 9 steps, 1 skipped" in text and "-1 to 1" in text
    assert main(["data", "inspect", str(folder), "--verify", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == 9 and found["changed"] == []
    assert main(["data", "export", str(folder), str(tmp_path / "out"), "--to", "npz"]) == 0
    assert len(list((tmp_path / "out").glob("episode_*.npz"))) == 2


def test_a_changed_set_ends_with_an_exit_code(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set"
    arguments = ["data", "import", str(source), str(folder), "--skip-bad", "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 2
    file = next(folder.rglob("*.steps"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert main(["data", "inspect", str(folder), "--verify"]) == 1
    assert f"{file.name} has changed" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["inspekt"], "did you mean `choreo data inspect`?"),
        (["xyz"], "unknown command 'data xyz'"),
        (["inspect", "nowhere"], "nowhere does not exist"),
        (["import", "nowhere", "there"], "nowhere does not exist"),
        (["export", "nowhere", "there"], "nowhere does not exist"),
    ],
)
def test_what_cannot_be_done(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", ["inspect", "import", "export"])
def test_every_option_is_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["data", name, "--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Show progress" in text


def test_an_import_needs_both_folders(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["data", "import", "one"])
    assert end.value.code == 2


def test_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("inspect", "import", "export", "collect", "relabel"))
