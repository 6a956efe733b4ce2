import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_runs import pretrain

from choreo.errors import NotFinite
from choreo.record.progress import Stopwatch
from choreo.training.finite import FiniteCheck

GOOD = {"a/loss": torch.ones(()), "b/count": torch.tensor(3)}
BAD = {"a/loss": torch.ones(()), "b/loss": torch.tensor(float("nan"))}


def batch(value: float) -> dict[str, torch.Tensor]:
    return {"reward": torch.full((2, 3), value), "is_first": torch.ones(2, 3, dtype=torch.bool)}


def test_finite_updates_pass(tmp_path: Path) -> None:
    check = FiniteCheck(tmp_path)
    for number in range(3):
        check.watch(number, "10 frames", GOOD, batch(number))
    check.settle()
    check.settle()
    assert list(tmp_path.iterdir()) == []


def test_waiting_for_the_last_update_is_time_of_updates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is waited for: before acting, logging and saving."""
    watched: list[str] = []
    seen: list[list[str]] = []
    watch, settle = Stopwatch.watch, FiniteCheck.settle

    @contextmanager
    def noted(self: Stopwatch, part: str) -> Iterator[None]:
        watched.append(part)
        with watch(self, part):
            yield
        watched.pop()

    def looked(self: FiniteCheck) -> None:
        seen.append(list(watched))
        settle(self)

    monkeypatch.setattr(Stopwatch, "watch", noted)
    monkeypatch.setattr(FiniteCheck, "settle", looked)
    pretrain(tmp_path / "run", "--logging.every", "40", frames=60)
    assert len(seen) > 30 and all(parts == ["updating"] for parts in seen)


@pytest.mark.parametrize("settled", [True, False])
def test_the_update_that_did_it_is_named_and_its_batch_kept(tmp_path: Path, settled: bool) -> None:
    """At once when it is settled, or after the next update was asked for."""
    check = FiniteCheck(tmp_path)
    check.watch(6, "60 frames", GOOD, batch(6.0))
    check.watch(7, "70 frames", BAD, batch(7.0))
    with pytest.raises(
        NotFinite, match=re.escape("update 7 at 70 frames gave NaN or infinity in b/loss")
    ):
        if settled:
            check.settle()
        else:
            check.watch(8, "80 frames", GOOD, batch(8.0))
    with np.load(tmp_path / "not-finite-update-7.npz") as data:
        assert (data["reward"] == 7).all() and data["is_first"].all()
