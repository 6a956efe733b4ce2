"""Tables of tasks and methods, their aggregates, curves and published rows, by hand."""

from pathlib import Path

import numpy as np
import pytest
import toy_sweeps as toy

from choreo.errors import UsageError
from choreo.evaluation.runs import (
    compare,
    curves,
    find_metric,
    known_metrics,
    read_published,
    read_runs,
)
from choreo.evaluation.runs.curves import band
from choreo.evaluation.runs.health import skill_figures
from choreo.evaluation.runs.origins import made_with, settings, times


def test_numbers_of_three_methods_four_tasks_three_seeds(tmp_path: Path) -> None:
    comparison = compare(read_runs([toy.grid(tmp_path)])[0])
    assert comparison.tasks == ["walker_stand", "walker_run", "quadruped_walk", "quadruped_jump"]
    assert comparison.methods == ["skills", "skills frozen", "scratch", "random"]
    cell = comparison.cells["walker_run", "skills"]
    assert cell.returns.tolist() == [437.8, 477.6, 517.4]  # 796 x 0.55, 0.6, 0.65
    assert cell.mean == pytest.approx(477.6)
    half = 4.302653 * 39.8 / np.sqrt(3)  # t(0.975, 2)
    assert cell.interval == pytest.approx((477.6 - half, 477.6 + half), abs=1e-3)
    assert cell.share == pytest.approx(0.6)
    whole, walker, quadruped = comparison.groups
    assert (whole.name, walker.name, quadruped.name) == ("all tasks", "walker", "quadruped")
    for group in comparison.groups:
        for method, level in (("skills", 0.6), ("skills frozen", 0.4), ("scratch", 0.2)):
            estimates = group.standings[method].estimates
            for measure in ("IQM", "mean", "median"):
                assert estimates[measure].value == pytest.approx(level, abs=1e-5)
            assert estimates["optimality gap"].value == pytest.approx(1 - level, abs=1e-5)
        assert group.improvement["skills", "scratch"].value == 1
        assert group.improvement["scratch", "skills"].value == 0
    above = whole.standings["skills"].profile[0]
    assert above[whole.thresholds < 0.545].min() == 1
    assert above[(whole.thresholds > 0.555) & (whole.thresholds < 0.595)].tolist() == [
        pytest.approx(2 / 3)
    ] * len(above[(whole.thresholds > 0.555) & (whole.thresholds < 0.595)])


def test_missing_cells_and_controls(tmp_path: Path) -> None:
    toy.grid(tmp_path, chance=False)
    for name in ("config.json", "metrics.jsonl"):
        (tmp_path / "walker_run-skills-s1" / name).unlink()
        for seed in range(3):
            (tmp_path / f"quadruped_walk-scratch-s{seed}" / name).unlink()
    comparison = compare(read_runs([tmp_path])[0])
    cells = comparison.cells
    assert cells["walker_run", "skills"].missing == ("seed 1: no run",)
    assert cells["quadruped_walk", "scratch"].missing == ("no run",)
    assert "not evaluated" in cells["walker_stand", "random"].missing[0]
    standing = comparison.groups[0].standings["scratch"]
    assert standing.lacking == ("quadruped_walk",)
    assert "random" not in comparison.groups[0].standings


def test_from_scratch_is_a_row_where_nobody_ran_it(tmp_path: Path) -> None:
    toy.run(tmp_path, toy.config("walker_run", 0), toy.curve(500.0))
    comparison = compare(read_runs([tmp_path])[0])
    assert comparison.methods == ["skills", "scratch", "random"]
    assert comparison.cells["walker_run", "scratch"].missing == ("no run",)


def test_tasks_without_an_experts_score_have_no_aggregates(tmp_path: Path) -> None:
    toy.run(tmp_path, toy.config("dmc:point_mass-easy", 0), toy.curve(500.0))
    comparison = compare(read_runs([tmp_path])[0])
    assert comparison.groups == []
    assert comparison.cells["dmc:point_mass-easy", "skills"].share is None


