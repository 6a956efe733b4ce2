import io
import os
import re
import subprocess
import sys

import pytest

from choreo import __version__
from choreo.__main__ import main as run_program
from choreo.cli import COMMANDS, main


def shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a call for help prints, on one line."""
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    assert code == 0
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().out).split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "help" in shown([command, "--help"], capsys)


def test_options_name_their_unit_and_origin(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(["pretrain", "--help"], capsys)
    for origin in ("[paper]", "[authors]", "[ours]"):
        assert origin in text
    for words in (
        "Frames between two updates. [authors] (default: 10)",
        "Agent steps per episode",
        "Simulator steps in total",
        "Gigabytes (10^9 bytes)",
        "Updates between two checks for unused codes",
        "(default: paper-states)",
    ):
        assert words in text
    assert "--from {None}|PATH" in shown(["finetune", "--help"], capsys)


def test_help_shows_the_defaults_of_a_preset(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(["pretrain", "--preset", "debug", "--help"], capsys)
    assert "Number of skills. [paper] (default: 4)" in text


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_without_a_command_all_are_listed(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(arguments, capsys)
    assert all(f" {name} " in text for name in COMMANDS)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(["--version"], capsys) == f"choreo {__version__}"


@pytest.mark.parametrize("arguments", [["--help"], ["pretrain", "--help"]])
def test_a_reader_that_leaves_early_is_no_error(arguments: list[str]) -> None:
    """As in `choreo pretrain --help | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "choreo", *arguments]
    run = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert (run.returncode, run.stderr) == (141, "")


@pytest.mark.parametrize("output", [None, io.StringIO()])
def test_another_pipe_that_breaks_is_an_error(
    output: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks() -> int:
        raise BrokenPipeError("of a worker")

    monkeypatch.setattr("choreo.cli.main", breaks)
    monkeypatch.setattr("choreo.__main__._keep_results_apart", lambda: None)  # of this process
    monkeypatch.setattr(sys, "stdout", output)
    with pytest.raises(BrokenPipeError, match="of a worker"):
        run_program()
