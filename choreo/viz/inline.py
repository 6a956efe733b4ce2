"""Texts of pages: plain, but for `code` between backticks."""

import re
from collections.abc import Callable
from html import escape

CODE = re.compile(r"`([^`]+)`")


def with_code(text: str, plain: Callable[[str], str], code: Callable[[str], str]) -> str:
    """The text with `plain` done to what is no code and `code` to what is, without backticks."""
    parts = CODE.split(text)  # what is between backticks stands at the odd places
    return "".join(code(part) if k % 2 else plain(part) for k, part in enumerate(parts))


def to_html(text: str) -> str:
    """The text as HTML: nothing in it is read as such."""
    return with_code(text, escape, lambda code: f"<code>{escape(code)}</code>")


def to_attribute(text: str) -> str:
    """The text as the value of an attribute or a title, where no code can be marked."""
    return escape(CODE.sub(r"\1", text))
