"""Runs that see images look at them first."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy_runs import SMALL, pretrain, steps

from choreo.cli import main
from choreo.training.first_look import save_side_by_side


def test_the_first_frame_is_kept(tmp_path: Path) -> None:
    folder = pretrain(tmp_path / "run", env="toy_pictures:picture", frames=60)
    shown = np.asarray(Image.open(folder / "first_frame.png"))
    assert shown.shape == (256, 256, 3) and shown.dtype == np.uint8
    assert {tuple(pixel) for pixel in shown.reshape(-1, 3).tolist()} == {(20,) * 3, (220, 120, 60)}
    assert steps(folder)["image"].shape[1:] == (3, 32, 32)


@pytest.mark.parametrize(
    ("env", "problem"), [("black", "black"), ("plain", "same colour"), ("frozen", "same in")]
)
def test_images_that_teach_nothing_stop_the_run_and_are_shown(
    env: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--env", f"toy_pictures:{env}", "--frames", "60", "--run-dir", str(tmp_path)]
    assert main(["pretrain", *SMALL, *where]) == 2
    assert problem in (said := capsys.readouterr().err) and "rejected_frame.png" in said
    assert not (tmp_path / "first_frame.png").exists()
    assert (tmp_path / "rejected_frame.png").exists()


def test_several_cameras_stand_side_by_side(tmp_path: Path) -> None:
    images = [np.full((64, 64, 3), value, np.uint8) for value in (10, 200)]
    save_side_by_side(images, tmp_path / "both.png")
    shown = np.asarray(Image.open(tmp_path / "both.png"))
    assert shown.shape == (256, 512, 3)
    assert (shown[:, :256] == 10).all() and (shown[:, 256:] == 200).all()
