"""Scores: their form, what is refused by name, and the checkpoint that they were written for."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_episodes import make_agent

from choreo.errors import CheckpointError, UsageError
from choreo.evaluation.choreography import (
    MOST_MOVES,
    MOST_STEPS,
    Move,
    Score,
    checkpoint_of,
    read_score,
    written_for,
)

GOOD = {"moves": [{"skill": 3, "steps": 2}, {"skill": 1, "steps": 1}], "seed": 4, "loop": 2}


def with_(**changes: Any) -> dict[str, Any]:
    return GOOD | changes


def test_a_score_says_who_acts_when() -> None:
    score = Score.from_json(GOOD)
    assert score == Score((Move(3, 2), Move(1, 1)), seed=4, loop=2)
    assert score.steps == 6
    np.testing.assert_array_equal(score.skill_at, [3, 3, 1, 3, 3, 1])
    np.testing.assert_array_equal(score.move_at, [0, 0, 1, 0, 0, 1])
    assert Score.from_json(json.loads(json.dumps(score.to_json()))) == score
    assert Score.from_json(with_(seed=None, loop=None, checkpoint=None)).seed == 0


BAD: list[tuple[Any, str]] = [
    ([], "wanted is names with values"),
    ({}, "moves is missing"),
    (with_(moves=[]), "has no moves"),
    (with_(moves=[{"skill": 1}]), r"steps is missing"),
    (with_(moves=[{"skill": -1, "steps": 1}]), r"moves\[0\].skill is -1"),
    (with_(moves=[{"skill": True, "steps": 1}]), r"skill is True"),
    (with_(moves=[{"skill": 1.5, "steps": 1}]), r"skill is 1.5"),
    (with_(moves=[{"skill": 1, "steps": 0}]), r"steps is 0"),
    (with_(moves=[{"skill": 1, "steps": float("nan")}]), r"steps is nan"),
    (with_(moves=[{"skill": 1, "steps": 1, "tempo": 2}]), "moves: tempo"),
    (with_(moves=[{"skill": 1, "steps": 1}] * (MOST_MOVES + 1)), f"at most {MOST_MOVES}"),
    (with_(moves="3"), "a list"),
    (with_(loop=0), "loop is 0"),
    (with_(loop=MOST_STEPS), f"at most {MOST_STEPS}"),
    (with_(seed=-1), "seed is -1"),
    (with_(seed=2**60), "seed is"),
    (with_(start="middle"), "start is 'middle'"),
    (with_(checkpoint="abc"), "64 hexadecimal digits"),
    (with_(checkpoint="G" * 64), "64 hexadecimal digits"),
    (with_(tempo=3), "'tempo'"),
]


@pytest.mark.parametrize(("data", "sentence"), BAD)
def test_what_is_no_score_is_told(data: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Score.from_json(data)


def test_files_that_hold_none(tmp_path: Path) -> None:
    path = tmp_path / "score.json"
    wrong = {"{": "no JSON", "[" * 10**5: "nested", "9" * 5000: "digits", "3": "choreography"}
    wrong['{"moves": [], "seed": 1, "seed": 2}'] = "'seed' stands twice"
    many = ", ".join(f'"{number}": 0' for number in range(50_000))  # are looked through once
    wrong[f'{{{many}, "last": 0, "last": 1}}'] = "'last' stands twice"
    for text, sentence in wrong.items():
        path.write_text(text)
        with pytest.raises(UsageError, match=sentence):
            read_score(path)
    for wrong in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read_score(wrong)
    path.write_text(json.dumps(GOOD))
    assert read_score(path) == Score.from_json(GOOD)


def test_a_skill_that_is_not_there_is_named() -> None:
    score = Score((Move(0, 1), Move(4, 1)))
    with pytest.raises(UsageError, match=r"move 2 .* skill 4, which does not exist.* 0 to 3"):
        score.require_skills(make_agent())


def test_the_checkpoint_of_a_score_is_found_in_its_run(tmp_path: Path) -> None:
    first, second = make_agent(seed=1), make_agent(seed=2)
    first.save(tmp_path / "checkpoints" / "frames_10")
    older = checkpoint_of(tmp_path)
    second.save(tmp_path / "checkpoints" / "frames_20")
    (tmp_path / "checkpoints" / "latest").write_text("frames_20\n")
    newer = checkpoint_of(tmp_path)
    assert older != newer
    moves = (Move(0, 1),)
    assert written_for(Score(moves), tmp_path) == (tmp_path, None)
    assert written_for(Score(moves, checkpoint=newer), tmp_path) == (tmp_path, None)
    found = written_for(Score(moves, checkpoint=older), tmp_path)
    assert found == (tmp_path / "checkpoints" / "frames_10", None)
    path, warning = written_for(Score(moves, checkpoint="0" * 64), tmp_path)
    assert path == tmp_path and warning is not None
    assert "another checkpoint (000000000000)" in warning and newer[:12] in warning
    with pytest.raises(CheckpointError):
        written_for(Score(moves), tmp_path / "nothing")
