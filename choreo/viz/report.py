"""One page of HTML that holds everything it shows and needs no network."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

from choreo.errors import StorageError
from choreo.viz.css import STYLE
from choreo.viz.script import SCRIPT

Tone = Literal["good", "bad", "neutral"]


@dataclass(frozen=True)
class Verdict:
    """A finding in one sentence, and whether it is what one hopes for."""

    tone: Tone
    sentence: str


@dataclass(frozen=True)
class Picture:
    """A PNG with one sentence on what it shows."""

    png: bytes
    caption: str


@dataclass(frozen=True)
class Video:
    """An mp4 with one sentence on what it shows."""

    mp4: bytes
    caption: str


@dataclass(frozen=True)
class Film:
    """A small mp4 under a title, which plays when it is clicked; `anchor` is where links lead.

    `poster` is the PNG that is shown before.
    """

    title: str
    mp4: bytes
    anchor: str
    poster: bytes


@dataclass(frozen=True)
class Films:
    """Films side by side, with one sentence on what they show."""

    films: Sequence[Film]
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column names them.

    `strong` is the column that stands out; it and the next one take the colours of `tones`, one per
    row. A `sortable` table sorts by any column; its `totals` are rows that stay below. `links` lead
    from the names of rows to anchors of films.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    strong: int | None = None
    tones: Sequence[Tone] = ()
    sortable: bool = False
    totals: Sequence[Sequence[str]] = ()
    links: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """A heading, what the section is about, what was found, and what shows it."""

    title: str
    text: str
    verdicts: Sequence[Verdict] = ()
    content: Sequence[Picture | Video | Films | Table] = ()


def write_report(
    path: Path, title: str, lead: str, sections: Sequence[Section], footer: str = ""
) -> Path:
    """Write one self-contained page: pictures and videos are inside it, nothing is fetched.

    Raises StorageError when it cannot be written.
    """
    page = "".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>{escape(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
            f"<header>\n<h1>{escape(title)}</h1>\n<p>{escape(lead)}</p>\n</header>\n",
            *map(_section, sections),
            f"<footer>{escape(footer)}</footer>\n</main>\n",
            f"<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        )
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"the report {path} could not be written ({error.strerror})") from error
    return path


def _section(section: Section) -> str:
    parts = [f"<section>\n<h2>{escape(section.title)}</h2>\n<p>{escape(section.text)}</p>\n"]
    parts += [
        f'<p class="verdict {verdict.tone}">{escape(verdict.sentence)}</p>\n'
        for verdict in section.verdicts
    ]
    parts += [_content(item) for item in section.content]
    return "".join([*parts, "</section>\n"])


def _content(item: Picture | Video | Films | Table) -> str:
    if isinstance(item, Table):
        return _table(item)
    if isinstance(item, Films):
        return _films(item)
    caption = escape(item.caption)
    if isinstance(item, Picture):
        data = base64.b64encode(item.png).decode("ascii")
        inner = f'<img src="data:image/png;base64,{data}" alt="{caption}">'
    else:
        data = base64.b64encode(item.mp4).decode("ascii")
        inner = (
            "<video controls autoplay loop muted playsinline "
            f'src="data:video/mp4;base64,{data}"></video>'
        )
    return f"<figure>\n{inner}\n<figcaption>{caption}</figcaption>\n</figure>\n"


def _films(item: Films) -> str:
    films = "".join(map(_film, item.films))
    return f'<div class="films">\n{films}</div>\n<p class="note">{escape(item.caption)}</p>\n'


def _film(film: Film) -> str:
    data, title = base64.b64encode(film.mp4).decode("ascii"), escape(film.title)
    poster = base64.b64encode(film.poster).decode("ascii")
    return (
        f'<figure class="film" id="{escape(film.anchor)}">\n'
        f'<button type="button" aria-pressed="false" aria-label="Play or stop {title}">'
        f'<video loop muted playsinline poster="data:image/png;base64,{poster}" '
        f'src="data:video/mp4;base64,{data}"></video></button>\n'
        f"<figcaption>{title}</figcaption>\n</figure>\n"
    )


def _table(table: Table) -> str:
    head = "".join(_heading(name, table.sortable) for name in table.columns)
    rows = "".join(
        f"<tr>{_cells(table, number, row)}</tr>\n" for number, row in enumerate(table.rows)
    )
    totals = "".join(f"<tr>{_plain_cells(row)}</tr>\n" for row in table.totals)
    note = f'<p class="note">{escape(table.note)}</p>\n' if table.note else ""
    kind = ' class="sortable"' if table.sortable else ""
    return (
        f'<div class="scroll"><table{kind}>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody>\n{_foot(totals)}</table></div>\n{note}"
    )


def _foot(totals: str) -> str:
    return f"<tfoot>\n{totals}</tfoot>\n" if totals else ""


def _heading(name: str, sortable: bool) -> str:
    text = f'<button type="button">{escape(name)}</button>' if sortable else escape(name)
    return f'<th scope="col">{text}</th>'


def _cells(table: Table, number: int, row: Sequence[str]) -> str:
    name = escape(row[0])
    if table.links:
        name = f'<a href="#{escape(table.links[number])}">{name}</a>'
    cells = [f'<th scope="row">{name}</th>']
    for column, text in enumerate(row[1:], start=1):
        mark = "strong" if column == table.strong else ""
        if table.tones and table.strong is not None and column - table.strong in (0, 1):
            mark = f"{mark} {table.tones[number]}".strip()
        cells.append(f'<td class="{mark}">{escape(text)}</td>' if mark else _cell(text))
    return "".join(cells)


def _plain_cells(row: Sequence[str]) -> str:
    return f'<th scope="row">{escape(row[0])}</th>' + "".join(map(_cell, row[1:]))


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"
