"""What is particular to each format."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_data import SIZE, episode, write_hdf5, write_lerobot, write_minari, write_npz

from choreo.data import (
    ImportOptions,
    Reading,
    export_data,
    import_data,
    inspect_data,
    open_dataset,
    open_source,
    read_episodes,
    write_episode,
)
from choreo.data.exporter import To
from choreo.envs.spaces import ArraySpec, EnvSpec
from choreo.errors import UsageError
from choreo.record import checkpoint
from choreo.replay import Replay

SPEC = EnvSpec(
    id="toy:one",
    observations={"observation": ArraySpec((3,), "float32")},
    action_size=2,
    action_low=(-2.0, 0.0),
    action_high=(2.0, 4.0),
    action_repeat=2,
    episode_steps=None,
    coordinates=(),
    step_seconds=0.5,
)


def test_exorl_files_are_in_the_projects_timing_already(tmp_path: Path) -> None:
    steps = episode(4, physics=np.zeros((5, 9)), skill=np.zeros((5, 16), np.float32))
    steps["reward"][0] = 7  # what relabelling leaves at the reset
    found = next(iter(open_source(write_npz(tmp_path, [steps])).episodes()))
    assert found.observations == ("observation",)
    np.testing.assert_array_equal(found.steps["action"], steps["action"])
    assert found.steps["reward"].tolist() == [0, *steps["reward"][1:, 0].tolist()]
    assert found.notes == (
        "'physics' left out: the simulator's state",
        "'skill' left out: of the collector, not seen",
    )


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    write_npz(tmp_path / "b", [episode(1)])
    write_npz(tmp_path / "a", [episode(2), episode(3)], urlb=True)
    assert [len(e) for e in open_source(tmp_path).episodes()] == [2, 3, 1]
    assert open_source(tmp_path / "b" / "episode_000000_1.npz").expected_steps() == 2


def test_an_episode_that_terminated(tmp_path: Path) -> None:
    steps = episode(3)
    steps["discount"][-1] = 0
    (found,) = open_source(write_npz(tmp_path, [steps])).episodes()
    assert found.steps["is_terminal"].tolist() == [False, False, False, True]


def test_the_newest_frame_of_a_stack_is_taken_and_resized(tmp_path: Path) -> None:
    stack = np.arange(9, dtype=np.uint8)[None, :, None, None] * np.ones((6, 1, 84, 84), np.uint8)
    folder = write_npz(tmp_path / "data", [episode(5, observation=stack)])
    card = import_data(folder, tmp_path / "set", ImportOptions(image_size=64))
    data = open_dataset(tmp_path / "set")
    assert data.spec.observations["observation"] == ArraySpec((3, 64, 64), "uint8")
    assert data.spec.obs == "pixels"
    pixels = data.replay.read(0, 0, 6)["observation"]
    assert (pixels == np.arange(6, 9)[None, :, None, None]).all()
    assert any("stack of 3 frames" in note for note in card["notes"])
    assert any("from 84 x 84 to 64" in note for note in card["notes"])


def test_images_shrink_to_means_of_their_pixels(tmp_path: Path) -> None:
    image = np.zeros((6, 64, 64, 3), np.uint8)
    image[:, ::2, :, 1] = 200
    folder = write_npz(tmp_path, [episode(5, observation=image)])
    (found,) = open_source(folder, Reading(image_size=32)).episodes()
    assert (found.steps["observation"] == np.array([0, 100, 0])[None, :, None, None]).all()


def test_robomimics_ends_are_not_terminations(tmp_path: Path) -> None:
    steps = episode(4, grip=np.zeros((5, 1)))
    file = write_hdf5(tmp_path / "a.hdf5", [steps, episode(4, grip=np.ones((5, 1)))], "next")
    leave(file, "terminals")
    first, second = open_source(file).episodes()
    assert first.observations == ("grip", "observation")
    assert not first.steps["is_terminal"].any()
    assert "'dones' tells of an end, not of why" in first.notes
    assert second.steps["grip"].min() == 1


def leave(file: Path, *names: str, **others: np.ndarray) -> None:
    """Remove arrays of every episode and add others."""
    import h5py

    with h5py.File(file, "a") as opened:
        for group in opened["data"].values():  # pyright: ignore
            for name in names:
                del group[name]
            for name, values in others.items():
                group[name] = values


@pytest.mark.parametrize("name", ["timeouts", "truncations"])
@pytest.mark.parametrize("cut", [False, True])
def test_dones_beside_a_flag_of_cut_episodes_are_terminations(
    tmp_path: Path, name: str, cut: bool
) -> None:
    file = write_hdf5(tmp_path / "a.hdf5", [episode(4)], "after")
    leave(file, "terminals", **{name: np.arange(4) == (3 if cut else 4)})
    (found,) = open_source(file).episodes()
    assert found.steps["is_terminal"].tolist() == [False] * 4 + [not cut]
    assert not any("dones" in note for note in found.notes)


def test_terminals_come_before_dones(tmp_path: Path) -> None:
    file = write_hdf5(tmp_path / "a.hdf5", [episode(4)], "after")  # dones at the end, no terminal
    leave(file, timeouts=np.zeros(4, bool))
    (found,) = open_source(file).episodes()
    assert not found.steps["is_terminal"].any()


@pytest.mark.parametrize("back_end", ["hdf5", "arrow"])
def test_minaris_terminations_terminate_and_its_truncations_do_not(
    tmp_path: Path, back_end: str
) -> None:
    ended = episode(4)
    ended["discount"][-1] = 0
    folder = write_minari(tmp_path / "m", [ended, episode(4)], back_end)
    first, second = open_source(folder).episodes()
    assert first.steps["is_terminal"].tolist() == [False] * 4 + [True]
    assert not second.steps["is_terminal"].any() and second.steps["is_last"][-1]
    if back_end == "hdf5":  # the same file, read without Minari's library
        first, second = open_source(folder / "data" / "main_data.hdf5").episodes()
        assert first.steps["is_terminal"][-1] and not second.steps["is_terminal"].any()


def test_lerobots_dones_are_ends_of_any_kind(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    folder = write_lerobot(tmp_path / "l", [episode(4)])
    (file,) = folder.rglob("data/*/*.parquet")
    table = pq.read_table(file)
    pq.write_table(table.append_column("next.done", [[False] * 3 + [True]]), file)
    (found,) = open_source(folder).episodes()
    assert not found.steps["is_terminal"].any() and found.steps["is_last"][-1]


def test_groups_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    file = write_hdf5(tmp_path / "a.hdf5", [episode(n) for n in range(1, 13)], "after")
    assert [len(e) for e in open_source(file).episodes()] == list(range(1, 13))


def test_hdf5_attributes_tell_the_action_repeat(tmp_path: Path) -> None:
    import h5py

    file = write_hdf5(tmp_path / "a.hdf5", [episode()], "after")
    with h5py.File(file, "a") as opened:
        opened.attrs["action_repeat"] = 3
    assert import_data(file, tmp_path / "set")["spec"]["action_repeat"] == 3


def test_films_of_lerobot_sets(tmp_path: Path) -> None:
    shades = [np.arange(n + 1, dtype=np.uint8) * 20 + 30 * n for n in (3, 5)]
    episodes = [
        episode(len(s) - 1, top=np.broadcast_to(s[:, None, None, None], (len(s), 3, 48, 64)))
        for s in shades
    ]
    folder = write_lerobot(tmp_path / "data", episodes, film=True)
    source = open_source(folder, Reading(image_size=32))
    assert source.step_seconds() == 0.1
    for found, shade in zip(source.episodes(), shades, strict=True):
        image = found.steps["images_top"]
        assert image.shape == (len(shade) - 1, 3, 32, 32)
        assert np.abs(image.mean((1, 2, 3)) - shade[:-1]).max() < 3
    only = open_source(folder, Reading(("observation",)))
    assert next(iter(only.episodes())).observations == ("observation",)


@pytest.mark.filterwarnings("ignore:`eval_env` is set to None:UserWarning")
@pytest.mark.parametrize("back_end", ["hdf5", "arrow"])
def test_a_data_set_made_by_minari(
    tmp_path: Path, back_end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    import gymnasium
    import minari

    env = gymnasium.make("Pendulum-v1", max_episode_steps=7)
    env.action_space.seed(0)
    buffers = [pendulum_episode(env, seed) for seed in range(3)]
    made = minari.create_dataset_from_buffers(
        "pendulum/random-v0",
        buffers,
        env=env,
        algorithm_name="random",
        description="random actions",
        requirements=[],
        code_permalink="none",
        author="none",
        author_email="none",
        data_format=back_end,
    )
    env.close()
    folder = tmp_path / "pendulum" / "random-v0"
    found = inspect_data(folder)
    assert found["format"] == f"minari ({back_end})"
    assert found["episodes"] == made.total_episodes == 3 and found["steps"] == 21
    assert found["actions"]["bounds"] == ((-2.0,), (2.0,)) and found["terminated"] == 0
    card = import_data(folder, tmp_path / "set")
    assert card["spec"]["action_high"] == [2.0]
    assert card["spec"]["observations"] == {"observation": {"shape": [3], "dtype": "float32"}}
    first, wanted = open_dataset(tmp_path / "set").replay.read(0, 0, 8), buffers[0]
    np.testing.assert_allclose(first["reward"][1:], wanted.rewards, rtol=1e-6)
    np.testing.assert_allclose(first["action"][1:] * 2, wanted.actions, rtol=1e-6)
    np.testing.assert_array_equal(first["observation"], wanted.observations)


def pendulum_episode(env: Any, seed: int) -> Any:
    """Random actions to the time limit."""
    from minari.data_collector.episode_buffer import EpisodeBuffer

    observations = [env.reset(seed=seed)[0]]
    actions = [env.action_space.sample() for _ in range(7)]
    steps = [env.step(action) for action in actions]
    observations += [step[0] for step in steps]
    return EpisodeBuffer(
        observations=np.stack(observations),  # pyright: ignore[reportArgumentType]
        actions=np.stack(actions),  # pyright: ignore[reportArgumentType]
        rewards=[float(step[1]) for step in steps],
        terminations=[step[2] for step in steps],
        truncations=[step[3] for step in steps],
    )


def test_discrete_actions_of_minari_are_refused(tmp_path: Path) -> None:
    from gymnasium.spaces import Box, Discrete
    from minari.dataset.minari_storage import MinariStorage

    MinariStorage.new(tmp_path / "data", Box(-1, 1, (2,)), Discrete(3))
    with pytest.raises(UsageError, match="continuous values"):
        open_source(tmp_path)


def run_folder(folder: Path, lengths: list[int]) -> Path:
    """A run's replay of two streams, with the checkpoint that tells how far it goes."""
    keys = {"observation": ((3,), "float32"), "action": ((2,), "float32")}
    keys |= {"reward": ((), "float32")}
    keys |= dict.fromkeys(("is_first", "is_last", "is_terminal"), ((), "bool"))
    replay = Replay(folder / "replay", keys, 2, segment_steps=4)
    for stream in range(2):
        for number, length in enumerate(lengths):
            steps = episode(length, 10 * stream + number)
            index = np.arange(length + 1)
            flags = {"is_first": index == 0, "is_last": index == length}
            flags["is_terminal"] = flags["is_last"] & (number == 1)
            arrays = {k: steps[k] for k in ("observation", "action")}
            replay.extend(stream, {**arrays, "reward": steps["reward"][:, 0], **flags})
    state = {"agent": {"spec": SPEC.to_json()}, "replay": replay.state()}
    checkpoint.save(folder / "checkpoints", "frames_10", {}, state, keep=1)
    replay.extend(0, {name: values[:3] for name, values in replay.read(0, 0, 3).items()})
    return folder


