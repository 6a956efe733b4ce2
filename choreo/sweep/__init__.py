"""Many runs from one spec: stages, cells, and the runners that share a folder as their state."""

from choreo.sweep.board import Board, Standing
from choreo.sweep.cells import Cell, expand
from choreo.sweep.folder import open_sweep, read_sweep, state_of
from choreo.sweep.local import LocalRunner, Wish, slots
from choreo.sweep.overrides import Overrides
from choreo.sweep.spec import Spec, parse, read_toml, shipped
from choreo.sweep.work import Outcome, run_cell

__all__ = [
    "Board",
    "Cell",
    "LocalRunner",
    "Outcome",
    "Overrides",
    "Spec",
    "Standing",
    "Wish",
    "expand",
    "open_sweep",
    "parse",
    "read_sweep",
    "read_toml",
    "run_cell",
    "shipped",
    "slots",
    "state_of",
]
