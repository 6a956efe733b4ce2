"""Whatever a writer writes, every reader reads back, and the import holds it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import hypothesis.strategies as st
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

from choreo.data import (
    ImportOptions,
    Reading,
    export_data,
    import_data,
    open_dataset,
    open_source,
    write_episode,
)
from choreo.envs.spaces import ArraySpec, EnvSpec
from choreo.errors import UsageError
from choreo.record import checkpoint
from choreo.replay import Replay

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
        shorter = {f"images_{n}" if v.ndim == 4 else n: v[:-1] for n, v in other.items()}
        shorter["is_last"] = np.arange(len(one) + 1) == len(one)
        shorter["is_terminal"] = np.zeros(len(one) + 1, bool)
        assert_same(one.steps, shorter)
    import_data(folder, folder / "imported")
    data = open_dataset(folder / "imported")
    rows = int(data.replay.bounds()[1][0])
    images = {f"images_{n}" for n, v in wanted[0].items() if v.ndim == 4}
    assert images <= data.replay.keys.keys()
    found = data.replay.read(0, 0, rows)
    np.testing.assert_array_equal(
        found["state"], np.concatenate([e["state"][:-1] for e in wanted], dtype=np.float32)
    )


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


@settings(max_examples=12, deadline=None, suppress_health_check=slow)
@given(both=episode_sets(), streams=st.integers(1, 3), segment=st.integers(1, 9))
def test_a_runs_replay_is_read_stream_by_stream(
    tmp_path_factory: pytest.TempPathFactory,
    both: tuple[list[Steps], list[Steps]],
    streams: int,
    segment: int,
) -> None:
    episodes, run = both[1], tmp_path_factory.mktemp("run")
    keys = {name: (v.shape[1:], str(v.dtype)) for name, v in episodes[0].items()}
    replay = Replay(run / "replay", keys, streams, segment_steps=segment)
    for number, steps in enumerate(episodes):
        replay.extend(number % streams, steps)
    save_run(run, replay, episodes[0])
    order = [e for s in range(streams) for e in episodes[s::streams]]
    for one, other in zip(open_source(run).episodes(), order, strict=True):
        assert_same(one.steps, other)
    for to in ("npz", "minari"):
        export_data(run, run / to, to)
        for one, other in zip(open_source(run / to).episodes(), order, strict=True):
            assert_same(one.steps, other)


def save_run(run: Path, replay: Replay, steps: Steps) -> None:
    """The checkpoint that tells what a replay is of and how far it goes."""
    size = steps["action"].shape[1]
    spec = EnvSpec(
        id="toy:one",
        observations={n: ArraySpec(steps[n].shape[1:], str(steps[n].dtype)) for n in _seen(steps)},
        action_size=size,
        action_low=(-1.0,) * size,
        action_high=(1.0,) * size,
        action_repeat=1,
        episode_steps=None,
        coordinates=(),
        step_seconds=None,
    )
    state = {"agent": {"spec": spec.to_json()}, "replay": replay.state()}
    checkpoint.save(run / "checkpoints", "frames_1", {}, state, keep=1)


@settings(max_examples=12, deadline=None, suppress_health_check=slow)
@given(
    both=episode_sets(),
    kind=st.sampled_from(["float64", "float32", "int64", "bool", "uint8"]),
    shape=st.lists(st.integers(1, 3), max_size=2),
)
def test_what_is_kept_beside_the_observations_stays_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    both: tuple[list[Steps], list[Steps]],
    kind: str,
    shape: list[int],
) -> None:
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    extras = [rng.integers(0, 2, (len(e["action"]), *shape)).astype(kind) for e in both[0]]
    raw = [e | {"physics": extra} for e, extra in zip(both[0], extras, strict=True)]
    import_data(write_npz(folder / "npz", raw), folder / "set", ImportOptions(keep=("physics",)))
    export_data(folder / "set", folder / "out", "npz")
    again = open_source(folder / "out", Reading(keep=("physics",))).episodes()
    for one, other, extra in zip(again, both[1], extras, strict=True):
        assert_same(one.steps, other | {"physics": extra})


def _seen(steps: Steps) -> list[str]:
    return [n for n in steps if n not in ("action", "reward", "is_first", "is_last", "is_terminal")]
