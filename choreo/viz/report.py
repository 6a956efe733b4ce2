"""One page of HTML that holds everything it shows and needs no network."""

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Literal

from choreo.errors import StorageError
from choreo.viz.css import STYLE
from choreo.viz.inline import to_attribute, to_html
from choreo.viz.script import SCRIPT

Tone = Literal["good", "bad", "neutral"]
QUIET = ' class="quiet"'


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
class Panels:
    """Figures of `choreo.viz.charts` (SVG) side by side, with the colours of what they show."""

    figures: Sequence[str]
    caption: str
    colours: Mapping[str, str] = field(default_factory=dict)


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
    row. Rows numbered in `quiet` step back; columns numbered in `words` hold words. A `sortable`
    table sorts by any column; its `totals` are rows that stay below. `links` lead from the names of
    rows to anchors of films.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    strong: int | None = None
    title: str = ""
    quiet: Collection[int] = ()
    words: Collection[int] = ()
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
    content: Sequence[Picture | Video | Panels | Films | Table] = ()


def write_report(
    path: Path,
    title: str,
    lead: str,
    sections: Sequence[Section],
    footer: str = "",
    renew: float | None = None,
) -> Path:
    """Write one self-contained page: pictures and videos are inside it, nothing is fetched.

    An open page loads itself anew after `renew` seconds. A reader sees the page of before or the
    new one, never a part. Raises StorageError when it cannot be written.
    """
    again = "" if renew is None else f'<meta http-equiv="refresh" content="{renew:.0f}">\n'
    page = "".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            '<meta name="color-scheme" content="light dark">\n',
            f"{again}<title>{to_attribute(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
            f"<header>\n<h1>{to_html(title)}</h1>\n<p>{to_html(lead)}</p>\n</header>\n",
            *map(_section, sections),
            f"<footer>{to_html(footer)}</footer>\n</main>\n",
            f"{_script(sections)}</body>\n</html>\n",
        )
    )
    return write_text(path, page)


def write_text(path: Path, text: str) -> Path:
    """Put text into a file, whole or not at all; raises StorageError when it cannot be written."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"the report {path} could not be written ({error.strerror})") from error
    return path


def _script(sections: Sequence[Section]) -> str:
    """The page's own script, where there is something to sort or to play."""
    items = [item for section in sections for item in section.content]
    moves = any(isinstance(item, Films) or getattr(item, "sortable", False) for item in items)
    return f"<script>\n{SCRIPT}</script>\n" if moves else ""


def _section(section: Section) -> str:
    parts = [f"<section>\n<h2>{to_html(section.title)}</h2>\n<p>{to_html(section.text)}</p>\n"]
    parts += [
        f'<p class="verdict {verdict.tone}">{to_html(verdict.sentence)}</p>\n'
        for verdict in section.verdicts
    ]
    parts += [_content(item) for item in section.content]
    return "".join([*parts, "</section>\n"])


def _content(item: Picture | Video | Panels | Films | Table) -> str:
    if isinstance(item, Table):
        return _table(item)
    if isinstance(item, Panels):
        return _panels(item)
    if isinstance(item, Films):
        return _films(item)
    caption = to_html(item.caption)
    if isinstance(item, Picture):
        data = base64.b64encode(item.png).decode("ascii")
        inner = f'<img src="data:image/png;base64,{data}" alt="{to_attribute(item.caption)}">'
    else:
        data = base64.b64encode(item.mp4).decode("ascii")
        inner = (
            "<video controls autoplay loop muted playsinline "
            f'src="data:video/mp4;base64,{data}"></video>'
        )
    return f"<figure>\n{inner}\n<figcaption>{caption}</figcaption>\n</figure>\n"


def _panels(panels: Panels) -> str:
    figures = "".join(
        f'<div role="img" aria-label="{to_attribute(panels.caption)}">{figure}</div>\n'
        for figure in panels.figures
    )
    names = "".join(
        f'<span><i style="background:{colour}"></i>{to_html(name)}</span>'
        for name, colour in panels.colours.items()
    )
    legend = f'<p class="legend">{names}</p>\n' if names else ""
    caption = f"<figcaption>{to_html(panels.caption)}</figcaption>"
    return f'<figure>\n{legend}<div class="panels">\n{figures}</div>\n{caption}\n</figure>\n'


def _films(item: Films) -> str:
    films = "".join(map(_film, item.films))
    return f'<div class="films">\n{films}</div>\n<p class="note">{to_html(item.caption)}</p>\n'


def _film(film: Film) -> str:
    data, title = base64.b64encode(film.mp4).decode("ascii"), to_attribute(film.title)
    poster = base64.b64encode(film.poster).decode("ascii")
    return (
        f'<figure class="film" id="{escape(film.anchor)}">\n'
        f'<button type="button" aria-pressed="false" aria-label="Play or stop {title}">'
        f'<video loop muted playsinline poster="data:image/png;base64,{poster}" '
        f'src="data:video/mp4;base64,{data}"></video></button>\n'
        f"<figcaption>{title}</figcaption>\n</figure>\n"
    )


def _table(table: Table) -> str:
    head = "".join(_heading(table, number) for number in range(len(table.columns)))
    rows = "".join(
        f"<tr{QUIET if number in table.quiet else ''}>{_cells(table, number)}</tr>\n"
        for number in range(len(table.rows))
    )
    totals = "".join(f"<tr>{_plain_cells(row)}</tr>\n" for row in table.totals)
    title = f"<h3>{to_html(table.title)}</h3>\n" if table.title else ""
    note = f'<p class="note">{to_html(table.note)}</p>\n' if table.note else ""
    kind = ' class="sortable"' if table.sortable else ""
    return (
        f'{title}<div class="scroll"><table{kind}>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody>\n{_foot(totals)}</table></div>\n{note}"
    )


def _foot(totals: str) -> str:
    return f"<tfoot>\n{totals}</tfoot>\n" if totals else ""


def _heading(table: Table, column: int) -> str:
    text = to_html(table.columns[column])
    text = f'<button type="button">{text}</button>' if table.sortable else text
    return f'<th scope="col"{_mark(table, column)}>{text}</th>'


def _cells(table: Table, number: int) -> str:
    row = table.rows[number]
    name = to_html(row[0])
    if table.links:
        name = f'<a href="#{escape(table.links[number])}">{name}</a>'
    cells = [
        f"<td{_mark(table, column, number)}>{to_html(text)}</td>"
        for column, text in enumerate(row[1:], start=1)
    ]
    return "".join([f'<th scope="row">{name}</th>', *cells])


def _mark(table: Table, column: int, row: int | None = None) -> str:
    """The classes of a cell, or of a heading where there is no row."""
    names = ["strong"] * (column == table.strong) + ["words"] * (column in table.words)
    coloured = () if table.strong is None else (table.strong, table.strong + 1)
    if row is not None and table.tones and column in coloured:
        names.append(table.tones[row])
    return f' class="{" ".join(names)}"' if names else ""


def _plain_cells(row: Sequence[str]) -> str:
    cells = "".join(f"<td>{to_html(text)}</td>" for text in row[1:])
    return f'<th scope="row">{to_html(row[0])}</th>{cells}'
