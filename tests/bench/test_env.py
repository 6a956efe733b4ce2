import json
from types import SimpleNamespace
from typing import Any

import pytest

from choreo.bench import stepping
from choreo.cli import main


def measured(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert main(["bench", "env", *options, "--seconds", "0.1", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_rate_for_every_count(capsys: pytest.CaptureFixture[str]) -> None:
    rates = measured(capsys, "toy_envs:point", "--counts", "1", "2", "--what", "states")
    assert [(row["env"], row["what"], row["count"]) for row in rates["rows"]] == [
        ("toy_envs:point", "states", 1), ("toy_envs:point", "states", 2)
    ]  # fmt: skip
    for row in rates["rows"]:
        assert row["frames_per_second"] > 0 and row["failure"] is None
    assert "cores" in rates["machine"]


def test_what_cannot_be_drawn_is_told_and_harms_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rates = measured(capsys, "toy_envs:point", "--counts", "1", "--what", "egl", "states")
    drawn, states = rates["rows"]
    assert drawn["frames_per_second"] is None and "rgb_array" in drawn["failure"]
    assert states["frames_per_second"] > 0


@pytest.mark.parametrize(("repeat", "steps"), [(1, 20), (2, 20), (1, 45)])
def test_frames_of_all_environments_count_and_resets_do_not(
    repeat: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour passes, on a clock that stands still until so many steps were made."""
    made, warming = [], stepping.WARM_UP_STEPS
    clock = SimpleNamespace(perf_counter=lambda: 0 if len(made) < steps else 3600)
    monkeypatch.setattr(stepping, "time", clock)
    original = stepping.VectorEnv.step

    def counted(vector: stepping.VectorEnv, *arguments: Any) -> Any:
        found = original(vector, *arguments)
        made.extend([1] * (not found.is_last.any()))
        return found

    monkeypatch.setattr(stepping.VectorEnv, "step", counted)
    options = {"action_repeat": repeat}
    rate = stepping.frames_per_second(lambda: None, "toy_envs:point", 2, options, None, 10)
    assert rate == pytest.approx((steps - warming) * 2 * repeat / 3600)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["walker_runn"], "did you mean walker_run"),
        (["walker", "--counts", "0"], "--counts is 0; wanted is at least 1"),
        (["walker", "--seconds", "0"], "--seconds 0.0"),
        (["toy_envs:point", "--what", "egl", "--image-size", "50"], "50"),
    ],
)
def test_what_cannot_be_measured(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "env", *options]) == 2
    assert words in capsys.readouterr().err
