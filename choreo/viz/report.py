"""One page of HTML that holds everything it shows and needs no network."""

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Literal

from choreo.errors import StorageError
from choreo.viz.css import STYLE

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
class Table:
    """Rows of text; the first column names them. `strong` is the column that stands out.

    Rows numbered in `quiet` step back; columns numbered in `words` hold words.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    strong: int | None = None
    title: str = ""
    quiet: Collection[int] = ()
    words: Collection[int] = ()


@dataclass(frozen=True)
class Section:
    """A heading, what the section is about, what was found, and what shows it."""

    title: str
    text: str
    verdicts: Sequence[Verdict] = ()
    content: Sequence[Picture | Video | Panels | Table] = ()


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
            f"{again}<title>{escape(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
            f"<header>\n<h1>{escape(title)}</h1>\n<p>{escape(lead)}</p>\n</header>\n",
            *map(_section, sections),
            f"<footer>{escape(footer)}</footer>\n</main>\n</body>\n</html>\n",
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


def _section(section: Section) -> str:
    parts = [f"<section>\n<h2>{escape(section.title)}</h2>\n<p>{escape(section.text)}</p>\n"]
    parts += [
        f'<p class="verdict {verdict.tone}">{escape(verdict.sentence)}</p>\n'
        for verdict in section.verdicts
    ]
    parts += [_content(item) for item in section.content]
    return "".join([*parts, "</section>\n"])


def _content(item: Picture | Video | Panels | Table) -> str:
    if isinstance(item, Table):
        return _table(item)
    if isinstance(item, Panels):
        return _panels(item)
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


def _panels(panels: Panels) -> str:
    figures = "".join(
        f'<div role="img" aria-label="{escape(panels.caption)}">{figure}</div>\n'
        for figure in panels.figures
    )
    names = "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in panels.colours.items()
    )
    legend = f'<p class="legend">{names}</p>\n' if names else ""
    caption = f"<figcaption>{escape(panels.caption)}</figcaption>"
    return f'<figure>\n{legend}<div class="panels">\n{figures}</div>\n{caption}\n</figure>\n'


def _table(table: Table) -> str:
    head = "".join(
        f'<th scope="col"{_mark(table, number)}>{escape(name)}</th>'
        for number, name in enumerate(table.columns)
    )
    rows = "".join(
        f"<tr{QUIET if number in table.quiet else ''}>{_cells(row, table)}</tr>\n"
        for number, row in enumerate(table.rows)
    )
    title = f"<h3>{escape(table.title)}</h3>\n" if table.title else ""
    note = f'<p class="note">{escape(table.note)}</p>\n' if table.note else ""
    return (
        f'{title}<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody>\n</table></div>\n{note}"
    )


def _cells(row: Sequence[str], table: Table) -> str:
    cells = [f'<th scope="row">{escape(row[0])}</th>']
    for number, text in enumerate(row[1:], start=1):
        cells.append(f"<td{_mark(table, number)}>{escape(text)}</td>")
    return "".join(cells)


def _mark(table: Table, number: int) -> str:
    """The class of a column."""
    name = "strong" if number == table.strong else "words" if number in table.words else ""
    return f' class="{name}"' if name else ""
