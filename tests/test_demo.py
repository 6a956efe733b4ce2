"""The demonstration's own notes."""

from pathlib import Path

import pytest

from choreo.demo import _all_minutes
from choreo.record.progress import Stopwatch


@pytest.mark.parametrize(
    ("note", "before"),
    [('{"a": 2.0}', 2.0), ("[1]", 0.0), ("{", 0.0), ('{"a": "x"}', 0.0), (None, 0.0)],
)
def test_minutes_add_up_and_a_spoilt_note_counts_for_nothing(
    tmp_path: Path, note: str | None, before: float
) -> None:
    watch = Stopwatch()
    watch.seconds["a"] = 60.0
    if note is not None:
        (tmp_path / "minutes.json").write_text(note)
    assert _all_minutes(tmp_path / "minutes.json", watch) == {"a": before + 1.0}
