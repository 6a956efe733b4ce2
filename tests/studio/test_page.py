"""The page's own tests, and what holds for its files."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "choreo" / "studio" / "static"
SCRIPTS = sorted(STATIC.rglob("*.mjs"))
FILES = [*SCRIPTS, *sorted(STATIC.rglob("*.css")), STATIC / "index.html"]

MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function"
)
ELSEWHERE = re.compile(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(")


def _node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("there is no node (apt-get install nodejs), so the page's logic is not tested")
    return found


def test_the_logic_of_the_page() -> None:
    tests = sorted(map(str, (Path(__file__).parent / "page").glob("*.test.mjs")))
    ran = subprocess.run([_node(), "--test", *tests], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-1000:]
    assert re.search(r"pass [1-9]", ran.stdout)


def test_modules_of_logic_know_no_page() -> None:
    known = re.compile(r"\b(document|window|fetch|WebSocket|localStorage)\b[.(]")
    logic = [path for path in SCRIPTS if path.parent.name == "logic"]
    assert len(logic) > 5
    assert [path.name for path in logic if known.search(path.read_text())] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_of_the_page(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert MARKUP.search(text) is None, "text becomes text, never markup"
    assert ELSEWHERE.search(text) is None, "nothing comes from another host"


def test_the_page_has_no_inline_script_or_style() -> None:
    text = (STATIC / "index.html").read_text()
    assert re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text) is None
    assert 'setAttribute("style"' not in "".join(path.read_text() for path in SCRIPTS)


def test_every_module_that_is_imported_is_there() -> None:
    for path in SCRIPTS:
        for name in re.findall(r'from "(\.[^"]+)"', path.read_text()):
            assert (path.parent / name).is_file(), f"{path.name} imports {name}"
