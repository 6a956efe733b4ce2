"""Plots are pictures, and the numbers they show are right."""

import json
from pathlib import Path

import numpy as np
import pytest

from choreo.errors import UsageError
from choreo.viz import plots
from choreo.viz.plots import Bars, Curve, read_curve, running_mean

PNG = b"\x89PNG"


def test_every_plot_is_a_png() -> None:
    some = {"trained": 0.5, "untrained": None, "random": 0.1}
    bars = [Bars("a", some, chance=0.1, percent=True), Bars("b", {"trained": 1200.0})]
    errors = {"trained": np.arange(1.0, 46), "nothing_changes": np.ones(45)}
    drawn = [
        plots.bar_panels(bars),
        plots.hit_heatmap({"trained": np.eye(4), "random": np.full((4, 4), 0.25)}),
        plots.code_use_bars(np.array([3, 0, 5])),
        plots.error_curves({"here": errors, "there": errors}, (1, 5, 15, 45)),
        plots.learning_curves([Curve("one", np.arange(3.0), np.arange(3.0))], smooth=2),
        plots.cost_curves({"batch": {"update": {4: 1.5, 8: 3.0}}, "codes": {"update": {4: 1.5}}}),
    ]
    assert all(png.startswith(PNG) for png in drawn)


def test_running_mean() -> None:
    np.testing.assert_allclose(running_mean(np.array([1.0, 3, 5, 7]), 2), [1, 2, 4, 6])
    np.testing.assert_allclose(running_mean(np.array([1.0, 3, 5]), 1), [1, 3, 5])


def test_a_curve_is_read_from_metrics(tmp_path: Path) -> None:
    lines = [
        {"kind": "episode", "frames": 10, "return": 1.5},
        {"kind": "train", "frames": 12, "return": 9.0},
        {"kind": "episode", "frames": 20, "return": None},
        {"kind": "episode", "frames": 30, "return": 2.5},
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    curve = read_curve(path, "mine")
    assert curve.frames.tolist() == [10, 30]
    assert curve.values.tolist() == [1.5, 2.5]
    with pytest.raises(UsageError, match="no 'return' of kind 'evaluation'"):
        read_curve(path, "mine", kind="evaluation")
    with pytest.raises(UsageError, match="no such file"):
        read_curve(tmp_path / "other.jsonl", "mine")


@pytest.mark.parametrize(
    ("value", "percent", "text"),
    [
        (0.0625, True, "6.2%"),
        (0.5, True, "50%"),
        (1234.0, False, "1,234"),
        (None, True, "not measured"),
    ],
)
def test_numbers_as_people_read_them(value: float | None, percent: bool, text: str) -> None:
    assert plots._number(value, percent) == text
