"""The import: the same result however often it was stopped, scaled actions, hashes, memory."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_data import episode, write_npz

from choreo.data import BadEpisode, ImportOptions, import_data, inspect_data, open_dataset
from choreo.data.finishing import verify
from choreo.envs.spaces import ArraySpec
from choreo.errors import StorageError, UsageError
from choreo.replay import SequenceSampler


class Killed(BaseException):
    """Stands for the end of the process."""


def content(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Twelve episodes, two of them bad, actions up to 3."""
    episodes = [episode(4 + n, n) for n in range(12)]
    for steps in episodes:
        steps["action"] *= 3
    episodes[3]["reward"][2] = np.nan
    episodes[7]["observation"] = episodes[7]["observation"][:-1]
    return write_npz(tmp_path / "source", episodes)


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several files and several points to go on from, of little data."""
    monkeypatch.setattr("choreo.data.importer.LEAST_SEGMENT", 512)
    monkeypatch.setattr("choreo.data.importer.COMMIT_BYTES", 300)


SKIP = ImportOptions(skip_bad=True)


def stopped(source: Path, folder: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that dies without a farewell after some episodes."""

    def report(done: int, _: int) -> None:
        if done == after:
            patch.setattr("choreo.data.importer._Import.commit", lambda _: None)
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        import_data(source, folder, SKIP, report)


@pytest.mark.parametrize("stops", [[1], [2, 3], [5, 9, 12], list(range(1, 13))])
def test_a_stopped_import_gives_the_same_bytes(
    source: Path, tmp_path: Path, stops: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = import_data(source, tmp_path / "whole", SKIP)
    for after in stops:
        stopped(source, tmp_path / "parts", after, monkeypatch)
    assert not (tmp_path / "parts" / "card.json").exists()
    card = import_data(source, tmp_path / "parts", SKIP)
    assert card == whole
    assert card["skipped"]["count"] == 2 and card["episodes"] == 10
    assert content(tmp_path / "parts") == content(tmp_path / "whole")
    assert len(card["files"]) > 2


@pytest.mark.parametrize("call", range(8))
def test_an_import_stopped_while_it_scales_gives_the_same_bytes(
    source: Path, tmp_path: Path, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = import_data(source, tmp_path / "whole", SKIP)
    calls = iter(range(call + 1))

    def die(path: Path) -> None:
        if next(calls) == call:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("choreo.data.finishing.sync", die)
        import_data(source, tmp_path / "parts", SKIP)
    assert import_data(source, tmp_path / "parts", SKIP) == whole
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_a_killed_process_is_gone_on_with(source: Path, tmp_path: Path) -> None:
    whole = import_data(source, tmp_path / "whole", SKIP)
    code = (
        "import os, signal, sys; from pathlib import Path; import choreo.data.importer as i\n"
        "i.LEAST_SEGMENT, i.COMMIT_BYTES = 512, 300\n"
        "kill = lambda done, total: done == 8 and os.kill(os.getpid(), signal.SIGKILL)\n"
        f"i.import_data(Path({str(source)!r}), Path(sys.argv[1]),"
        " i.ImportOptions(skip_bad=True), kill)"
    )
    parts = tmp_path / "parts"
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code, str(parts)], check=False, cwd=root)
    assert run.returncode == -signal.SIGKILL
    assert 0 < json.loads((parts / "import.json").read_text())["next"] < 12
    assert import_data(source, parts, SKIP) == whole
    assert content(parts) == content(tmp_path / "whole")


def test_an_import_that_met_a_bad_episode_goes_on_when_told_to_skip(
    source: Path, tmp_path: Path
) -> None:
    whole = import_data(source, tmp_path / "whole", SKIP)
    with pytest.raises(BadEpisode, match="NaN"):
        import_data(source, tmp_path / "other")
    assert import_data(source, tmp_path / "other", SKIP) == whole
    assert content(tmp_path / "other") == content(tmp_path / "whole")


def test_a_finished_import_is_not_done_again(source: Path, tmp_path: Path) -> None:
    card = import_data(source, tmp_path / "set", SKIP)
    before = content(tmp_path / "set")
    assert import_data(source, tmp_path / "set", SKIP) == card
    assert content(tmp_path / "set") == before


