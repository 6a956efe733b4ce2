"""What goes wrong with images, through the command line: exit code 2 and words that help."""

from pathlib import Path

import pytest
from toy_runs import SMALL, pretrain

from choreo.cli import main

PIXELS = ["--env", "point_mass", "--obs", "pixels"]
PICTURE = ["--env", "toy_pictures:picture"]

BAD = {
    "unknown camera": ([*PIXELS, "--cameras", "front"], ["front", "fixed"]),
    "camera without pixels": (["--env", "point_mass", "--cameras", "0"], ["cameras", "obs"]),
    "unknown key": ([*PICTURE, "--keys", "imagery"], ["imagery", "image", "velocity"]),
    "size of pictures": ([*PIXELS, "--image-size", "84"], ["84", "64"]),
    "image of floats": (["--env", "toy_pictures:floating"], ["float32", "uint8"]),
    "unlike environments": (
        ["--env", "toy_pictures:unlike", "--training.environments", "2"],
        ["environment 1", "alike"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_says_what_is_wrong(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options, words = BAD[name]
    where = ["--frames", "60", "--run-dir", str(tmp_path / "run")]
    assert main(["pretrain", *SMALL, *where, *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    for word in words:
        assert word in said, said
    assert not (tmp_path / "run" / "replay").exists()


def test_one_of_several_keys_can_be_used_alone(tmp_path: Path) -> None:
    folder = pretrain(tmp_path / "run", "--keys", "image", env="toy_pictures:picture", frames=60)
    assert main(["evaluate", str(folder), "--episodes", "2", "--skill", "0"]) == 0


def test_images_and_vectors_train_together_and_are_fine_tuned(tmp_path: Path) -> None:
    folder = pretrain(tmp_path / "run", env="toy_pictures:picture", frames=60)
    where = ["--env", "toy_pictures:picture", "--frames", "60", "--run-dir", str(tmp_path / "task")]
    assert main(["finetune", "--from", str(folder), *where, *SMALL[-4:]]) == 0
    assert main(["evaluate", str(tmp_path / "task"), "--episodes", "2"]) == 0