def test_a_band_is_the_mean_and_the_interval_of_those_who_came_that_far() -> None:
    ends = np.array([0.0, 10.0, 20.0])
    found = band([(ends, np.array([0.0, 2.0, 4.0])), (ends[:2], np.array([2.0, 4.0]))])
    assert found.mean.tolist() == [1.0, 3.0, 4.0]
    assert found.runs.tolist() == [2, 2, 1]
    half = 12.706205 * np.sqrt(2) / np.sqrt(2)  # t(0.975, 1) x deviation / sqrt(n)
    assert found.high[0] == pytest.approx(1 + half, abs=1e-4)
    assert np.isnan(found.low[2])


def test_curves_of_any_metric(tmp_path: Path) -> None:
    runs = read_runs([toy.grid(tmp_path)])[0]
    known = known_metrics(runs)
    assert find_metric("return", known) == "evaluation/return"
    assert find_metric("world_model/kl", known) == "train/world_model/kl"
    with pytest.raises(UsageError, match="did you mean: train/world_model/kl"):
        find_metric("world_model/k", known)
    found = curves(runs, "evaluation/return")["walker_run"]["skills"]
    assert found.counts.tolist() == [200, 400, 600, 800, 1000]
    assert found.mean == pytest.approx(477.6 * found.counts / 1000)


def test_published_rows_of_the_package() -> None:
    rows = read_published("published")
    cic = next(row for row in rows if row.method == "CIC")
    assert cic.returns["walker_flip"] == 715
    assert cic.conditions == "states, 2,000,000 + 100,000 frames"
    assert "MOSS" in cic.source
    expert = next(row for row in rows if row.method.startswith("expert"))
    assert expert.normalised(["walker_run", "quadruped_jump"]).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column method, task, return, source"),
        ("method,task,return\nA,b,1\n", "no column source"),
        ("method,task,return,source\nA,b,x,s\n", "line 2: .*'x'"),
        ("method,task,return,source\nA,b,nan,s\n", "line 2"),
        ("method,task,return,source\nA,b\n", "line 2"),
    ],
)
def test_bad_published_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_published(str(path))
    with pytest.raises(UsageError, match=r"other\.csv cannot be read"):
        read_published(str(tmp_path / "other.csv"))


def test_skill_figures_beside_their_controls(tmp_path: Path) -> None:
    for seed, trained in ((0, 0.5), (1, 0.05)):
        place = tmp_path / f"s{seed}"
        toy.run(place, toy.config("walker", seed, "pretrain"), toy.curve(1.0))
        toy.write(place / "skills" / "skills.json", toy.skills_json(trained))
    figures = {figure.name: figure for figure in skill_figures(read_runs([tmp_path])[0])}
    hits = figures["hit rate"]
    assert hits.values.tolist() == [0.5, 0.05] and hits.above == 1
    assert hits.controls == {"untrained": 0.1, "random": 0.08, "chance": 0.0625}
    error = figures["model error, 15 steps"]
    assert error.mean == pytest.approx(0.3) and error.above == 2
    assert error.controls == {"untrained": 1.1, "random": None, "chance": 0.9}
    assert figures["codes in use"].controls["untrained"] == 0.2


@pytest.mark.parametrize("report", [{}, {"coverage": None, "hit_rate": {"trained": "x"}}])
def test_a_skill_report_of_another_shape_gives_no_figures(tmp_path: Path, report: dict) -> None:
    toy.run(tmp_path, toy.config("walker", 0, "pretrain"), toy.curve(1.0))
    toy.write(tmp_path / "skills" / "skills.json", report)
    assert skill_figures(read_runs([tmp_path])[0]) == []


def test_what_runs_were_made_with(tmp_path: Path) -> None:
    runs = read_runs([toy.grid(tmp_path)])[0]
    spent = {(entry.command, entry.method): entry for entry in times(runs)}
    assert spent["finetune", "skills"].seconds == 12 * 70
    made = made_with(runs)
    assert made["machine"] == {"Toy CPU, 2 cores": 40}
    assert made["torch"] == {"2.13.0": 40}
    differ = {entry.option: entry.values for entry in settings(runs)}
    assert differ["freeze_skills"]["true"] == "skills frozen (12)"
    assert "seed" not in differ and "env" not in differ