@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_of_other_data_is_refused(
    source: Path, tmp_path: Path, finished: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if finished:
        import_data(source, tmp_path / "set", SKIP)
    else:
        stopped(source, tmp_path / "set", 5, monkeypatch)
    other = write_npz(tmp_path / "other", [episode()])
    with pytest.raises(UsageError, match="Give a new folder"):
        import_data(other, tmp_path / "set")
    with pytest.raises(UsageError, match="Give a new folder"):
        import_data(source, tmp_path / "set", ImportOptions(skip_bad=True, action_repeat=2))


def test_a_folder_with_something_else_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        import_data(source, tmp_path / "set", SKIP)
    assert list(content(tmp_path / "set")) == ["notes.txt"]


def test_what_an_import_killed_at_its_start_left_is_removed(source: Path, tmp_path: Path) -> None:
    whole = import_data(source, tmp_path / "whole", SKIP)
    other = write_npz(tmp_path / "other", [episode(9, state=np.zeros((10, 7)))])
    import_data(other, tmp_path / "parts")
    (tmp_path / "parts" / "replay").rename(tmp_path / "parts" / "partial")
    (tmp_path / "parts" / "card.json").rename(tmp_path / "parts" / ".import.json.tmp")
    assert import_data(source, tmp_path / "parts", SKIP) == whole
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_actions_are_scaled_by_their_extremes(tmp_path: Path) -> None:
    first, second = episode(3), episode(3)
    first["action"][1:] = [[0, 5], [2, 5], [4, 5]]
    second["action"][1:] = [[1, 5], [1, 5], [3, 5]]
    card = import_data(write_npz(tmp_path / "a", [first, second]), tmp_path / "set")
    data = open_dataset(tmp_path / "set")
    assert data.spec.action_low == (0.0, 4.0) and data.spec.action_high == (4.0, 6.0)
    found = data.replay.read(0, 0, 8)["action"]
    assert found[:, 0].tolist() == [0, -1, 0, 1, 0, -0.5, -0.5, 0.5]
    assert found[:, 1].tolist() == [0] * 8
    assert card["actions"]["recorded_high"] == [4, 5]
    assert "extremes" in card["actions"]["origin"]


def test_actions_within_one_by_rounding_are_cut_off(tmp_path: Path) -> None:
    steps = episode(3)
    steps["action"][1] = [1 + 5e-7, -1 - 5e-7]
    import_data(write_npz(tmp_path / "a", [steps]), tmp_path / "set")
    data = open_dataset(tmp_path / "set")
    assert data.spec.action_high == (1.0, 1.0)
    assert data.replay.read(0, 1, 2)["action"].tolist() == [[1, -1]]


def spec_file(folder: Path, **told: Any) -> Path:
    file = folder / "spec.json"
    file.write_text(json.dumps(told))
    return file


def test_declared_bounds_scale_the_actions(tmp_path: Path) -> None:
    steps = episode(3)
    steps["action"][1:] = [[0, -2], [2, 0], [4, 1]]
    source = write_npz(tmp_path / "a", [steps])
    told = spec_file(tmp_path, action_low=[0, -2], action_high=[4, 2], cameras=["side"])
    import_data(source, tmp_path / "set", ImportOptions(spec=told, action_repeat=2))
    spec = open_dataset(tmp_path / "set").spec
    assert spec.action_low == (0, -2) and spec.action_repeat == 2 and spec.cameras == ("side",)
    found = open_dataset(tmp_path / "set").replay.read(0, 0, 4)["action"]
    assert found.tolist() == [[0, 0], [-1, -1], [0, 0], [1, 0.5]]


def test_a_spec_file_chooses_the_observations(tmp_path: Path) -> None:
    source = write_npz(tmp_path / "a", [episode(3, other=np.zeros((4, 2), np.float32))])
    wanted = {"observation": {"shape": [3], "dtype": "float32"}}
    told = spec_file(tmp_path, observations=wanted)
    import_data(source, tmp_path / "set", ImportOptions(spec=told))
    data = open_dataset(tmp_path / "set")
    assert data.spec.observations == {"observation": ArraySpec((3,), "float32")}
    assert "other" not in data.replay.keys
    wanted["observation"]["shape"] = [4]
    told = spec_file(tmp_path, observations=wanted)
    with pytest.raises(UsageError, match="declares the observations"):
        import_data(source, tmp_path / "set2", ImportOptions(spec=told))


@pytest.mark.parametrize(
    "told",
    [
        "[",
        "3",
        '{"action_low": [0]}',
        '{"action_low": [1], "action_high": [0]}',
        '{"action_low": [-1, -1], "action_high": [1, NaN]}',
        '{"action_low": ["a", "b"], "action_high": ["c", "d"]}',
        '{"action_low": -1, "action_high": 1}',
        '{"action_hi": [1, 1]}',
        '{"action_repeat": 0}',
        '{"action_repeat": "2"}',
        '{"episode_steps": 2.5}',
        '{"step_seconds": -1}',
        '{"cameras": "side"}',
        '{"observations": 3}',
        '{"observations": {"observation": {"shape": 3, "dtype": "float32"}}}',
        '{"observations": {"observation": {"shape": [3], "dtype": "float64"}}}',
    ],
)
def test_a_spec_file_that_does_not_fit_together_is_refused(tmp_path: Path, told: str) -> None:
    file = tmp_path / "spec.json"
    file.write_text(told)
    source = write_npz(tmp_path / "a", [episode()])
    with pytest.raises(UsageError, match=r"spec\.json"):
        import_data(source, tmp_path / "set", ImportOptions(spec=file))


def test_extras_are_kept_beside_the_observations(tmp_path: Path) -> None:
    physics = np.arange(12.0).reshape(4, 3)
    source = write_npz(tmp_path / "a", [episode(3, physics=physics)])
    import_data(source, tmp_path / "without")
    assert "physics" not in open_dataset(tmp_path / "without").replay.keys
    import_data(source, tmp_path / "with", ImportOptions(keep=("physics",)))
    data = open_dataset(tmp_path / "with")
    assert set(data.spec.observations) == {"observation"}
    np.testing.assert_array_equal(data.replay.read(0, 0, 4)["physics"], physics)


def test_the_card_tells_where_the_data_are_from(source: Path, tmp_path: Path) -> None:
    card = import_data(source, tmp_path / "set", SKIP)
    assert card["source"]["path"] == str(source) and card["source"]["format"] == "npz"
    assert card["source"]["episodes"] == card["source"]["files"] == 12
    assert card["spec"]["id"] == "data:source" and not card["action_repeat_known"]
    assert card["versions"]["numpy"] == np.__version__
    assert len(card["sha256"]) == len(card["source"]["files_sha256"]) == 64
    assert card["steps"] == sum(4 + n for n in range(12) if n not in (3, 7))
    assert card["lengths"]["max"] == card["spec"]["episode_steps"] == 15


def test_a_changed_or_missing_file_is_found(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    card = import_data(source, folder, SKIP)
    assert verify(folder, card) == []
    file, other, *_ = sorted(folder.rglob("*.steps"))
    data = bytearray(file.read_bytes())
    data[9] ^= 1
    file.write_bytes(data)
    other.unlink()
    found = verify(folder, card)
    assert len(found) == 2 and file.name in found[0] and "missing" in found[1]


def test_changes_are_told_by_an_inspection(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    import_data(source, folder, SKIP)
    assert inspect_data(folder, check_hashes=True)["changed"] == []
    header = folder / "replay" / "replay.json"
    header.write_text(header.read_text() + " ")
    assert "replay.json has changed" in inspect_data(folder, check_hashes=True)["changed"][0]
    with pytest.raises(UsageError, match="no hashes"):
        inspect_data(source, check_hashes=True)


def test_a_data_set_is_sampled_and_not_changed(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choreo data import"):
        open_dataset(source)
    data = open_dataset(source, skip_bad=True, cache=tmp_path / "run" / "data")
    again = open_dataset(source, skip_bad=True, cache=tmp_path / "run" / "data")
    assert data.card == again.card
    sampler = SequenceSampler(data.replay, 4, 7, np.random.default_rng(0))
    batch = sampler.sample()
    assert batch["observation"].shape == (4, 7, 3)
    assert np.abs(batch["action"]).max() <= 1
    with pytest.raises(UsageError, match="opened to be read"):
        data.replay.extend(0, {name: values[0] for name, values in batch.items()})


def test_a_full_disk_is_told_and_the_import_goes_on_later(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = import_data(source, tmp_path / "whole", SKIP)
    real, calls = os.pwrite, iter(range(100))

    def full(*arguments: Any) -> int:
        if next(calls) == 6:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    with monkeypatch.context() as patch, pytest.raises(StorageError, match="No space left"):
        patch.setattr("os.pwrite", full)
        import_data(source, tmp_path / "parts", SKIP)
    assert import_data(source, tmp_path / "parts", SKIP) == whole
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_reading_data_needs_no_torch() -> None:
    code = "import sys, choreo.data; print('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert run.stdout.strip() == "False"


def test_two_imports_into_one_folder(source: Path, tmp_path: Path) -> None:
    """The second is refused while the first lasts; nothing of the lock stays behind."""
    folder, told = tmp_path / "set", []

    def second(done: int, _: int) -> None:
        if done == 5:
            with pytest.raises(UsageError, match=r"Another process is writing into .*set") as error:
                import_data(source, folder, SKIP)
            told.append(error)

    card = import_data(source, folder, SKIP, second)
    assert told and card == import_data(source, folder, SKIP)
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "replay"]


def test_a_file_is_no_folder_for_an_import(source: Path, tmp_path: Path) -> None:
    (tmp_path / "set").touch()
    with pytest.raises(UsageError, match="is a file"):
        import_data(source, tmp_path / "set", SKIP)


def test_a_folder_that_cannot_be_made_is_not_a_full_disk(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Give a folder that can be written to"):
        import_data(source, tmp_path / "file" / "set", SKIP)


def test_an_import_that_is_whole_needs_its_source_no_more(source: Path, tmp_path: Path) -> None:
    cache = tmp_path / "run" / "data"
    card = open_dataset(source, skip_bad=True, cache=cache).card
    source.rename(tmp_path / "elsewhere")
    assert open_dataset(source, cache=cache).card == card
    with pytest.raises(UsageError, match="does not exist"):
        open_dataset(tmp_path / "nowhere", cache=cache)
