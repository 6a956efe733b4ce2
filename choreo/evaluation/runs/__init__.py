"""Many runs: read from folders, counted together where they may be, and compared."""

from choreo.evaluation.runs.comparison import Cell, Comparison, Group, Standing, compare
from choreo.evaluation.runs.curves import Band, curves, find_metric, known_metrics
from choreo.evaluation.runs.measured import read_runs
from choreo.evaluation.runs.pooling import Difference, check_alike, check_pool, named_apart
from choreo.evaluation.runs.published import Published, read_published
from choreo.evaluation.runs.run import Final, Run

__all__ = [
    "Band",
    "Cell",
    "Comparison",
    "Difference",
    "Final",
    "Group",
    "Published",
    "Run",
    "Standing",
    "check_alike",
    "check_pool",
    "compare",
    "curves",
    "find_metric",
    "known_metrics",
    "named_apart",
    "read_published",
    "read_runs",
]
