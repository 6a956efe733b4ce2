"""Whatever a writer writes, every reader reads back, and the import holds it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from toy_data import (
    Steps,
    episode_sets,
    write_hdf5,
    write_house_hdf5,
    write_lerobot,
    write_minari,
    write_npz,
)

from choreo.data import Reading, export_data, import_data, open_dataset, open_source, write_episode
from choreo.errors import UsageError

Write = Callable[[Path, Sequence[Steps]], Path]

WRITERS: dict[str, Write] = {
    "npz": write_npz,
    "urlb": lambda path, episodes: write_npz(path / "buffer", episodes, urlb=True),
    "hdf5 after": lambda path, episodes: write_hdf5(path / "a.hdf5", episodes, "after"),
    "hdf5 next": lambda path, episodes: write_hdf5(path / "a.h5", episodes, "next"),
    "hdf5 flat": lambda path, episodes: write_hdf5(path / "a.hdf5", episodes, "after", False),
    "hdf5 house": lambda path, episodes: write_house_hdf5(path / "a.hdf5", episodes),
    "minari hdf5": lambda path, episodes: write_minari(path / "m", episodes, "hdf5"),
    "minari arrow": lambda path, episodes: write_minari(path / "m", episodes, "arrow"),
}
slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def assert_same(found: Steps, wanted: Steps) -> None:
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype, name
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def joined(episodes: Sequence[Steps]) -> Steps:
    return {name: np.concatenate([e[name] for e in episodes]) for name in episodes[0]}


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=6, deadline=None, suppress_health_check=slow)
@given(both=episode_sets())
def test_every_format_is_read_imported_exported_and_read_again(
    tmp_path_factory: pytest.TempPathFactory, name: str, both: tuple[list[Steps], list[Steps]]
) -> None:
    raw, wanted = both
    folder = tmp_path_factory.mktemp("data")
    source = WRITERS[name](folder, raw)
    found = list(open_source(source).episodes())
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert_same(one.steps, other)
    import_data(source, folder / "imported")
    data = open_dataset(folder / "imported")
    start, stop = data.replay.bounds()
    assert_same(data.replay.read(0, int(start[0]), int(stop[0])), joined(wanted))
    assert set(data.spec.observations) == set(_seen(wanted[0]))
    for to in ("npz", "minari"):
        export_data(folder / "imported", folder / to, to)
        again = list(open_source(folder / to).episodes())
        for one, other in zip(again, wanted, strict=True):
            assert_same(one.steps, other)


@settings(max_examples=12, deadline=None, suppress_health_check=slow)
@given(both=episode_sets())
def test_without_a_last_observation_the_last_action_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, both: tuple[list[Steps], list[Steps]]
) -> None:
    raw, wanted = both
    raw, wanted = ([e for e in side if len(e["action"]) > 2] for side in (raw, wanted))
    folder = tmp_path_factory.mktemp("data")
    file = write_hdf5(folder / "a.hdf5", raw, "short")
    if not raw:
        with pytest.raises(UsageError, match="no group"):
            open_source(file)
        return
    for one, other in zip(open_source(file).episodes(), wanted, strict=True):
        shorter = {name: values[:-1] for name, values in other.items()}
        shorter["is_last"] = np.arange(len(shorter["is_first"])) == len(shorter["is_first"]) - 1
        assert_same(one.steps, shorter)
        assert any("that action is left out" in note for note in one.notes)


@settings(max_examples=8, deadline=None, suppress_health_check=slow)
@given(both=episode_sets())
def test_lerobot_sets_are_read(
    tmp_path_factory: pytest.TempPathFactory, both: tuple[list[Steps], list[Steps]]
) -> None:
    raw, wanted = both
    raw, wanted = ([e for e in side if len(e["action"]) > 2] for side in (raw, wanted))
    if not raw:
        return
    folder = write_lerobot(tmp_path_factory.mktemp("data") / "set", raw)
    for one, other in zip(open_source(folder).episodes(), wanted, strict=True):
        for name, values in other.items():
            key = f"images_{name}" if values.ndim == 4 else name
            if name not in ("is_last", "is_terminal"):
                np.testing.assert_array_equal(one.steps[key], values[:-1])


@settings(max_examples=12, deadline=None, suppress_health_check=slow)
@given(both=episode_sets())
def test_what_this_project_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, both: tuple[list[Steps], list[Steps]]
) -> None:
    folder = tmp_path_factory.mktemp("data")
    for index, steps in enumerate(both[1]):
        write_episode(folder, index, steps)
    for one, other in zip(open_source(folder, Reading()).episodes(), both[1], strict=True):
        assert_same(one.steps, other)


def _seen(steps: Steps) -> list[str]:
    return [n for n in steps if n not in ("action", "reward", "is_first", "is_last", "is_terminal")]
