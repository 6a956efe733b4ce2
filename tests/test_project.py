"""House rules that hold for every file, and pins that fit what the project declares."""

import ast
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "choreo"

MACHINE_PATH = re.compile(r"(?<![\w.}\])/-])/(?:work|home|root|Users|tmp|opt)/\w")
REGISTRY = re.compile(r"index[-_]url|pypi\.org|pythonhosted\.org|download\.pytorch")


def _is_talker(path: Path) -> bool:
    """Whether a file of the package may write to the terminal."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] in ("cli", "cli.py", "__main__.py")


def _calls(path: Path, name: str) -> list[int]:
    """Lines at which a file calls a function by its bare name."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def _library() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_the_library_does_not_print() -> None:
    found = {str(p): _calls(p, "print") for p in _library() if not _is_talker(p)}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_consoles_stand_only_in_the_command_line_and_the_progress_bar() -> None:
    progress = PACKAGE / "record" / "progress.py"
    found = [
        str(path)
        for path in _library()
        if not _is_talker(path) and path != progress and _calls(path, "Console")
    ]
    assert found == []


def test_the_library_asks_for_types_and_not_for_attributes() -> None:
    found = {str(path): _calls(path, "hasattr") for path in _library()}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_calls_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\nif x:\n    print(x)\n'print(y)'\n")
    assert _calls(path, "print") == [3]


def _tracked_texts() -> dict[str, str]:
    """Every text file of the project that git knows or would take, by name."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    texts = {}
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if not name or not path.is_file():
            continue
        try:
            texts[name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return texts


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY], ids=["path", "registry"])
def test_no_file_names_a_machine_or_a_registry(pattern: re.Pattern[str]) -> None:
    found = {
        name: m.group() for name, text in _tracked_texts().items() if (m := pattern.search(text))
    }
    assert found == {}


def test_a_machines_path_is_seen() -> None:
    assert MACHINE_PATH.search('open("' + "/".join(("", "home", "me", "x")) + '")')
    assert not MACHINE_PATH.search("see docs/home/plan.md and ./tmp/x")


def _project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _declared() -> list[Requirement]:
    project = _project()
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    return [Requirement(text) for text in project["dependencies"] + extras]


def _pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {_key(pin.name): Version(str(pin.specifier).removeprefix("==")) for pin in pins}


def _key(name: str) -> str:
    return name.lower().replace("_", "-")


def test_every_declared_dependency_has_a_pin_that_fits() -> None:
    pins = _pins()
    wrong = [
        str(need)
        for need in _declared()
        if _key(need.name) not in pins or not need.specifier.contains(pins[_key(need.name)])
    ]
    assert wrong == []


def test_torch_is_pinned_without_what_a_cuda_build_brings() -> None:
    pins = _pins()
    assert str(pins["torch"]) == "2.13.0"
    assert [n for n in pins if n.startswith(("nvidia", "cuda")) or n == "triton"] == []


def test_the_doctor_knows_the_declared_simulator_pair() -> None:
    from choreo.doctor import SIMULATOR_PAIR

    declared = {need.name: str(need.specifier) for need in _declared()}
    assert {name: declared[name] for name in SIMULATOR_PAIR} == {
        name: f"=={version}" for name, version in SIMULATOR_PAIR.items()
    }
