"""Sweeps as a person runs them; a stand-in does the cells, so that only the sweep is tested."""

import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_specs import STAND_IN, alive, cells, children, start, table, until, write

from choreo.cli import main
from choreo.presets import PRESETS
from choreo.sweep import Cell, lock
from choreo.sweep.begun import preset_settings, with_settings


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory in which cells are done by the stand-in."""
    monkeypatch.chdir(tmp_path)
    for name, value in STAND_IN.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def call(data: dict[str, Any] | None = None, *more: str) -> int:
    """Run the sweep `s` of a spec, in this process."""
    path = write(Path("toy.toml"), data or table())
    return main(["sweep", str(path), "--dir", "s", "--workers", "2", *more])


def starts(cell: str) -> int:
    """How often a cell was begun."""
    path = Path("s") / cell / "run" / "starts"
    return len(path.read_text().splitlines()) if path.exists() else 0


def content(path: str) -> dict[str, Any]:
    return json.loads((Path("s") / path).read_text())


def test_every_cell_is_done_once_and_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call() == 0
    assert "5 of 5 cells done" in capsys.readouterr().out
    assert call() == 0, "the same command again does nothing"
    cells = ["pretrain/toy_silent-s0", "finetune/toy_point-skills-s0"]
    assert [starts(cell) for cell in cells] == [1, 1]
    assert content("evaluate/toy_point-skills-s0/evaluation.json") == {"mean": 1.5}
    done, cell = (content(f"{cells[1]}/{name}.json") for name in ("done", "cell"))
    assert done["attempts"] == 1 and done["seconds"] > 0
    assert cell["from"] == cells[0] and cell["labels"]["method"] == "skills"
    assert not list(here.glob("s/*/*/lock*"))
    assert (here / "s" / cells[0] / "run" / "starts").read_text().endswith(" 1\n"), "one thread"
    assert len(content("sweep.json")["cells"]) == 5


def test_a_cell_that_always_crashes_stops_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = table()
    data["tasks"]["toy:crashes"] = ["toy:other"]
    assert call(data, "--retry", "1") == 1
    said = capsys.readouterr().out
    assert "5 of 10 cells done, 0 running, 0 waiting, 1 failed, 4 waiting on failed ones" in said
    assert "failed: pretrain/toy_crashes-s0: it always crashes" in said
    assert str(here / "s/pretrain/toy_crashes-s0/log.txt") in said
    assert "4 cells waiting on failed pretrain/toy_crashes-s0" in said
    assert starts("pretrain/toy_crashes-s0") == 2
    failed = content("pretrain/toy_crashes-s0/failed.json")
    assert failed == {
        "reason": "it always crashes", "attempts": 2, "log": "pretrain/toy_crashes-s0/log.txt"
    }  # fmt: skip
    assert call(data) == 1 and starts("pretrain/toy_crashes-s0") == 2, "not without --retry"
    assert call(data, "--retry", "3") == 1 and starts("pretrain/toy_crashes-s0") == 5


def test_what_failed_is_forgotten_once_it_is_done(here: Path) -> None:
    data = table()
    data["tasks"] = {"toy:crashes": ["toy:point"]}
    assert call(data) == 1
    Path("s/pretrain/toy_crashes-s0/cell.json").unlink()
    stand_in = Path(STAND_IN["PYTHONPATH"]) / "choreo" / "__main__.py"
    (here / "mended" / "choreo").mkdir(parents=True)
    mended = stand_in.read_text().replace('"crashes"', '"never"')
    (here / "mended" / "choreo" / "__main__.py").write_text(mended)
    os.environ["PYTHONPATH"] = str(here / "mended")  # the fixture puts it back
    assert call(data, "--retry", "1") == 0
    assert not Path("s/pretrain/toy_crashes-s0/failed.json").exists()
    assert content("pretrain/toy_crashes-s0/done.json")["attempts"] == 2


def test_a_full_disk_stops_the_sweep_and_fails_no_cell(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = table()
    data["tasks"] = {"toy:full": ["toy:point"]}
    assert call(data) == 74
    assert "pretrain/toy_full-s0: Could not write it" in capsys.readouterr().err
    assert not list(here.glob("s/*/*/failed.json")) and not list(here.glob("s/*/*/lock*"))


def test_a_disk_that_is_full_for_the_sweep_itself(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("choreo.sweep.folder.os.fsync", full)
        assert call() == 74
    assert "No space left on device" in capsys.readouterr().err
    assert call() == 0, "with room again it goes on"


def test_one_cell_of_every_stage(here: Path) -> None:
    assert call(table(seeds=[0, 1]), "--first-only") == 0
    done = sorted(str(path.parent) for path in Path("s").glob("*/*/done.json"))
    assert done == [f"s/{stage}-s0" for stage in (
        "evaluate/toy_point-skills", "finetune/toy_point-skills", "pretrain/toy_silent"
    )]  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "number"),
    [
        (["--only", "finetune/*scratch*"], 2),
        (["--only", "finetune"], 3),
        (["--methods", "skills"], 3),
        (["--only", "pretrain"], 1),
        (["--only", "pretrain", "finetune/*scratch*"], 2),
        (["--only", "evaluate/*-skills-*", "finetune/*scratch*"], 4),
    ],
)
def test_some_cells_and_what_they_start_from(choice: list[str], number: int, here: Path) -> None:
    assert call(None, *choice) == 0
    assert len(list(Path("s").glob("*/*/done.json"))) == number


def test_lists_and_commands(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(None, "--dry-run") == 0
    assert len(re.findall("^choreo ", capsys.readouterr().out, re.MULTILINE)) == 5
    assert not Path("s").exists()
    assert call(None, "--only", "pretrain") == 0
    capsys.readouterr()
    assert call(None, "--list") == 0
    said = capsys.readouterr().out
    assert "done     pretrain/toy_silent-s0" in said and "1 of 5 cells done" in said
    assert "waiting  evaluate/toy_point-skills-s0  (waiting on finetune" in said
    assert call(None, "--list", "--only", "finetune/*scratch*") == 0
    said = capsys.readouterr().out
    assert "1 of 2 cells done" in said and "-skills-" not in said, "the chosen ones alone"
    assert call(None, "--commands") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"choreo sweep {here / 's'} --cell finetune/toy_point-skills-s0"
    assert len(lines) == 4
    assert main(lines[2].split()[1:]) == 75, "its source is not done"
    assert "run that first" in capsys.readouterr().out
    assert [main(line.split()[1:]) for line in lines] == [0, 0, 0, 0]
    assert call(None, "--commands") == 0 and capsys.readouterr().out.count("choreo") == 0


def test_the_specs_of_the_package_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--list"]) == 0
    assert re.search("^urlb-pixels +URLB from pixels", capsys.readouterr().out, re.MULTILINE)


def waiting(seeds: int) -> dict[str, Any]:
    """Pre-training of so many seeds that waits until a file `s/go` is there."""
    data = table(seeds=list(range(seeds)))
    data["tasks"] = {"toy:waits": ["toy:point"]}
    data["stage"] = {"pretrain": data["stage"]["pretrain"]}
    return data


def test_two_sweeps_on_one_folder_share_the_work(here: Path) -> None:
    path = write(Path("toy.toml"), waiting(6))
    words = ["sweep", path, "--dir", "s", "--workers", "2"]
    sweeps = [start(*words, folder=here) for _ in range(2)]
    until(lambda: len(list(here.glob("s/*/*/run/starts"))) == 4)
    pids = [int(path.read_text().split()[0]) for path in here.glob("s/*/*/run/starts")]
    assert [len({*pids} & {*children(sweep.pid)}) for sweep in sweeps] == [2, 2]
    (here / "s" / "go").touch()
    ended = [sweep.communicate(timeout=300)[0] for sweep in sweeps]
    assert [sweep.returncode for sweep in sweeps] == [0, 0], ended
    assert [starts(f"pretrain/toy_waits-s{n}") for n in range(6)] == [1] * 6
    assert all("6 of 6 cells done" in text for text in ended)


@pytest.mark.parametrize(("told", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_told_to_stop_all_cells_save_and_no_process_is_left(
    told: signal.Signals, code: int, here: Path
) -> None:
    sweep = start("sweep", write(Path("toy.toml"), waiting(3)), "--dir", "s", folder=here)
    until(lambda: len(list(here.glob("s/*/*/run/starts"))) == 2)
    pids = children(sweep.pid)
    sweep.send_signal(told)
    said = sweep.communicate(timeout=300)[0]
    assert sweep.returncode == code and "the same command goes on" in said
    assert len(pids) == 2 and not any(map(alive, pids))
    assert len(list(here.glob("s/*/*/run/saved"))) == 2
    assert not list(here.glob("s/*/*/lock*")) and not list(here.glob("s/*/*/failed.json"))


def test_one_cell_that_is_told_to_stop_saves_and_asks_to_be_called_again(here: Path) -> None:
    assert call(waiting(1), "--commands") == 0
    alone = start("sweep", "s", "--cell", "pretrain/toy_waits-s0", folder=here)
    until(lambda: starts("pretrain/toy_waits-s0"))
    assert main(["sweep", "s", "--cell", "pretrain/toy_waits-s0"]) == 75, "another has it"
    alone.terminate()
    alone.communicate(timeout=300)
    assert alone.returncode == 75 and (here / "s/pretrain/toy_waits-s0/run/saved").exists()
    (here / "s" / "go").touch()
    assert main(["sweep", "s", "--cell", "pretrain/toy_waits-s0"]) == 0


def test_a_sweep_that_is_killed_leaves_no_process_and_its_cells_to_the_next(here: Path) -> None:
    path = write(Path("toy.toml"), waiting(2))
    sweep = start("sweep", path, "--dir", "s", "--workers", "2", folder=here)
    until(lambda: len(list(here.glob("s/*/*/run/starts"))) == 2)
    pids = children(sweep.pid)
    sweep.kill()
    until(lambda: not any(map(alive, pids)))
    sweep.communicate()
    assert len(list(here.glob("s/*/*/lock"))) == 2, "locks of the dead"
    (here / "s" / "go").touch()
    assert call(waiting(2)) == 0
    assert [content(f"pretrain/toy_waits-s{n}/done.json")["attempts"] for n in range(2)] == [2, 2]


def test_a_cell_that_is_killed_goes_on_at_once_but_not_for_ever(here: Path) -> None:
    path = write(Path("toy.toml"), waiting(1))
    sweep = start("sweep", path, "--dir", "s", folder=here)
    for attempt in range(3):
        until(lambda n=attempt: starts("pretrain/toy_waits-s0") == n + 1)
        os.kill(until(lambda: children(sweep.pid))[0], signal.SIGKILL)
    said = sweep.communicate(timeout=300)[0]
    assert sweep.returncode == 1 and "ended by SIGKILL 3 times" in said


def test_a_cell_of_another_machine_is_waited_for_and_taken_when_it_is_lost(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(None, "--only", "pretrain") == 0
    cell = Path("s/finetune/toy_point-skills-s0")
    cell.mkdir(parents=True)
    (cell / "lock").write_text(json.dumps({"token": "t", "host": "other"}))
    monkeypatch.setattr(lock, "STALE", 1.0)
    assert call(None, "--only", "finetune/*-skills-*") == 0
    assert not list(cell.glob("lock*"))


def test_ray_that_is_not_there(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    assert call(None, "--ray", "local") == 2
    assert "pip install 'choreo[ray]'" in capsys.readouterr().err


def changed(preset: str, group: str, **values: Any) -> dict[str, Any]:
    """A preset with other values in a group."""
    now = dict(PRESETS[preset])
    return {**now, group: {**now.get(group, {}), **values}}


def test_a_sweep_goes_on_with_what_its_presets_said_when_it_was_begun(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(None, "--only", "pretrain") == 0
    begun = content("sweep.json")["settings"]
    monkeypatch.setitem(PRESETS, "debug", changed("debug", "adaptation", clamp_stops=True))
    monkeypatch.setitem(PRESETS, "debug", changed("debug", "skills", codes=8))
    monkeypatch.setitem(PRESETS, "debug", changed("debug", "run", precision="bf16"))
    capsys.readouterr()
    assert call() == 0
    told = capsys.readouterr().err
    assert "adaptation.clamp_stops is True in the preset debug now" in told
    assert "skills.codes is 8 in the preset debug now; this sweep began with 4 and goes on" in told
    options = content("finetune/toy_point-scratch-s0/cell.json")["options"]
    assert options["adaptation.clamp-stops"] is False and options["precision"] == "fp32"
    assert "skills.codes" not in options, "taken over from the run it starts from"
    assert content("sweep.json")["settings"] == begun
    assert "precision" not in content("evaluate/toy_point-scratch-s0/cell.json")["options"]
    assert call() == 0 and starts("pretrain/toy_silent-s0") == 1


def pinned(asked: list[Cell], begun: dict[str, Any], command: str) -> dict[str, Any]:
    """What the first cell of a command is given."""
    before = {cell.name: cell.options for cell in asked}
    cell = next(cell for cell in with_settings(asked, begun)[0] if cell.command == command)
    return {k: v for k, v in cell.options.items() if k not in before[cell.name]}


def test_an_option_that_came_later_is_what_older_sweeps_did() -> None:
    asked = cells(preset="laptop")
    begun = preset_settings(asked)
    del begun["laptop"]["finetune"]["adaptation.clamp_stops"]
    assert pinned(asked, begun, "finetune") == {"adaptation.clamp-stops": False}
    own = [replace(c, options={**c.options, "adaptation.clamp-stops": True}) for c in asked]
    assert with_settings(own, begun) == (own, []), "what the spec says is left"
    assert with_settings(asked, preset_settings(cells())) == (asked, []), "a preset that is new"


def test_fine_tunings_are_given_what_they_do_not_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [replace(c, command="offline") if c.command == "pretrain" else c for c in cells()]
    asked = [
        replace(c, options={k: v for k, v in c.options.items() if k != "preset"}) for c in asked
    ]
    begun = preset_settings(asked)
    assert set(begun) == {"paper-offline"}, "which is the default of offline"
    now = changed("paper-offline", "training", batch=3, random_frames=7)
    monkeypatch.setitem(PRESETS, "paper-offline", now)
    assert pinned(asked, begun, "offline") == {"training.batch": 50}
    assert pinned(asked, begun, "finetune") == {"training.random-frames": 4000}
    own = [
        replace(c, options={**c.options, "preset": "paper-offline"})
        if c.command == "finetune"
        else c
        for c in asked
    ]
    expected = {"training.batch": 50, "training.random-frames": 4000}
    assert pinned(own, begun, "finetune") == expected, "a preset of its own comes after the source"


def test_what_a_later_call_brings_is_recorded_too(here: Path) -> None:
    data = table(tasks={"toy:silent": []})
    assert call(data) == 0
    assert set(content("sweep.json")["settings"]["debug"]) == {"pretrain"}
    assert call() == 0
    assert set(content("sweep.json")["settings"]["debug"]) == {"pretrain", "finetune"}


def test_a_sweep_from_before_is_gone_on_with_and_a_damaged_one_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(None, "--only", "pretrain") == 0
    now = content("sweep.json")
    for settings, code in ((None, 0), ([], 2), ({"debug": []}, 2), ({"debug": {"pretrain": 1}}, 2)):
        older = {k: v for k, v in now.items() if k != "settings"}
        older |= {} if settings is None else {"settings": settings}
        Path("s/sweep.json").write_text(json.dumps(older))
        assert call(None, "--only", "finetune") == code
        told = capsys.readouterr().err
        assert ("s was begun before sweeps recorded what presets say" in told) is (code == 0)
        if code:
            assert "sweep.json is damaged: settings" in told
        else:
            assert "settings" not in content("sweep.json")
