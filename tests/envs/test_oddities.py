"""What environments should not do: the same sentence from `check`, serially and in processes."""

import re
from pathlib import Path

import numpy as np
import pytest

from choreo.cli import main
from choreo.envs import check, make, make_vector
from choreo.errors import ChoreoError, EnvironmentFailed, EnvironmentMismatch

# name -> words of the sentence
UNLIKE = {
    "longer": r"'observation' has shape \(4,\) and declares \(3,\)",
    "row": r"shape \(1, 3\) and declares \(3,\)",
    "column": r"shape \(3, 1\) and declares \(3,\)",
    "scalar": r"shape \(1,\) and declares \(\)",
    "turned_picture": r"shape \(3, 32, 32\) and declares \(32, 32, 3\)",
    "float_picture": r"float64 and declares uint8.*\(255 \* image\)",
    "bright_picture": "int64 and declares uint8",
    "float_count": "float64 and declares int64, which cannot hold its values",
    "far_outside": "holds 50, outside of its declared bounds -5 to 5",
    "complex_numbers": "complex64 and declares float32",
    "text": "<U1 and declares float32",
    "nothing": r"has shape \(\) and declares \(3,\)",
    "large_count": "whole numbers up to 8589934593",
    "missing_key": "'y' is declared, and what was given has none",
    "wrong_choice": r"the choice 3 is not in Discrete\(3\)",
    "no_reward": "the reward is None; wanted one number",
    "two_rewards": "the reward is array",
    "OldReset": r"reset\(\) returned a ndarray; .*\(observation, info\)",
    "OldStep": r"step\(\) returned 4 values; .*\(observation, reward, terminated",
    "own_dtype": r"'x' is float64\[3\]; its spec says float32\[3\]",
    "own_shape": r"'x' is float32\[1, 3\]",
    "OwnPlaces": r"coordinates of shape \[0\]; its spec names 1 of them",
    "own_name": "an observation 'action', which is the name of another field",
}
FAILING = {
    "no_robot": r"in step 4: OSError: \[Errno 28\] No space left on device",
    "end_of_file": "in step 4: EOFError: the robot hung up",
    "interrupts": "in step 4: KeyboardInterrupt: the operator let go",
    "leaves": "in step 4: SystemExit: 3",
    "value_error": "on reset: ValueError: a b",
    "never_made": "while it was made: ConnectionError: nobody at 10.0.0.2",
    "broken_import": "while it was made: ModuleNotFoundError: No module named 'no_such_simulator'",
    "NoSeed": "on reset: TypeError: .*unexpected keyword argument 'seed'",
    "NeedsOptions": "on reset: TypeError: 'NoneType' object is not subscriptable",
}


def play(name: str, parallel: bool) -> None:
    """Ten steps of one environment."""
    with make_vector(f"odd_envs:{name}", 1, parallel) as vector:
        for step in range(10):
            reset = np.array([step == 0])
            vector.step(np.zeros((1, 2)), reset, np.array([5]))
        vector.coordinates()


def sentence(error: ChoreoError) -> str:
    """Without the name of the file that holds the traceback."""
    return re.sub(r"choreo-\w+-traceback", "FILE", str(error))


@pytest.mark.parametrize("name", [*UNLIKE, *FAILING])
def test_the_sentence_is_the_same_in_check_serial_and_parallel(name: str) -> None:
    kind = EnvironmentMismatch if name in UNLIKE else EnvironmentFailed
    words = UNLIKE.get(name) or f"the environment odd_envs:{name} failed {FAILING[name]}"
    with pytest.raises(kind, match=words) as serial:
        play(name, False)
    with pytest.raises(kind) as parallel:
        play(name, True)
    assert sentence(parallel.value) == sentence(serial.value)
    assert serial.value.exit_code == 2
    problems = check(f"odd_envs:{name}", keys=()).problems
    assert re.search(words, problems[-1]), problems


def test_the_traceback_lies_where_it_is_said_to() -> None:
    with pytest.raises(EnvironmentFailed) as failed:
        play("end_of_file", True)
    where = Path(str(failed.value).rpartition(" ")[2])
    assert "raise self.error\nEOFError: the robot hung up" in where.read_text()
    where.unlink()


def test_an_environment_that_fails_in_close_only_warns(caplog: pytest.LogCaptureFixture) -> None:
    play("RaisesInClose", False)
    assert "failed when it was closed: OSError: the robot is gone already" in caplog.text


@pytest.mark.parametrize("name", ["no_robot", "NeedsOptions"])
def test_check_ends_with_two_and_no_traceback(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["env", "check", f"odd_envs:{name}"]) == 2
    assert "does not fit" in capsys.readouterr().out


def test_check_uses_seeds_as_training_does() -> None:
    assert check("odd_envs:OldGenerator").ok


def test_names_of_other_things_stay_apart() -> None:
    shown = make("odd_envs:Names").reset(0).observation
    assert {key: value[0] for key, value in shown.items()} == {
        "observation_action": 0, "observation_reward": 0.5, "observation_discount": 1,
        "observation_is_first": 1.5, "kl": 2, "keys": 2.5, "observation": 3, "robot.arm": 3.5,
        "image/x": 4,
    }  # fmt: skip


def test_nested_choices_and_tuples_are_flattened() -> None:
    shown = make("odd_envs:nested").reset(0).observation
    assert {key: value.tolist() for key, value in shown.items()} == {
        "goal/kettle": [1, 1, 1], "pair/0": [2, 2, 2], "pair/1": [0, 0, 1]
    }  # fmt: skip


def test_what_cannot_be_seen_can_be_left_out_as_the_error_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "odd_envs:partly_seen"
    with pytest.raises(EnvironmentMismatch, match=r"'words' holds text.*option keys \(x\)"):
        make(name)
    assert make(name, keys=("x",)).reset(0).observation["x"].tolist() == [0, 0, 0]
    assert main(["env", "check", name, "--keys", "x"]) == 0
    with pytest.raises(EnvironmentMismatch, match="'many' is a Sequence"):
        make(name, keys=("x", "many"))


@pytest.mark.parametrize(
    ("name", "steps"), [("limited", 7), ("twice_limited", 6), ("own_limit", 8), ("nested", None)]
)
def test_a_limit_of_a_wrapper_is_seen(name: str, steps: int | None) -> None:
    assert make(f"odd_envs:{name}").spec.episode_steps == steps


def test_a_registered_id_is_looked_for_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_registry.py").write_text(
        "import gymnasium\ngymnasium.register('My-v0', 'odd_envs:Odd', max_episode_steps=10)\n"
    )
    monkeypatch.chdir(tmp_path)
    for parallel in (False, True):
        with make_vector("gym:my_registry:My-v0", 1, parallel) as vector:
            assert vector.spec.episode_steps == 10
    with pytest.raises(ChoreoError, match="no module 'no_registry', neither installed nor in"):
        make("gym:no_registry:My-v0")
