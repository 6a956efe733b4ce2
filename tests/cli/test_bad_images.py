"""What goes wrong with images, through the command line: exit code 2 and words that help."""

from pathlib import Path

import pytest
from toy_runs import SMALL, pretrain

from choreo.cli import main
from choreo.envs import make

PIXELS = ["--env", "point_mass", "--obs", "pixels"]
PICTURE = ["--env", "toy_pictures:picture"]

BAD = {
    "unknown camera": ([*PIXELS, "--cameras", "front"], ["front", "fixed"]),
    "camera without pixels": (["--env", "point_mass", "--cameras", "0"], ["cameras", "obs"]),
    "unknown key": ([*PICTURE, "--keys", "imagery"], ["imagery", "image", "velocity"]),
    "size of pictures": ([*PIXELS, "--image-size", "84"], ["84", "64"]),
    "image of floats": (["--env", "toy_pictures:floating"], ["float32", "uint8"]),
    "one camera twice": (
        ["--env", "walker", "--obs", "pixels", "--cameras", "side", "0"],
        ["twice"],
    ),
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
    assert said.splitlines()[-1].startswith("error: "), "after notes on the run"
    for word in words:
        assert word in said, said
    assert not (tmp_path / "run" / "replay").exists()


def test_one_of_several_keys_can_be_used_alone(tmp_path: Path) -> None:
    folder = pretrain(tmp_path / "run", "--keys", "image", env="toy_pictures:picture", frames=60)
    assert main(["evaluate", str(folder), "--trust", "--episodes", "2", "--skill", "0"]) == 0


def test_images_and_vectors_train_together_and_are_fine_tuned(tmp_path: Path) -> None:
    folder = pretrain(tmp_path / "run", env="toy_pictures:picture", frames=60)
    where = ["--env", "toy_pictures:picture", "--frames", "60", "--run-dir", str(tmp_path / "task")]
    assert main(["finetune", "--from", str(folder), *where, *SMALL[-4:]]) == 0
    assert main(["evaluate", str(tmp_path / "task"), "--trust", "--episodes", "2"]) == 0


def test_images_of_two_sizes_with_names_that_modules_do_not_take(tmp_path: Path) -> None:
    folder = pretrain(tmp_path / "run", env="toy_pictures:robot", frames=60)
    assert main(["evaluate", str(folder), "--trust", "--episodes", "1", "--skill", "0"]) == 0


def test_what_an_environment_was_asked_for_makes_it_again() -> None:
    for options in (
        {"obs": "both", "image_size": 32, "keys": ("observation",)},
        {"obs": "pixels", "image_size": 32, "cameras": ("0",)},
    ):
        first = make("point_mass", **options)  # pyright: ignore[reportArgumentType]
        again = make("point_mass", **first.spec.make_options())
        assert again.spec == first.spec
        first.close()
        again.close()
