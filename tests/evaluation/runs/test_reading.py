"""What folders tell of runs: labels, progress, final scores, and files that are not whole."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy_results as toy

from choreo.errors import UsageError
from choreo.evaluation.runs import Run, check_alike, check_pool, named_apart, read_runs
from choreo.evaluation.runs.health import goal_figures
from choreo.evaluation.runs.labels import domain_of, method_key, method_of, task_key


def only(folder: Path) -> Run:
    runs, _ = read_runs([folder])
    assert len(runs) == 1
    return runs[0]


@pytest.mark.parametrize(
    ("options", "method"),
    [
        ({"command": "finetune"}, "skills"),
        ({"command": "finetune", "freeze_skills": True}, "skills frozen"),
        ({"command": "finetune", "from_scratch": True}, "scratch"),
        ({"command": "finetune", "start": "explorer"}, "explorer"),
        ({"command": "finetune", "start": "model", "freeze_skills": False}, "model"),
        ({"command": "finetune", "start": "scratch"}, "scratch"),
        ({"command": "pretrain", "exploration.kind": "lbs"}, "lbs"),
        ({"command": "offline"}, "offline"),
    ],
)
def test_the_method_follows_from_options(options: dict[str, Any], method: str) -> None:
    assert method_of(options) == method


@pytest.mark.parametrize(
    ("task", "domain"),
    [
        ("walker_run", "walker"),
        ("quadruped", "quadruped"),
        ("jaco_fixed_reach_top_left", "jaco_fixed"),
        ("point_mass_reach_top_left", "point_mass"),
        ("mw_reach", "metaworld"),
        ("dmc:point_mass-easy", "point_mass"),
        ("gym:HalfCheetah-v5", "gym:HalfCheetah-v5"),
    ],
)
def test_the_domain_of_a_task(task: str, domain: str) -> None:
    assert domain_of(task) == domain


def test_the_order_of_tasks_and_methods() -> None:
    tasks = ["jaco_reach_top_left", "zoo:make", "walker_run", "quadruped", "walker_stand", "walker"]
    assert sorted(tasks, key=task_key) == [
        "walker_stand", "walker_run", "walker", "quadruped", "jaco_reach_top_left", "zoo:make",
    ]  # fmt: skip
    methods = ["random", "scratch", "explorer", "skills @ 1M", "apt", "skills @ 100k", "skills"]
    assert sorted(methods, key=method_key)[-3:] == ["apt", "scratch", "random"]


def test_a_finished_run_without_evaluate_has_the_last_evaluation_in_training(
    tmp_path: Path,
) -> None:
    toy.run(tmp_path, toy.config("walker_run", 3), toy.curve(500.0))
    run = only(tmp_path)
    assert (run.task, run.domain, run.method, run.seed) == ("walker_run", "walker", "skills", 3)
    assert (run.status, run.budget, run.pretrained, run.action_repeat) == ("done", 1000, 5000, 1)
    assert run.final is not None
    assert (run.final.value, run.final.measured, run.final.frames) == (500.0, "in training", 1000)
    assert run.normalised == pytest.approx(500 / 796)
    assert run.seconds == 40 + 30  # of two processes


def test_what_evaluate_printed_goes_before(tmp_path: Path) -> None:
    toy.run(tmp_path, toy.config("walker_run", 3), toy.curve(500.0))
    toy.evaluation(tmp_path, 450.0)
    final = only(tmp_path).final
    assert final is not None
    assert (final.value, final.episodes, final.protocol) == (
        450.0, 10, "10 episodes, choreo evaluate",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("env", "count", "value", "note"),
    [
        ("walker_run", 1000, 450.0, ""),
        ("walker_run", 400, 500.0, "is of 400 frames, the run is at 1,000"),
        ("walker_walk", 1000, 500.0, "was made in walker_walk, the run learned walker_run"),
    ],
)
def test_an_evaluation_of_something_else_does_not_count(
    tmp_path: Path, env: str, count: int, value: float, note: str
) -> None:
    toy.run(tmp_path, toy.config("walker_run", 3), toy.curve(500.0))
    toy.evaluation(tmp_path, 450.0, env=env, about={"count": count})
    run = only(tmp_path)
    assert run.final is not None and run.final.value == value
    assert note in " ".join(run.notes) and bool(run.notes) == bool(note)


def test_a_run_on_its_way_has_no_final_score(tmp_path: Path) -> None:
    lines = toy.curve(500.0)[:4]
    toy.run(tmp_path, toy.config("walker_run", 0), lines)
    toy.evaluation(tmp_path, 450.0)
    run = only(tmp_path)
    assert (run.status, run.final) == ("stopped", None)
    assert run.reason == "stopped at 400 of 1,000 frames"
    assert "does not count" in run.notes[0]


def test_half_written_and_damaged_lines(tmp_path: Path) -> None:
    toy.run(tmp_path, toy.config("walker_run", 0), toy.curve(500.0))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "eval')
    assert only(tmp_path).notes == ()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('\n[1]\n{"kind": "evaluation", "return": null, "frames": 1000}\n')
    run = only(tmp_path)
    assert run.notes == ("2 damaged lines of metrics.jsonl are left out",)
    assert run.final is None  # the last evaluation was NaN


@pytest.mark.parametrize("text", ["", '{"mean": 4', "[]", '{"mean": NaN}', '{"mean": "x"}'])
def test_a_damaged_evaluation_is_noted(tmp_path: Path, text: str) -> None:
    toy.run(tmp_path, toy.config("walker_run", 0), toy.curve(500.0))
    (tmp_path / "evaluation.json").write_text(text)
    run = only(tmp_path)
    assert "evaluation.json" in run.notes[0]
    assert run.final is not None and run.final.measured == "in training"


def test_folders_without_runs_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    toy.write(tmp_path / "other" / "config.json", {"layers": 3})
    for name, words in {
        "gone": "gone does not exist",
        "empty": "empty is empty",
        "file": "file is a file",
        "other": "other is no run",
    }.items():
        with pytest.raises(UsageError, match=words):
            read_runs([tmp_path / name])


def test_a_run_that_is_given_twice_counts_once(tmp_path: Path) -> None:
    toy.run(tmp_path / "a", toy.config("walker_run", 0), toy.curve(500.0))
    assert len(read_runs([tmp_path, tmp_path / "a"])[0]) == 1


def test_a_sweep_gives_runs_with_what_was_measured_on_them(tmp_path: Path) -> None:
    runs, found = read_runs([toy.sweep(tmp_path / "s", seeds=2)])
    assert [sweep["name"] for sweep in found.sweeps.values()] == ["toy"]
    by_command = {name: [r for r in runs if r.command == name] for name in ("pretrain", "finetune")}
    assert len(by_command["pretrain"]) == 4 and len(by_command["finetune"]) == 24
    assert all(run.skills is not None for run in by_command["pretrain"])
    for run in by_command["finetune"]:
        assert run.final is not None and run.seed is not None
        assert run.final.value == toy.score(run.task, run.method, run.seed)
        assert run.final.measured == "evaluation.json"
        assert run.seconds == 600 and run.pretrained in (5000, None)
    chance = [run for run in runs if run.method == "random"]
    assert sorted({(run.task, run.final.value) for run in chance if run.final}) == sorted(
        (task, 10.0 + seed) for tasks in toy.TASKS.values() for task in tasks for seed in (0, 1)
    )


def test_states_of_cells(tmp_path: Path) -> None:
    root = toy.sweep(tmp_path, {"walker": ("walker_run",)}, seeds=2)
    failed, waits, unscored = (
        f"finetune/walker_run-{name}" for name in ("skills-s0", "scratch-s1", "skills-s1")
    )
    (root / failed / "done.json").unlink()
    toy.write(root / failed / "failed.json", {"reason": "NaN at update 3", "log": "its/log.txt"})
    for path in sorted((root / waits).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (root / waits).rmdir()
    scored = root / unscored.replace("finetune", "evaluate")
    (scored / "done.json").unlink()
    (scored / "evaluation.json").unlink()
    (scored / "lock").touch()
    runs = {f"{run.stage}/{run.cell}": run for run in read_runs([root])[0]}
    assert runs[failed].status == "failed"
    assert runs[failed].reason == "failed: NaN at update 3 (log: its/log.txt)"
    assert (runs[waits].status, runs[waits].reason) == ("waiting", "not begun")
    assert (runs[unscored].status, runs[unscored].reason) == ("done", "evaluation running")
    assert runs[unscored].final is None


def test_goals_are_found_task_by_task_and_what_is_planned_is_told(tmp_path: Path) -> None:
    before = "pretrain/jaco-s0"
    cells = [toy.cell(tmp_path, before, "pretrain", None, domain="jaco", seed=0)]
    toy.run(tmp_path / before / "run", toy.config("jaco", 0, "pretrain"), toy.curve(1.0))
    for number, task in enumerate(("jaco_reach_top_left", "jaco_reach_top_right")):
        name = f"goals/{task}-s0"
        cells.append(toy.cell(tmp_path, name, "zeroshot", before, domain="jaco", task=task, seed=0))
        controls = {"random": {"mean": 0.25}, "untrained": {"mean": 0.125}}
        toy.write(tmp_path / name / "zeroshot.json", {"mean": number / 2, "controls": controls})
    cells.append(toy.cell(tmp_path, "skills/jaco-s0", "skills", before, domain="jaco", seed=0))
    toy.write(tmp_path / "sweep.json", {"format": 1, "name": "toy", "cells": cells})
    run = only(tmp_path)
    assert {task: data["mean"] for task, data in run.goals.items()} == {
        "jaco_reach_top_left": 0.0,
        "jaco_reach_top_right": 0.5,
    }
    assert run.pending == ("skills not begun",)
    left, right = goal_figures([run])
    assert (left.task, left.above, right.above) == ("jaco_reach_top_left", 0, 1)
    assert right.controls == {"untrained": 0.125, "random": 0.25, "chance": None}


def differing(tmp_path: Path, **changes: Any) -> list[Run]:
    toy.run(tmp_path / "a", toy.config("walker_run", 0), toy.curve(500.0))
    toy.run(tmp_path / "b", toy.config("walker_run", 1) | changes, toy.curve(500.0, 2000))
    return read_runs([tmp_path])[0]


@pytest.mark.parametrize(
    ("changes", "aspect", "words"),
    [
        ({"frames": 2000}, "budget", "1,000: .*a\n.*2,000: .*b"),
        ({"preset": "debug"}, "preset", "cpu: .*a\n.*debug: .*b"),
        ({"obs": "pixels"}, "observations", "pixels: .*b"),
        ({"training": {"action_repeat": 2, "evaluate_episodes": 10}}, "action_repeat", "2: .*b"),
        ({"training": {"evaluate_episodes": 3}}, "evaluation", "3 episodes, in training: .*b"),
    ],
)
def test_what_may_not_be_counted_together_is_refused(
    tmp_path: Path, changes: dict[str, Any], aspect: str, words: str
) -> None:
    runs = differing(tmp_path, **changes)
    with pytest.raises(UsageError, match=words) as caught:
        check_alike(runs, ())
    assert f"--pool {aspect};" in str(caught.value)
    assert caught.value.exit_code == 2
    assert [difference.aspect for difference in check_alike(runs, (aspect,))] == [aspect]


def test_seeds_of_a_method_that_were_told_otherwise_are_refused(tmp_path: Path) -> None:
    stops = {"adaptation": {"clamp_stops": True}}
    older, told = differing(tmp_path, **stops)
    with pytest.raises(UsageError, match=r"clamp_stops:\n +False: .*a\n +True: .*b") as caught:
        check_alike([older, told], ())
    assert "add --pool options;" in str(caught.value)
    pooled = check_alike([older, told], ("options",))
    assert [one.sentence() for one in pooled] == [
        "option adaptation.clamp_stops: False (1 run); True (1 run)"
    ]
    assert check_alike([older, replace(told, task="walker_walk")], ()) == []
    assert check_alike([older, replace(told, method="frozen")], ()) == []
    assert check_alike([older, replace(told, pretrained=7)], ("options",)) == pooled
    before = [replace(run, command="pretrain", method="lbs") for run in (older, told)]
    assert check_alike(before, ()) == [], "of these the page shows in what they differ"
    as_before = {**told.config, "adaptation.clamp_stops": False}
    assert check_alike([older, replace(told, config=as_before)], ()) == [], "there was no option"


def test_random_actions_have_none_of_the_options_of_the_run_beside_them(tmp_path: Path) -> None:
    for seed, freeze in enumerate((False, True)):
        place = tmp_path / str(seed)
        toy.run(place, toy.config("walker_run", seed, freeze_skills=freeze), toy.curve(500.0))
        toy.evaluation(place, 20.0 + seed, "random", "-random")
    runs = read_runs([tmp_path])[0]
    assert {run.method for run in runs} == {"skills", "skills frozen", "random"}
    assert check_alike(runs, ()) == []


@pytest.mark.parametrize("value", [20, 20.0])
def test_equal_numbers_are_no_difference(tmp_path: Path, value: float) -> None:
    one, other = differing(tmp_path, replay={"max_gb": value})
    asked = {**one.config, "replay.max_gb": 20}
    assert check_alike([replace(one, config=asked), other], ()) == []


@pytest.mark.parametrize("name", ["run_dir", "threads", "logging.every", "training.parallel"])
def test_what_changes_no_number_may_differ(tmp_path: Path, name: str) -> None:
    one, other = differing(tmp_path)
    assert check_alike([one, replace(other, config={**other.config, name: 7})], ()) == []


def test_versions_and_commits_are_compared(tmp_path: Path) -> None:
    runs = differing(tmp_path)
    other = replace(runs[1], versions=toy.VERSIONS | {"torch": "2.12.0"})
    with pytest.raises(UsageError, match=r"torch 2\.12\.0: .*b"):
        check_alike([runs[0], other], ())
    other = replace(runs[1], machine={"commit": "ffff"})
    with pytest.raises(UsageError, match="--pool commit"):
        check_alike([runs[0], other], ("versions",))
    unknown = replace(runs[1], machine={}, versions={})  # an old run
    assert check_alike([runs[0], unknown], ()) == []


def test_a_seed_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        toy.run(tmp_path / name, toy.config("walker_run", 0), toy.curve(500.0))
    runs = read_runs([tmp_path])[0]
    with pytest.raises(UsageError, match=r"walker_run, skills, seed 0: .*a, .*b"):
        check_alike(runs, ())


def test_aspects_of_pool_are_checked() -> None:
    assert check_pool("budget, action-repeat") == ("budget", "action_repeat")
    with pytest.raises(UsageError, match="did you mean budget"):
        check_pool("budgt")


def test_amounts_of_pre_training_are_methods_apart(tmp_path: Path) -> None:
    for seed, frames in ((0, 100_000), (0, 2_000_000), (1, 100_000)):
        options = toy.config("walker_run", seed, source=f"x/snapshots/frames_{frames:09d}")
        toy.run(tmp_path / f"{seed}-{frames}", options, toy.curve(500.0))
    toy.run(tmp_path / "c", toy.config("walker_run", 0, from_scratch=True), toy.curve(5.0))
    runs = read_runs([tmp_path])[0]
    named = {run.method for run in named_apart(runs, ())}
    assert named == {"skills @ 100k", "skills @ 2M", "scratch"}
    assert {run.method for run in named_apart(runs, ("budget",))} == {"skills", "scratch"}
    early, late = (r for r in runs if r.name.endswith(("0-100000", "1-100000")))
    unknown = replace(late, pretrained=None)  # as of a cell whose pre-training has not begun
    assert {run.method for run in named_apart([early, unknown], ())} == {"skills"}


def test_the_same_random_episodes_count_once(tmp_path: Path) -> None:
    for seed in range(3):
        place = tmp_path / f"s{seed}"
        toy.run(place, toy.config("walker_run", seed), toy.curve(500.0))
        toy.evaluation(place, 20.0 + (seed == 2), "random", "-random")
    chance = [run for run in read_runs([tmp_path])[0] if run.method == "random"]
    assert sorted(run.final.value for run in chance if run.final) == [20.0, 21.0]


def test_runs_from_before_hardware_was_recorded_are_read(tmp_path: Path) -> None:
    toy.run(tmp_path, toy.config("walker_run", 0), toy.curve(500.0))
    content = json.loads((tmp_path / "config.json").read_text())
    del content["machine"]
    toy.write(tmp_path / "config.json", content)
    (tmp_path / "timing.jsonl").unlink()
    run = only(tmp_path)
    assert run.machine == {} and run.seconds is None and run.final is not None
