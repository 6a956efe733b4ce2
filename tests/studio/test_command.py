"""`choreo studio` on the command line, and what its server costs to start."""

import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from choreo.cli import main
from choreo.errors import UsageError
from choreo.studio.server import Server
from choreo.studio.settings import Settings


def test_the_server_imports_no_torch() -> None:
    """So that a second opening is there at once."""
    code = (
        "import sys, choreo.cli.studio, choreo.studio.server\n"
        "print([m for m in ('torch', 'scipy', 'mujoco', 'matplotlib') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "[]"


def test_without_the_extra_it_says_how_to_install_it(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = util.find_spec
    monkeypatch.setattr(
        "choreo.cli.studio.find_spec", lambda name: None if name == "uvicorn" else found(name)
    )
    assert main(["studio", str(runs)]) == 2
    assert "pip install 'choreo[studio]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--performers", "0"], "--performers"),
        (["--cache-gb", "nan"], "--cache-gb"),
        (["--port", "70000"], "another --port"),
        (["--host", "no.such.host.invalid"], "--host"),
    ],
)
def test_options_that_cannot_be(
    runs: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["studio", str(runs), "--no-open", *options]) == 2
    told = capsys.readouterr().err
    assert said in told and "None" not in told and "Errno" not in told


def test_a_folder_without_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["studio", str(tmp_path), "--no-open"]) == 2
    assert "holds no run" in capsys.readouterr().err


def test_an_export_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "contract.json").write_text("{}")
    assert main(["studio", str(tmp_path), "--no-open"]) == 2
    assert "exported policy" in capsys.readouterr().err


def test_the_next_free_port_is_taken_where_none_is_given(runs: Path) -> None:
    first, second = Server(Settings(place=runs)), Server(Settings(place=runs))
    assert first.port != second.port
    with pytest.raises(UsageError, match="another --port"):
        Server(Settings(place=runs), first.port)
    for server in (first, second):
        server.close()
