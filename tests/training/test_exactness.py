"""A resume on which another thing computes than before says that it is not exact."""

from pathlib import Path

import pytest
from toy_runs import pretrain

from choreo import native
from choreo.training.exactness import warn_if_inexact

BEFORE = {"torch": "2", "device": "x86_64 CPU", "kernels": "abc", "threads": "1"}


@pytest.mark.parametrize("name", BEFORE)
def test_what_changed_is_named(name: str, caplog: pytest.LogCaptureFixture) -> None:
    warn_if_inexact(BEFORE, {**BEFORE, name: "other"})
    assert f"not exact, the numbers go on otherwise than without the stop: {name} " in caplog.text


@pytest.mark.parametrize("before", [BEFORE, {}, None])
def test_the_same_and_older_checkpoints_are_silent(
    before: dict[str, str] | None, caplog: pytest.LogCaptureFixture
) -> None:
    warn_if_inexact(before, BEFORE)
    assert not caplog.text


def test_a_run_that_goes_on_with_other_kernels_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = pretrain(tmp_path / "run", frames=60)
    capsys.readouterr()
    pretrain(run, frames=70)
    assert "not exact" not in capsys.readouterr().err
    monkeypatch.setattr(native, "identity", lambda: "others")
    pretrain(run, frames=80)
    err = capsys.readouterr().err
    assert "this resume is not exact" in err and "others now" in err
