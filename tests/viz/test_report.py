"""The page is whole, safe against odd text, and needs nothing from outside."""

import base64
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from choreo.errors import StorageError
from choreo.viz import (
    Clip,
    Film,
    Films,
    Picture,
    Section,
    Table,
    Verdict,
    Video,
    side_by_side,
    write_report,
)
from choreo.viz.markdown import to_markdown

VOID = {"meta", "img", "br"}


class Balance(HTMLParser):
    """Fails where a tag is closed that is not the open one."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(tmp_path: Path) -> str:
    table = Table(("", "trained"), [("cells <all>", "12")], note="per step", strong=1)
    content = [table, Picture(b"png", 'a "map"'), Video(b"mp4", "a film")]
    section = Section("One & two", "Text <b>", [Verdict("bad", "worse")], content)
    return write_report(tmp_path / "a" / "r.html", "T<1>", "Lead", [section], "end").read_text()


def test_the_page_is_well_formed_and_escaped(tmp_path: Path) -> None:
    text = page(tmp_path)
    balance = Balance()
    balance.feed(text)
    assert balance.open == []
    for escaped in ("T&lt;1&gt;", "One &amp; two", "Text &lt;b&gt;", "cells &lt;all&gt;"):
        assert escaped in text
    assert '<p class="verdict bad">worse</p>' in text
    assert '<td class="strong">12</td>' in text


def test_everything_is_inside(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert base64.b64encode(b"png").decode() in text
    assert base64.b64encode(b"mp4").decode() in text
    assert not re.search(r"(src|href)=\"(?!data:)|https?://|url\(|@import", text)


def test_a_page_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"r\.html"):
        write_report(tmp_path / "file" / "r.html", "T", "L", [])


def test_tables_sort_and_films_play_by_themselves(tmp_path: Path) -> None:
    table = Table(
        ("skill", "hit rate"), [("0", "9%"), ("1", "80%")], sortable=True,
        totals=[("random", "7%")], links=["film-skill-0", "film-skill-1"],
    )  # fmt: skip
    judged = Table(
        ("", "trained", "", "chance"), [("hit", "9%", "bad", "6%")], strong=1, tones=["bad"]
    )
    films = Films([Film("skill <0>", b"mp4", "film-skill-0", b"png")], "one")
    section = Section("S", "T", content=[table, judged, films])
    text = write_report(tmp_path / "r.html", "T", "L", [section]).read_text()
    balance = Balance()
    balance.feed(text)
    assert balance.open == []
    assert '<a href="#film-skill-0">0</a>' in text and 'id="film-skill-0"' in text
    assert text.index("<tfoot>") > text.index("</tbody>") and "autoplay" not in text
    assert '<td class="strong bad">9%</td><td class="bad">bad</td><td>6%</td>' in text
    assert "skill &lt;0&gt;" in text


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_click_on_a_heading_sorts_in_a_real_browser(tmp_path: Path) -> None:
    rows = [("0", "9.5%"), ("1", "-"), ("2", "80%"), ("3", "1,000")]
    table = Table(("skill", "rate"), rows, sortable=True)
    page = write_report(tmp_path / "r.html", "T", "L", [Section("S", "T", content=[table])])
    click = "<script>document.querySelectorAll('thead button')[1].click()</script>"
    page.write_text(page.read_text().replace("</body>", f"{click}</body>"))
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
    ]  # fmt: skip
    shown = subprocess.run(
        [*command, page.as_uri()], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert re.findall(r'<th scope="row">(\d)</th>', shown) == ["3", "2", "0", "1"]
    assert 'aria-sort="descending"' in shown


def test_code_between_backticks_is_code(tmp_path: Path) -> None:
    said = "give `choreo x --env <ID>` a `try`, not ` or <b>"
    table = Table((said, said), [(said, said)], note=said, title=said, totals=[(said, said)])
    content = [table, Picture(b"png", said)]
    section = Section(said, said, [Verdict("bad", said)], content)
    text = write_report(tmp_path / "r.html", said, said, [section], said).read_text()
    body = re.sub(r'alt="[^"]*"|<title>.*</title>', "", text)
    wanted = "<code>choreo x --env &lt;ID&gt;</code> a <code>try</code>, not ` or &lt;b&gt;"
    assert body.count(wanted) == body.count("give ") == 15
    assert "<title>give choreo x --env &lt;ID&gt; a try" in text
    Balance().feed(text)
    markdown = to_markdown(said, said, [section], said)
    assert markdown.count("`choreo x --env <ID>` a `try`, not \\` or &lt;b&gt;") == 12


def test_clips_side_by_side_stand_still_at_their_end() -> None:
    one, other = (np.full((10, 12, 3), value, np.uint8) for value in (50, 200))
    frames = side_by_side([Clip("a", [one, other]), Clip("b", [one])], columns=2)
    assert len(frames) == 2 and frames[0].shape == frames[1].shape
    assert (frames[1][-5, 3] == 200).all() and (frames[1][-5, -3] == 50).all()
