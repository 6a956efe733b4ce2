"""The page is whole, safe against odd text, and needs nothing from outside."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from choreo.errors import StorageError
from choreo.viz import Picture, Section, Table, Verdict, Video, write_report

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
