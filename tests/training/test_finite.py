import re
from pathlib import Path

import numpy as np
import pytest
import torch

from choreo.errors import NotFinite
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
