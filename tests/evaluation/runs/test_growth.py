"""Health of a run as it grows: curves, what they warn of, and lines that are not whole yet."""

import json
from pathlib import Path
from typing import Any

import pytest

from choreo.errors import UsageError
from choreo.evaluation.runs.growth import POINTS, Series, measure_growth


def line(frames: int, perplexity: float, **values: Any) -> dict[str, Any]:
    return {"kind": "train", "frames": frames, "codebook/perplexity": perplexity, **values}


def run_of(folder: Path, lines: list[dict[str, Any]], command: str = "pretrain") -> Path:
    config = {"command": command, "env": "walker", "frames": 1000, "seed": 0}
    config |= {"skills": {"codes": 16}, "training": {"random_frames": 100}}
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"format": 1, "config": config}))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return folder


def test_curves_grow_by_whole_lines(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run", [line(10, 8.0), line(20, 12.0)])
    first = measure_growth(folder)
    assert first.x == "frames" and not first.running and first.warnings == []
    assert first.series["train/codebook/perplexity"].points == [[10, 8], [20, 12]]
    assert first.series["train/codebook/perplexity"].good == "high"
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line(30, 4.0)) + "\n" + '{"kind": "train", "fra')
    second = measure_growth(folder)
    assert second.series["train/codebook/perplexity"].points[-1] == [30, 4]
    assert ["few codes in use: 4.0 of 16" in one for one in second.warnings] == [True]
    json.dumps(second.to_json())


def test_long_curves_are_averaged(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run", [line(n, float(n % 2)) for n in range(1, 10 * POINTS + 1)])
    points = measure_growth(folder).series["train/codebook/perplexity"].points
    assert len(points) == POINTS and points[0] == [10, 0.5] and points[-1][0] == 10 * POINTS


def test_a_task_whose_reward_is_not_found(tmp_path: Path) -> None:
    lines = [line(300, 12.0, **{"adaptation/entropy": 0.1})]
    found = measure_growth(run_of(tmp_path / "run", lines, "finetune"))
    assert any("takes one skill for ever" in one for one in found.warnings)
    assert any("no reward found in 300 frames" in one for one in found.warnings)


def test_a_critic_that_hopes(tmp_path: Path) -> None:
    told = {"return": 134.0, "critic/expected": 40.3, "critic/found": 13.2}
    lines = [{"kind": "evaluation", "frames": 300, **told}]
    found = measure_growth(run_of(tmp_path / "run", lines, "finetune"))
    assert any("expects a discounted return of 40.3 where 13.2" in one for one in found.warnings)
    assert found.series["evaluation/critic/expected"].points == [[300, 40.3]]


def test_further_curves_stand_beside(tmp_path: Path) -> None:
    more = {"hits": Series("Hit rate in imagination", [[10, 0.5]], "high")}
    found = measure_growth(run_of(tmp_path / "run", []), more)
    assert found.series == more


def test_where_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        measure_growth(tmp_path)
