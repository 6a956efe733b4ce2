"""One page of HTML that holds everything it shows and needs no network."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

from choreo.errors import StorageError
from choreo.viz.css import STYLE

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
class Table:
    """Rows of text; the first column names them. `strong` is the column that stands out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    strong: int | None = None


@dataclass(frozen=True)
class Section:
    """A heading, what the section is about, what was found, and what shows it."""

    title: str
    text: str
    verdicts: Sequence[Verdict] = ()
    content: Sequence[Picture | Video | Table] = ()


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
            f"<footer>{escape(footer)}</footer>\n</main>\n</body>\n</html>\n",
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


def _content(item: Picture | Video | Table) -> str:
    if isinstance(item, Table):
        return _table(item)
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


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "".join(f"<tr>{_cells(row, table.strong)}</tr>\n" for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>\n' if table.note else ""
    return (
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody>\n</table></div>\n{note}"
    )


def _cells(row: Sequence[str], strong: int | None) -> str:
    cells = [f'<th scope="row">{escape(row[0])}</th>']
    for number, text in enumerate(row[1:], start=1):
        mark = ' class="strong"' if number == strong else ""
        cells.append(f"<td{mark}>{escape(text)}</td>")
    return "".join(cells)