def test_a_run_is_a_data_set(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [5, 2, 9])
    for path in (run, run / "replay"):
        found = list(open_source(path).episodes())
        assert [len(e) for e in found] == [5, 2, 9, 5, 2, 9], "nothing after the checkpoint"
        assert [bool(e.steps["is_terminal"][-1]) for e in found] == [False, True, False] * 2
        np.testing.assert_array_equal(found[4].steps["action"], episode(2, 11)["action"])
    card = import_data(run, tmp_path / "set")
    spec = open_dataset(tmp_path / "set").spec
    assert spec.action_low == (-2.0, 0.0) and spec.action_repeat == 2
    assert spec.step_seconds == 0.5 and card["source"]["environment"] == "toy:one"


@pytest.mark.parametrize("to", ["npz", "minari"])
def test_exports_keep_bounds_and_action_repeat(
    tmp_path: Path, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_folder(tmp_path / "run", [5, 2])
    monkeypatch.chdir(tmp_path)
    export_data(run, Path("out"), to)  # pyright: ignore[reportArgumentType]
    card = import_data(Path("out"), tmp_path / "set")
    assert card["spec"]["action_low"] == [-2, 0] and card["spec"]["action_repeat"] == 2
    wanted = episode(5, 0)["action"]
    found = open_dataset(tmp_path / "set").replay.read(0, 0, 6)["action"]
    np.testing.assert_allclose(found, wanted, atol=2e-7)


@pytest.mark.parametrize("to", ["npz", "minari"])
def test_an_export_is_there_whole_or_not_at_all(tmp_path: Path, to: To) -> None:
    run = run_folder(tmp_path / "run", [5, 2])

    def stop(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_data(run, tmp_path / "out", to, stop)
    assert not (tmp_path / "out").exists()
    export_data(run, tmp_path / "out", to)
    assert [len(e) for e in open_source(tmp_path / "out").episodes()] == [5, 2, 5, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


def test_minari_exports_have_actions_in_the_environments_units(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [5])
    export_data(run, tmp_path / "out", "minari")
    from minari import MinariDataset

    made = MinariDataset(tmp_path / "out" / "data")
    assert made.action_space.high.tolist() == [2, 4]  # pyright: ignore
    first = next(iter(made.iterate_episodes()))
    wanted = episode(5, 0)["action"][1:].astype(np.float64) * 2 + [0, 2]
    np.testing.assert_allclose(first.actions, wanted, atol=1e-6)
    assert first.truncations.tolist() == [False] * 4 + [True]


def test_exports_go_to_new_folders_from_this_projects_form(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", [5])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").touch()
    with pytest.raises(UsageError, match="there already"):
        export_data(run, tmp_path / "out", "npz")
    source = write_npz(tmp_path / "npz", [episode()])
    with pytest.raises(UsageError, match="Import it first"):
        export_data(source, tmp_path / "other", "npz")


def test_extras_are_exported_too(tmp_path: Path) -> None:
    physics = np.random.default_rng(0).normal(size=(6, 4))
    source = write_npz(tmp_path / "npz", [episode(5, physics=physics)])
    import_data(source, tmp_path / "set", ImportOptions(keep=("physics",)))
    export_data(tmp_path / "set", tmp_path / "out", "npz")
    with np.load(tmp_path / "out" / "episode_000000_5.npz") as found:
        np.testing.assert_array_equal(found["physics"], physics)
        assert found["discount"].tolist() == [1] * 6


def test_written_episodes_are_read_one_by_one(tmp_path: Path) -> None:
    steps = episode(3, is_terminal=np.arange(4) == 3)
    del steps["discount"]
    path = write_episode(tmp_path, 4, steps)
    assert path.name == "episode_000004_3.npz"
    (found,) = read_episodes(tmp_path)
    assert found["is_terminal"].tolist() == [False, False, False, True]
    assert found["observation"].dtype == np.float32


def test_an_inspection_tells_what_is_there_and_what_is_missing(tmp_path: Path) -> None:
    first, second = episode(4, 1), episode(6, 2)
    first["observation"][2, 1] = np.nan
    for steps in (first, second):
        del steps["reward"]
        steps["observation"] = steps["observation"].astype(np.float64)
    folder = write_npz(tmp_path, [first, second])
    found = inspect_data(folder)
    assert (found["episodes"], found["steps"], found["files"]) == (2, 10, 2)
    assert found["lengths"] == {"min": 4, "max": 6, "mean": 5}
    assert found["in_files"]["observation"] == "float64[3]"
    assert found["observations"] == {"observation": {"shape": [3], "dtype": "float32"}}
    assert found["ranges"]["observation"]["nan"] == pytest.approx(1 / 36)
    seen = np.concatenate([first["observation"], second["observation"]])
    ranges = found["ranges"]["observation"]
    assert ranges["max"] == pytest.approx(np.nanmax(seen))
    assert ranges["mean"] == pytest.approx(np.nanmean(seen))
    assert found["bytes"] == sum(f.stat().st_size for f in folder.iterdir())
    assert found["missing"] == [
        "no reward: zeros, 2 of 2 episodes",
        "no action repeat: taken as 1",
    ]
    assert found["bad"]["count"] == 1
    assert found["advice"][0] == "import with --skip-bad to leave the bad episodes out"
    assert found["advice"][1].startswith("only 10 steps: fewer than 4 batches")
    assert found["actions"]["bounds"] == ((-1, -1), (1, 1))
    assert found["actions"]["recorded_low"] == pytest.approx(
        np.minimum(first["action"][1:].min(0), second["action"][1:].min(0))
    )


def test_nothing_grows_with_the_number_of_episodes(tmp_path: Path) -> None:
    """What an import remembers between episodes has the same size after 3 and after 30."""
    sizes = []
    for count in (3, 30):
        folder = write_npz(tmp_path / f"{count}", [episode(3) for _ in range(count)])
        import_data(folder, tmp_path / f"set{count}")
        sizes.append(len((tmp_path / f"set{count}" / "card.json").read_bytes()))
    assert abs(sizes[1] - sizes[0]) < 100


def test_images_of_both_orders_and_states_make_both(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3)).astype(np.uint8)
    steps = episode(5, last=pictures, first=pictures.transpose(0, 3, 1, 2))
    import_data(write_npz(tmp_path / "npz", [steps]), tmp_path / "set")
    data = open_dataset(tmp_path / "set")
    assert data.spec.obs == "both" and data.spec.image_size == SIZE
    found = data.replay.read(0, 0, 6)
    np.testing.assert_array_equal(found["last"], found["first"])
    np.testing.assert_array_equal(found["first"], steps["first"])
