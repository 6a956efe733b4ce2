"""Figures as SVG inside the page, so that their colours follow its light or dark look."""

import io
import re
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from choreo.viz.style import FAINT, INK, RULE

EDGE = "#cbd2d9"
INKS = {INK: "var(--ink)", FAINT: "var(--faint)", RULE: "var(--rule)", EDGE: "var(--edge)"}
"""Colours of lines and letters, and the variables of the page that they become."""
_SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "choreo"}


def to_svg(figure: Figure) -> str:
    """The figure as an SVG element without a background; its letters are those of the page."""
    target = io.StringIO()
    with mpl.rc_context(_SETTINGS):
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    text = target.getvalue()
    text = re.sub(
        r"<metadata>.*?</metadata>\n?|<!--.*?-->\n?",
        "",
        text[text.index("<svg") :],
        flags=re.DOTALL,
    )
    text = re.sub(r' (?:xmlns(?::xlink)?|version)="[^"]*"', "", text)
    text = re.sub(
        r' id="(?:figure|axes|patch|text|line2d|matplotlib|Poly|Line|Path|Fill)[^"]*"', "", text
    )
    for colour, variable in INKS.items():
        text = text.replace(colour, variable)
    text = re.sub(r"font: ((?:\w+ )*?)(\d[\d.]*px) [^\"';]*", r"font: \1\2 inherit", text)
    return text.rstrip()
