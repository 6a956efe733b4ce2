"""Tables of pages, as a terminal shows them."""

import io

import pytest
from rich.console import Console

from choreo.cli.measure import printed_table
from choreo.report import each_skill, goal_page
from choreo.viz.report import Table


@pytest.mark.parametrize("columns", [each_skill.COLUMNS, goal_page.COLUMNS])
def test_no_word_is_cut_in_eighty_columns(columns: tuple[str, ...]) -> None:
    rows = [["63", *["99.9%"] * (len(columns) - 1)]]
    totals = [["untrained", *["99.9%"] * (len(columns) - 1)]]
    console = Console(file=io.StringIO(), width=80)
    console.print(printed_table(Table(columns, rows, "note", sortable=True, totals=totals)))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    words = {word for name in columns for word in name.split()} | {"untrained", "99.9%"}
    assert "…" not in shown and words <= set(shown.split())
