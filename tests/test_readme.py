"""What the README and the docs show works: library code, commands, options and links."""

import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import choreo
from choreo.cli import COMMANDS, main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

RUN = "runs/demo/pretrain"  # what the README's library example loads


def _blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def _debug_run(folder: Path, env: str, *options: str) -> int:
    """Pre-train a tiny agent of 16 skills; returns the exit code."""
    fixed = "--preset debug --frames 80 --threads 1 --skills.codes 16 --snapshots"
    arguments = [*fixed.split(), "--env", env, "--run-dir", str(folder), *options]
    return main(["pretrain", "--logging.no-tensorboard", *arguments])


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the run exists that the README's example loads."""
    folder = tmp_path_factory.mktemp("reader")
    assert _debug_run(folder / RUN, "dmc:point_mass-easy", "--training.action-repeat", "4") == 0
    return folder


def test_the_library_example_runs(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _blocks(ROOT / "README.md", "python")[0]
    assert RUN in code
    assert len([line for line in code.splitlines() if line]) <= 12
    monkeypatch.chdir(workplace)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    names["env"].close()
    shown = capsys.readouterr().out
    assert re.fullmatch(r"16 skills; skill 7 returned [\d.]+ in dmc:point_mass-easy\n", shown)
    assert names["step"].is_last
    assert names["action"].shape == (2,) and abs(names["action"]).max() <= 1


def test_the_library_example_ran_the_skill_it_names(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    agent = choreo.load(RUN)
    observation = np.array([0.1, -0.1, 0.5, -0.5], np.float32)
    actions = [float(agent.session().act(observation, skill=k)[0]) for k in range(16)]
    assert len(set(actions)) > 8


def test_the_control_loop_of_the_page_on_acting_runs(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, loop = _blocks(ROOT / "docs" / "acting.md", "python")
    monkeypatch.chdir(workplace)
    exec(compile(first, "acting.md", "exec"), {})
    assert "0.08 s per action" in capsys.readouterr().out
    names: dict[str, Any] = {}
    exec(compile(loop, "acting.md", "exec"), names)
    agent, session, seen = names["agent"], names["session"], names["vector"]
    assert names["refused"] == 0 and session.held_steps == 0
    low, high = agent.spec.action_low, agent.spec.action_high
    assert (names["command"] >= low).all() and (names["command"] <= high).all()
    assert seen.shape == agent.spec.observations["observation"].shape


def test_the_control_loop_of_the_page_on_exports_runs(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (loop,) = _blocks(ROOT / "docs" / "export.md", "python")
    monkeypatch.chdir(workplace)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "act", raising=False)
    assert main(["export", RUN, "out", "--no-pictures"]) == 0
    names: dict[str, Any] = {}
    exec(compile(loop, "export.md", "exec"), names)
    assert "0.08 s per action" in capsys.readouterr().out
    assert names["action"].shape == (1, 2) and names["skill"] == 1


def test_the_control_loop_of_several_robots_runs(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    loop = runpy.run_path(str(ROOT / "benchmarks" / "control_loop.py"))["main"]
    found = loop(RUN, robots=3, hz=1000.0, periods=60)
    assert 0 < found["p50"] <= found["p99"] <= found["max"]
    assert found["refused"] == 1, "the sensor that failed"


def test_an_own_environment_of_six_lines_fits_and_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _blocks(ROOT / "README.md", "python")[1]
    assert len([line for line in code.splitlines() if line]) <= 6
    (tmp_path / "my_robot.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_robot", raising=False)
    assert main(["env", "check", "my_robot:make"]) == 0
    assert "my_robot:make: fits" in capsys.readouterr().out
    assert _debug_run(tmp_path / "runs" / "robot", "my_robot:make") == 0
    assert choreo.load(tmp_path / "runs" / "robot").spec.id == "my_robot:make"
    assert isinstance(sys.modules["my_robot"].make(), gymnasium.Env)


def _commands() -> list[tuple[str, list[str]]]:
    """Every `choreo ...` line of a bash block, as page and words."""
    found = []
    for page in PAGES:
        for block in _blocks(page, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["choreo"]:
                    found.append((page.name, words[1:]))
    return found


def _help(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_every_command_and_option_shown_exists(capsys: pytest.CaptureFixture[str]) -> None:
    shown: dict[str, set[str]] = {}
    for page, (command, *words) in _commands():
        assert command in COMMANDS or command == "--version", f"{page}: choreo {command}"
        if command in ("data", "bench"):  # whose commands have options of their own
            command = f"{command} {words[0]}"
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        shown[command] = shown.get(command, set()) | options
    assert {"pretrain", "finetune", "skills", "evaluate", "zeroshot", "doctor"} <= shown.keys()
    for command, options in shown.items():
        if command.split()[0] in COMMANDS:
            known = set(re.findall(r"--[a-z0-9._-]+", _help(command, capsys)))
            assert options <= known, f"choreo {command} has no {sorted(options - known)}"


def _links(page: Path) -> list[str]:
    """Targets of the relative links and pictures of a page, with their anchors."""
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    return [target for target in targets if not target.startswith("http")]


def _anchors(page: Path) -> set[str]:
    """What a page's headings are linked by: their words in lower case, joined by hyphens."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def test_every_local_link_leads_somewhere() -> None:
    pages = [*PAGES, ROOT / "packs" / "README.md"]
    dead = [
        f"{p.name}: {link}" for p in pages for link in _links(p) if not _leads_somewhere(p, link)
    ]
    assert dead == []


def test_a_link_to_a_heading_that_is_not_there_leads_nowhere(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# What `it` does, twice\n")
    assert _leads_somewhere(page, "#what-it-does-twice")
    assert _leads_somewhere(page, "page.md")
    assert not _leads_somewhere(page, "page.md#what-it-did")
    assert not _leads_somewhere(page, "other.md")


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {Path(link.split("#")[0]).name for link in _links(ROOT / "README.md")}
    assert {page.name for page in PAGES[1:]} <= linked
