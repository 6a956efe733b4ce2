"""Pictures, videos and the page they stand on; nothing here knows an agent."""

from choreo.viz.compare import Card, Comparison, card_sheet, comparison_film, comparison_strip
from choreo.viz.film import Clip, clickable, encode_video, film_strip, side_by_side
from choreo.viz.plots import Curve, learning_curves, read_curve
from choreo.viz.report import (
    Film,
    Films,
    Panels,
    Picture,
    Section,
    Table,
    Tone,
    Verdict,
    Video,
    write_report,
)

__all__ = [
    "Card",
    "Clip",
    "Comparison",
    "Curve",
    "Film",
    "Films",
    "Panels",
    "Picture",
    "Section",
    "Table",
    "Tone",
    "Verdict",
    "Video",
    "card_sheet",
    "clickable",
    "comparison_film",
    "comparison_strip",
    "encode_video",
    "film_strip",
    "learning_curves",
    "read_curve",
    "side_by_side",
    "write_report",
]
