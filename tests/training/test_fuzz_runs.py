"""Damaged runs and the commands that read them: no tracebacks, and errors that name the file."""

from pathlib import Path

import toy_fuzz_runs


def test_a_few_damaged_runs_are_read_or_refused_by_name(tmp_path: Path) -> None:
    counts, wrong = toy_fuzz_runs.fuzz(tmp_path, cases=12, seed=5, seconds=30)
    assert not wrong, wrong
    assert sum(counts.values()) > 0
