"""Specs: what they become, what the command line changes, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from toy_specs import cells, spec, table, write

from choreo.cli import main
from choreo.cli.sweep import SCHEMA
from choreo.errors import UsageError
from choreo.sweep import Overrides, expand, parse, read_toml, shipped


def test_a_spec_becomes_cells_each_after_its_source() -> None:
    found = {cell.name: cell for cell in cells(seeds=[0, 1])}
    assert list(found)[:2] == ["pretrain/toy_silent-s0", "pretrain/toy_silent-s1"]
    assert len(found) == 2 + 4 + 4
    tuned = found["finetune/toy_point-scratch-s1"]
    assert tuned.source == "pretrain/toy_silent-s1"
    assert tuned.labels == {
        "domain": "toy:silent", "task": "toy:point", "method": "scratch", "seed": 1
    }  # fmt: skip
    assert found["evaluate/toy_point-scratch-s1"].source == tuned.name
    places = list(found)
    assert all(
        c.source is None or places.index(c.source) < places.index(n) for n, c in found.items()
    )


def test_a_cell_is_the_command_that_a_person_would_give() -> None:
    pretrain, _, tuned, _, score = cells()
    root = Path("/s")  # nothing is made there
    words = "pretrain --preset debug --device cpu --env toy:silent --seed 0 --threads 1"
    words += " --frames 60 --snapshots 30 60 --run-dir /s/pretrain/toy_silent-s0/run"
    assert pretrain.arguments(root) == words.split()
    assert tuned.arguments(root)[:3] == ["finetune", "--from", "/s/pretrain/toy_silent-s0/run"]
    assert "--preset" not in tuned.arguments(root), "that of the run it starts from"
    assert score.arguments(root)[:2] == ["evaluate", "/s/finetune/toy_point-scratch-s0/run"]
    assert score.arguments(root)[-1] == "--json"


def test_stages_that_start_from_snapshots() -> None:
    data = table()
    data["stage"]["finetune"]["snapshots"] = [30, 60]
    found = {cell.name: cell for cell in expand(parse("toy", data, SCHEMA), SCHEMA)}
    one = found["finetune/toy_point-skills-30-s0"]
    assert one.labels["frames"] == 30
    assert "/s/pretrain/toy_silent-s0/run/snapshots/frames_30" in one.arguments(Path("/s"))
    assert found["evaluate/toy_point-skills-30-s0"].labels["frames"] == 30


def test_methods_of_pre_training_go_on_under_their_name_or_the_one_they_name() -> None:
    data = table()
    data["stage"]["pretrain"]["methods"] = {"full": {}, "few": {"skills.codes": 2}}
    methods = {"few": {}, "frozen": {"source": "full", "freeze-skills": True}}
    data["stage"]["finetune"]["methods"] = methods
    found = {c.name: c.source for c in expand(parse("toy", data, SCHEMA), SCHEMA)}
    assert found["finetune/toy_point-few-s0"] == "pretrain/toy_silent-few-s0"
    assert found["finetune/toy_point-frozen-s0"] == "pretrain/toy_silent-full-s0"
    assert len(found) == 2 + 2 + 2


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("tiny", 2 + 2 + 4 + 4 + 2),
        ("laptop", 9 + 9 + 12 * 3 * (5 + 5 + 1)),
        ("urlb-states", 30 + 30 + 120 * (4 + 4 + 1 + 1 + 1)),
        ("urlb-pixels", 30 + 30 + 120 * (4 + 4 + 1 + 1 + 1)),
        ("exorl", 30 + 30 + 120 * (2 + 2 + 1)),
        ("unseen", 6 + 6 + 6 * (2 + 2 + 1)),
        ("sparse", 10 + 10 + 40 + 10),
        ("ablation", 63 + 63 + 12 * 3 * (9 + 9 + 1)),
    ],
)
def test_shipped_specs_are_read_by_the_commands_they_give(name: str, number: int) -> None:
    from choreo.cli.sweep import _check_values

    assert name in shipped()
    found = expand(parse(*read_toml(name), SCHEMA), SCHEMA)
    assert len(found) == number
    _check_values(found, Path("/s"))


def test_what_the_command_line_changes() -> None:
    changes = Overrides(
        seeds=(5,),
        tasks=("walker_run",),
        preset="cpu",
        settings=(
            "pretrain.frames=300_000",
            "pretrain.training.batch=7",
            "finetune.snapshots=[100_000]",
        ),
    )
    data = changes.apply("urlb-states", read_toml("urlb-states")[1])
    found = expand(parse("urlb-states", data, SCHEMA), SCHEMA)
    assert found[0].name == "pretrain/walker-s5"
    options = found[0].options
    assert (options["frames"], options["training.batch"], options["preset"]) == (300_000, 7, "cpu")
    names = [cell.name for cell in found if cell.stage == "finetune"]
    assert names == ["finetune/walker_run-skills-100k-s5"]


def changed(**places: Any) -> dict[str, Any]:
    """The toy spec with entries of its stages changed; None takes one away."""
    data = table()
    for place, value in places.items():
        stage, _, key = place.partition("__")
        entries = data["stage"][stage] if key else data
        entries[key or stage] = value
        if value is None:
            del entries[key or stage]
    return data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            changed(pretrain__options={"trainng.batch": 3}),
            "'trainng.batch'; did you mean 'training.batch'",
        ),
        (changed(pretrain__options={"run-dir": "x"}), "leave out the option 'run-dir', which is"),
        (changed(finetune__methods={"a": {"strat": "skills"}}), "did you mean 'start'"),
        (changed(finetune__from="pretran"), "unknown stage 'pretran'; did you mean 'pretrain'"),
        (changed(finetune__from="evaluate"), "in a circle: finetune from evaluate from finetune"),
        (changed(evaluate__from=None), "needs a run"),
        (changed(pretrain__from="finetune"), "in a circle"),
        (
            changed(finetune__command="finetun"),
            "unknown command 'finetun'; did you mean 'finetune'",
        ),
        (changed(evaluate__command="zeroshoot"), "did you mean 'zeroshot'"),
        (
            changed(tasks={"walker": ["walker_rum"]}),
            "unknown task 'walker_rum'; did you mean 'walker_run'",
        ),
        (changed(tasks={}), "a task under [tasks]"),
        (changed(seeds=[0, 0]), "each once"),
        (changed(seeds=["a"]), "whole numbers"),
        (changed(sedes=[0]), "did you mean 'seeds'"),
        (
            changed(finetune__snapshots=[45]),
            "snapshot at 45, which nothing makes: pretrain has 60 frames",
        ),
        (changed(evaluate__snapshots=[30]), "only pretrain and offline make"),
        (changed(finetune__over=["task", "method"]), "add 'seed' to `over`"),
        (changed(finetune__over=["tasks", "seed"]), "unknown axis 'tasks'; did you mean 'task'"),
        (changed(finetune__domains=["toy:silnt"]), "did you mean 'toy:silent'"),
        (changed(preset="debgu"), "unknown preset 'debgu'"),
        (
            changed(pretrain__options={"frames": "many"}),
            "refuses: Error parsing --frames: invalid literal for int() with base 10: 'many'\n",
        ),
        (
            changed(finetune__methods={"a": {"start": "explorr"}}),
            "'explorr' for argument '--start'",
        ),
        (changed(finetune__methods={"a": {"start": "explorr"}}), "did you mean 'explorer'"),
        (changed(finetune__frum="pretrain"), "did you mean 'from'"),
        (changed(stage={"../up": {"command": "pretrain"}}), "would be a folder"),
    ],
)
def test_wrong_specs(
    data: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "mine.toml", data)
    assert main(["sweep", str(path), "--dir", str(tmp_path / "s")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("tyni", "unknown spec 'tyni'; did you mean 'tiny'"),
        ("", "urlb-states"),
        ("tiny --methods skill", "unknown method 'skill'; did you mean 'skills'"),
        ("tiny --only fintune/*", "no cell is called so"),
        ("tiny --only", "--only: no pattern was given"),
        ("tiny --only pretrain fintune/*", "--only fintune/*: no cell is called so"),
        ("tiny --cell pretrain/point_mass-s2", "did you mean 'pretrain/point_mass-s1'"),
        ("tiny --set pretran.frames=5", "unknown stage 'pretran'; did you mean 'pretrain'"),
        ("tiny --set pretrain.frame=5", "unknown option 'frame'; did you mean 'frames'"),
        ("tiny --set frames=5", "wanted STAGE.OPTION=VALUE"),
        ("tiny --tasks point_mass_reach_topleft", "did you mean 'point_mass_reach_top_left'"),
        ("tiny --per-device 2 --device cpu", "no CUDA device"),
        ("tiny --workers 0", "--workers 0: at least 1"),
        ("tiny --ray local --per-device 0", "--per-device 0: at least 1"),
        ("tiny --retry -1", "at least 0"),
        ("tiny --preset huge", "unknown preset"),
        ("broken.toml", "cannot be read as TOML"),
        ("folder", "folder is a folder, but no sweep: there is no sweep.json in it"),
    ],
)
def test_wrong_calls(
    arguments: str,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.toml").write_text("seeds = [")
    (tmp_path / "folder").mkdir()
    assert main(["sweep", *arguments.split()]) == 2
    assert words in capsys.readouterr().err


def test_the_folder_of_another_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, folder = write(tmp_path / "mine.toml", table()), tmp_path / "s"
    call = ["sweep", str(path), "--dir", str(folder), "--commands"]
    assert main(call) == 0
    assert main([*call, "--seeds", "0", "1"]) == 0, "seeds may be added"
    assert main([*call, "--set", "pretrain.frames=90"]) == 2
    assert "stage.pretrain.options.frames: found 60, wanted 90" in capsys.readouterr().err
    assert main(["sweep", "tiny", "--dir", str(folder), "--commands"]) == 2
    assert "holds a sweep of another spec" in capsys.readouterr().err
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").touch()
    assert main(["sweep", str(path), "--dir", str(tmp_path / "notes"), "--commands"]) == 2
    assert "is not a sweep" in capsys.readouterr().err


def test_the_spec_of_the_library_is_that_of_the_folder() -> None:
    assert spec(seeds=[3]).stage("finetune").over == ("task", "method", "seed")
    with pytest.raises(UsageError, match="wrong kind"):
        parse("toy", {**table(), "seeds": 3}, SCHEMA)
