"""The sections of a page as Markdown: the same words and tables, without the pictures."""

import re
from collections.abc import Sequence

from choreo.viz.inline import with_code
from choreo.viz.report import Panels, Section, Table

MARKS = {"good": "✓ ", "bad": "✗ ", "neutral": ""}


def to_markdown(title: str, lead: str, sections: Sequence[Section], footer: str = "") -> str:
    """A page in GitHub's Markdown."""
    parts = [f"# {_plain(title)}", _plain(lead), *map(_section, sections), _plain(footer)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: Section) -> str:
    parts = [f"## {_plain(section.title)}", _plain(section.text)]
    parts += [f"- {MARKS[v.tone]}{_plain(v.sentence)}" for v in section.verdicts]
    for item in section.content:
        if isinstance(item, Table):
            parts.append(_table(item))
        elif isinstance(item, Panels):
            parts.append(f"*{_plain(item.caption)} (drawn on the page)*")
    return "\n\n".join(part for part in parts if part)


def _table(table: Table) -> str:
    rows = [_row(table.columns), _row(["---"] * len(table.columns)), *map(_row, table.rows)]
    head = f"**{_plain(table.title)}**\n\n" if table.title else ""
    note = f"\n\n{_plain(table.note)}" if table.note else ""
    return head + "\n".join(rows) + note


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(cell) for cell in cells) + " |"


def _plain(text: str) -> str:
    """Text that stays text: nothing in it but `code` is read as Markdown, nothing as HTML."""
    return with_code(" ".join(text.split()), _escaped, _code)


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|])", r"\\\1", text)


def _code(text: str) -> str:
    return "`" + text.replace("|", r"\|") + "`"
