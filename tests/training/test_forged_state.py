"""Checkpoints that somebody edited, with hashes made anew: a sentence that names the file."""

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy_runs import SMALL, last_checkpoint, pretrain

from choreo.cli import main

VALUES = [None, -1, 10**400, 2**70, 0.5, "", "x" * 5000, [], {}, [[]], True, [None], {"a": -1}]
WHERE = ["--env", "toy_envs:point", "--frames", "60", "--snapshots"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(tmp_path_factory.mktemp("runs") / "run", frames=60)


def forge(run: Path, folder: Path, change: Callable[[Any], None]) -> Path:
    """A copy of the run whose state is changed and hashed anew; its state file."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run, folder)
    path = last_checkpoint(folder) / "state.json"
    content = json.loads(path.read_text())
    change(content["state"])
    text = json.dumps(content["state"])
    content["state_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(content))
    return path


def mutate(state: Any, chance: random.Random) -> None:
    """Replace or remove one entry somewhere in a nested value."""
    place = state
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = chance.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and chance.random() < 0.8:
            place = place[key]
            continue
        if chance.random() < 0.3:
            del place[key]
        else:
            place[key] = chance.choice(VALUES)
        return


def test_a_mutated_state_resumes_or_is_refused_by_name(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(25):
        forged = forge(run, tmp_path / "run", lambda s, n=seed: mutate(s, random.Random(n)))
        code = main(["pretrain", *SMALL, *WHERE, "--run-dir", str(tmp_path / "run")])
        errors = capsys.readouterr().err
        assert code in (0, 1, 2), errors
        assert code == 0 or str(tmp_path / "run") in errors, (seed, forged, errors)


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("logger", "metrics_bytes", -1),
        ("collector", "frames", -5),
        ("collector", "frames", 40),
        ("clocks", "log", {"passed": -3}),
        ("learner", "updates", 10**400),
        ("replay", "stop", [None]),
        ("replay", "start", [10**12]),
    ],
)
def test_counters_that_no_run_has_are_refused(
    run: Path, tmp_path: Path, group: str, name: str, value: Any
) -> None:
    forge(run, tmp_path / "run", lambda state: state[group].__setitem__(name, value))
    assert main(["pretrain", *SMALL, *WHERE, "--run-dir", str(tmp_path / "run")]) in (1, 2)


def test_a_flipped_byte_of_the_replay_is_named(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "run")
    (path,) = (tmp_path / "run" / "replay").rglob("*.steps")
    content = bytearray(path.read_bytes())
    content[100] ^= 64
    path.write_bytes(content)
    assert main(["pretrain", *SMALL, *WHERE, "--run-dir", str(tmp_path / "run")]) == 1
    assert str(path) in capsys.readouterr().err
