"""Forms that others write: what they hold is read, divided or left out with a reason."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_data import episode, write_hdf5, write_lerobot, write_minari, write_npz

from choreo.cli import main
from choreo.data import (
    BadEpisode,
    ImportOptions,
    Reading,
    export_data,
    import_data,
    inspect_data,
    open_dataset,
    open_source,
)
from choreo.data.exporter import To, nested
from choreo.data.reading import parse_map
from choreo.errors import ChoreoError, UsageError

RNG = np.random.default_rng(0)


def hdf5(folder: Path, arrays: dict[str, np.ndarray], group: str = "data/demo_0") -> Path:
    """A file with these arrays in one group, as they are."""
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "a.hdf5", "w") as file:
        for name, values in arrays.items():
            file[f"{group}/{name}"] = values
    return folder


def floats(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape).astype(np.float32)


STREAM = {"observation": floats(96, 3), "action": floats(96, 2), "reward": np.ones(96, np.float32)}
FIRST = np.isin(np.arange(96), [0, 21, 56, 81])


def chunks(folder: Path) -> Path:
    """Three chunks of 32 rows of one stream, whose episodes begin in rows 0, 21, 56 and 81."""
    folder.mkdir()
    arrays: dict[str, np.ndarray] = {**STREAM, "is_first": FIRST}
    for n in range(3):
        cut: dict[str, Any] = {k: v[32 * n : 32 * n + 32] for k, v in arrays.items()}
        np.savez(folder / f"chunk-{n}-32.npz", **cut)
    return folder


def test_an_episode_that_begins_inside_a_chunk_divides_it(tmp_path: Path) -> None:
    episodes = list(open_source(chunks(tmp_path / "d")).episodes())
    assert [len(e) + 1 for e in episodes] == [21, 11, 24, 8, 17, 15]
    rows = np.concatenate([e.steps["observation"] for e in episodes])
    np.testing.assert_array_equal(rows, STREAM["observation"])
    inside = [any("begins inside" in note for note in e.notes) for e in episodes]
    assert inside == [False, False, True, False, True, False]
    card = import_data(tmp_path / "d", tmp_path / "set")
    assert (card["episodes"], card["steps"]) == (6, 90)


def test_a_bad_piece_of_a_chunk_is_skipped_with_all_of_it(tmp_path: Path) -> None:
    folder = chunks(tmp_path / "d")
    with np.load(folder / "chunk-1-32.npz") as file:
        arrays: dict[str, Any] = dict(file)
    arrays["observation"][30] = np.nan
    np.savez(folder / "chunk-1-32.npz", **arrays)
    with pytest.raises(BadEpisode, match=r"chunk-1-32\.npz, rows 24 to 32: 'observation' is NaN"):
        import_data(folder, tmp_path / "set")
    card = import_data(folder, tmp_path / "set", ImportOptions(skip_bad=True))
    assert (card["episodes"], card["skipped"]["count"]) == (4, 1)


def d4rl(folder: Path, following: bool) -> Path:
    """Twelve rows of three episodes: one terminates in row 4, one is cut in row 8."""
    arrays = {
        "observations": floats(12, 3),
        "actions": floats(12, 2),
        "rewards": np.arange(12, dtype=np.float32),
        "terminals": np.arange(12) == 4,
        "timeouts": np.arange(12) == 8,
        "infos/qpos": floats(12, 9),
    }
    if following:
        arrays["next_observations"] = arrays["observations"] + 1
    return hdf5(folder, arrays, "")


@pytest.mark.parametrize("following", [False, True])
def test_d4rls_flat_file_is_divided_where_episodes_end(tmp_path: Path, following: bool) -> None:
    episodes = list(open_source(d4rl(tmp_path / "d", following)).episodes())
    assert [len(e) for e in episodes] == ([5, 4, 3] if following else [4, 3, 2])
    assert [bool(e.steps["is_terminal"].any()) for e in episodes] == [following, False, False]
    assert all(e.observations == ("observation",) for e in episodes)
    assert episodes[1].steps["reward"].tolist()[1:4] == [5, 6, 7]
    assert "a.hdf5, rows 5 to 9" in episodes[1].origin


def test_a_cut_inside_a_group_divides_it(tmp_path: Path) -> None:
    arrays = {"obs/x": floats(8, 2), "actions": floats(8, 2), "timeouts": np.arange(8) == 3}
    episodes = list(open_source(hdf5(tmp_path / "d", arrays)).episodes())
    assert [len(e) for e in episodes] == [3, 3]


def test_one_episode_at_the_root_of_a_file_with_nested_pictures(tmp_path: Path) -> None:
    arrays = {
        "action": floats(9, 14),
        "observations/qpos": floats(9, 14),
        "observations/images/top": np.zeros((9, 64, 64, 3), np.uint8),
    }
    (found,) = open_source(hdf5(tmp_path / "d", arrays, "")).episodes()
    assert set(found.observations) == {"qpos", "images/top"} and len(found) == 8


COMMAND = floats(9, 2)
LEFT: dict[str, tuple[dict[str, np.ndarray], dict[str, str]]] = {
    "a form of the actions": (
        {"actions": floats(9, 7), "actions_abs": floats(9, 7), "states": floats(9, 32)},
        {"actions_abs": "a form of the actions"},
    ),
    "a copy": (
        {"actions": COMMAND, "command": COMMAND, "states": floats(9, 3)},
        {"command": "holds the actions once more"},
    ),
    "text": (
        {"actions": floats(9, 2), "obs/state": floats(9, 4), "obs/language": np.array([b"a"] * 9)},
        {"language": "holds object, not numbers"},
    ),
    "beside": (
        {"actions": floats(9, 2), "obs/x": floats(9, 4), "states": floats(9, 40)},
        {"states": "stands beside the observations"},
    ),
    "counters": (
        {"actions": floats(9, 2), "x": floats(9, 4), "timestep": np.arange(9.0)},
        {"timestep": "numbers the steps"},
    ),
}


@pytest.mark.parametrize("case", LEFT)
def test_what_is_no_observation_is_left_out_with_a_reason(tmp_path: Path, case: str) -> None:
    arrays, wanted = LEFT[case]
    folder = hdf5(tmp_path / "d", arrays)
    found = inspect_data(folder)
    (name, reason), *_ = wanted.items()
    assert name not in found["observations"] and found["bad"]["count"] == 0
    assert found["left_out"].keys() == wanted.keys()
    assert found["left_out"][name].startswith(reason.split(" object")[0])
    if case != "text":
        assert list(inspect_data(folder, Reading((name,)))["observations"]) == [name]


def test_copies_are_decided_by_the_first_episode_also_by_an_import_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    episodes = [episode(4, seed) for seed in range(3)]
    for n, steps in enumerate(episodes):
        steps["twin"] = steps["action"] if n != 1 else steps["action"] + 1
    episodes[1]["observation"] = episodes[1]["observation"] * np.nan
    folder = write_npz(tmp_path / "d", episodes)
    with pytest.raises(BadEpisode, match="NaN"):
        import_data(folder, tmp_path / "set")
    card = import_data(folder, tmp_path / "set", ImportOptions(skip_bad=True))
    assert list(card["spec"]["observations"]) == ["observation"] and card["episodes"] == 2


def lerobot(folder: Path, **renamed: str) -> Path:
    """A set whose features have other names."""
    write_lerobot(folder, [episode(5)])
    import pyarrow.parquet as pq

    (file,) = (folder / "data").rglob("*.parquet")
    table = pq.read_table(file)
    text = (folder / "meta/info.json").read_text()
    for name, other in renamed.items():
        own = name.replace("__", ".")
        table = table.rename_columns([other if c == own else c for c in table.column_names])
        text = text.replace(f'"{own}"', f'"{other}"')
    pq.write_table(table, file)
    (folder / "meta/info.json").write_text(text)
    return folder


def test_lerobot_features_of_other_names(tmp_path: Path) -> None:
    plural = lerobot(tmp_path / "a", action="actions", observation__observation="state")
    (found,) = open_source(plural).episodes()
    assert found.observations == ("state",) and len(found) == 4
    odd = lerobot(tmp_path / "b", action="command", observation__observation="state")
    with pytest.raises(UsageError, match=r"info\.json: it names no .*command.*--map action=comm"):
        open_source(odd)
    named = Reading(named=parse_map(["action=command", "x=state"]))
    (found,) = open_source(odd, named).episodes()
    assert found.observations == ("x",)


def pictured(folder: Path, values: np.ndarray) -> Path:
    """A LeRobot set whose pictures are these, and a state beside them."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    write_lerobot(folder, [episode(5)])
    (file,) = (folder / "data").rglob("*.parquet")
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    cells = pa.array([{"bytes": stream.getvalue()}] * 5)
    pq.write_table(pq.read_table(file).append_column("observation.images.top", cells), file)
    info = json.loads((folder / "meta/info.json").read_text())
    info["features"]["observation.images.top"] = {"dtype": "image"}
    (folder / "meta/info.json").write_text(json.dumps(info))
    return folder


def test_lerobot_pictures_of_one_channel_and_of_16_bits(tmp_path: Path) -> None:
    grey = pictured(tmp_path / "grey", np.full((32, 32), 7, np.uint8))
    (found,) = open_source(grey).episodes()
    assert found.steps["images_top"].shape == (5, 1, 32, 32)
    deep = pictured(tmp_path / "deep", np.full((32, 32), 700, np.uint16))
    words = r"'images_top' have 16 bits per pixel.*Leave it out with --keys observation"
    with pytest.raises(BadEpisode, match=words):
        list(open_source(deep).episodes())
    assert len(list(open_source(deep, Reading(("observation",))).episodes())) == 1


def test_whole_numbers_are_pixels_where_their_values_are(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (6, 32, 32, 3))
    folder = write_npz(tmp_path / "d", [episode(5, top=values)])
    (found,) = open_source(folder).episodes()
    np.testing.assert_array_equal(found.steps["top"], values.transpose(0, 3, 1, 2))
    assert found.steps["top"].dtype == np.uint8


@pytest.mark.parametrize("back_end", ["hdf5", "arrow"])
def test_minaris_nested_spaces_become_the_keys_that_environments_have(
    tmp_path: Path, back_end: str
) -> None:
    from gymnasium import spaces
    from minari.data_collector.episode_buffer import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    from choreo.envs.flatten import leaves

    box = spaces.Box(-10, 10, (2,), np.float64)
    space = spaces.Dict(
        goal=spaces.Dict({"kettle": box, "top.left": box}),
        pair=spaces.Tuple((spaces.Discrete(3), spaces.Box(-9, 9, (2, 2), np.float32))),
        mission=spaces.Text(20),
        picture=spaces.Box(0, 255, (32, 32, 3), np.uint8),
    )
    (tmp_path / "m").mkdir()
    made = MinariStorage.new(
        tmp_path / "m/data", space, spaces.Box(-1, 1, (2,)), data_format=back_end
    )
    made.update_metadata({"dataset_id": "toy/nest-v0", "minari_version": "0.5.4"})
    choices = np.array([0, 2, 1, 1, 0])
    seen = {
        "goal": {"kettle": RNG.normal(size=(5, 2)), "top.left": RNG.normal(size=(5, 2))},
        "pair": (choices, floats(5, 2, 2)),
        "mission": ["pick it up"] * 5,
        "picture": np.full((5, 32, 32, 3), 60, np.uint8),
    }
    ended = np.arange(4) == 3
    buffer: dict[str, Any] = {
        "observations": seen, "actions": floats(4, 2), "rewards": np.zeros(4),
        "terminations": ended & False, "truncations": ended,
    }  # fmt: skip
    made.update_episodes([EpisodeBuffer(**buffer)])
    (found,) = open_source(tmp_path / "m").episodes()
    assert set(found.observations) == set(leaves(space, dot=".")[0])
    assert "goal/top.left" in found.observations
    assert found.steps["pair/0"].tolist() == np.eye(3)[choices].tolist()
    np.testing.assert_array_equal(found.steps["pair/1"], seen["pair"][1].reshape(5, 4))
    assert np.abs(found.steps["picture"].astype(int) - 60).max() < 3
    assert "'mission' left out: it holds text" in inspect_data(tmp_path / "m")["notes"]


def beyond(folder: Path) -> tuple[Path, Path]:
    """Actions up to 3 and an environment that takes -1 to 1."""
    steps = episode(5)
    steps["action"] = np.array([[0, 0], [3, 0.5], [-1.5, 1], [0, 0], [1, -1], [0.3, 0]], np.float32)
    spec = folder / "spec.json"
    write_npz(folder / "d", [steps])
    spec.write_text('{"action_low": [-1, -1], "action_high": [1, 1]}')
    return folder / "d", spec


@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        ("clip", [[1, 0.5], [-1, 1], [0, 0], [1, -1], [0.3, 0]]),
        ("rescale", [[1, 0.5], [-0.5, 1], [0, 0], [1 / 3, -1], [0.1, 0]]),
    ],
)
def test_actions_beyond_the_bounds_are_cut_off_or_made_smaller(
    tmp_path: Path, option: str, wanted: list[list[float]]
) -> None:
    source, spec = beyond(tmp_path)
    with pytest.raises(BadEpisode, match=r"--clip`.*--rescale.*--spec"):
        import_data(source, tmp_path / "set", ImportOptions(spec=spec))
    chosen = ImportOptions(clip=option == "clip", rescale=option == "rescale")
    with pytest.raises(UsageError, match=f"--{option} needs bounds"):
        import_data(source, tmp_path / "set", chosen)
    card = import_data(source, tmp_path / "new", replace(chosen, spec=spec))
    assert card["spec"]["action_high"] == [1, 1] and card["request"][option] is True
    found = open_dataset(tmp_path / "new").replay.read(0, 0, 6)["action"]
    np.testing.assert_allclose(found[1:], wanted, atol=1e-6)


def test_a_request_of_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    folder = write_npz(tmp_path / "d", [episode(5)])
    assert not {"map", "clip", "rescale"} & import_data(folder, tmp_path / "set")["request"].keys()


Make = Callable[[Path], Path]
# A set, what the error or the advice says, and the options that it names: with them it is imported.
REMEDIES: dict[str, tuple[Make, str, dict[str, Any]]] = {
    "other name": (
        lambda path: renamed_npz(path, action="acts"),
        "--map action=acts", {"map": ("action=acts",)},
    ),
    "other name, turned about": (
        lambda path: renamed_npz(path, action="actions"),
        "--map action=actions", {"map": ("actions=action",)},
    ),
    "other observations": (
        lambda path: renamed_npz(path, observation="next_x"),
        "--keys next_x", {"keys": ("next_x",)},
    ),
    "rewards": (
        lambda path: renamed_npz(path, reward="rewards"),
        "--map reward=rewards", {"map": ("reward=rewards",)},
    ),
    "float images": (
        lambda path: write_npz(path, [episode(5, top=RNG.random((6, 32, 32, 3)))]),
        "--keys observation", {"keys": ("observation",)},
    ),
    "absolute times": (
        lambda path: write_npz(path, [episode(5, clock=1.7e9 + np.arange(6.0))]),
        "--keys observation", {"keys": ("observation",)},
    ),
    "size of images": (
        lambda path: write_npz(path, [episode(5, top=np.zeros((6, 40, 40, 3), np.uint8))]),
        "--image-size 64", {"image_size": 64},
    ),
    "images left out": (
        lambda path: write_npz(path, [episode(5, top=np.zeros((6, 40, 40, 3), np.uint8))]),
        "--keys observation", {"keys": ("observation",)},
    ),
    "unlike keys": (
        lambda path: write_npz(path, [episode(5), episode(5, more=floats(6, 2))]),
        "--keys observation", {"keys": ("observation",)},
    ),
    "no number": (
        lambda path: write_npz(path, [episode(5, none=floats(6, 0))]),
        "--keys observation", {"keys": ("observation",)},
    ),
    "a bad one": (
        lambda path: write_npz(path, [episode(5), episode(1, reward=floats(1))]),
        "--skip-bad", {"skip_bad": True},
    ),
}  # fmt: skip


def renamed_npz(folder: Path, count: int = 1, **names: str) -> Path:
    """Files `a-N.npz` of episodes whose arrays have other names."""
    steps: dict[str, Any] = {names.get(name, name): v for name, v in episode(5).items()}
    folder.mkdir()
    for number in range(count):
        np.savez(folder / f"a-{number}.npz", **steps)
    return folder


@pytest.mark.parametrize("case", REMEDIES)
def test_every_remedy_helps(tmp_path: Path, case: str) -> None:
    make, words, options = REMEDIES[case]
    source = make(tmp_path / "d")
    found = inspect_data(source, Reading(image_size=None))
    try:
        card = import_data(source, tmp_path / "set")
        said = " ".join(card["notes"])
    except UsageError as error:
        said = str(error)
    assert words in said + " ".join(found["advice"])
    card = import_data(source, tmp_path / "new", ImportOptions(**options))
    assert card["episodes"] == (2 if case == "unlike keys" else 1)
    if case == "rewards":
        assert card["ranges"]["reward"]["max"] != 0


def test_sixty_files_with_one_fault_say_it_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(renamed_npz(tmp_path / "d", 60, action="actions"))
    for command in (["inspect", source], ["import", source, str(tmp_path / "s"), "--skip-bad"]):
        assert main(["data", *command, "--no-progress"]) == 2
        out = "".join(capsys.readouterr())
        assert out.count("there is no 'action'") == 1 and "and 59 more" in out
        assert "--map action=actions" in out
    good = ["import", source, str(tmp_path / "t"), "--map", "action=actions", "--no-progress"]
    assert main(["data", *good]) == 0
    assert "warning: only 300 steps: fewer than 4 batches" in capsys.readouterr().out


@pytest.mark.parametrize(("pairs", "words"), [(["a"], "has 'a'"), (["a=b", "c=b"], "twice")])
def test_maps_that_make_no_sense(pairs: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_map(pairs)


def test_a_path_in_a_file_can_be_mapped(tmp_path: Path) -> None:
    arrays = {"obs/x": floats(9, 3), "obs/command": floats(9, 2), "actions": floats(9, 7)}
    named = Reading(named=parse_map(["action=obs/command"]))
    (found,) = open_source(hdf5(tmp_path / "d", arrays), named).episodes()
    assert found.steps["action"].shape == (9, 2)


@pytest.mark.parametrize("to", ["npz", "minari"])
def test_exports_keep_keys_with_slashes_and_odd_names(tmp_path: Path, to: To) -> None:
    steps = episode(5) | {"robot0/eef": floats(6, 3), "file": floats(6, 1)}
    import_data(write_npz_as(tmp_path / "d", steps), tmp_path / "set")
    export_data(tmp_path / "set", tmp_path / "out", to)
    (found,) = open_source(tmp_path / "out").episodes()
    assert set(found.observations) == {"observation", "robot0/eef", "file"}
    if to == "minari":
        from minari import MinariDataset

        first = next(iter(MinariDataset(tmp_path / "out" / "data").iterate_episodes()))
        assert np.shape(first.observations["robot0"]["eef"]) == (6, 3)  # pyright: ignore


def write_npz_as(folder: Path, steps: dict[str, np.ndarray]) -> Path:
    from choreo.data.formats.exorl import save_episode

    folder.mkdir()
    save_episode(folder / f"episode_000000_{len(steps['action']) - 1}.npz", steps)
    return folder


def test_keys_that_minari_has_no_place_for_are_refused() -> None:
    assert nested({"a/b": 1, "a/c": 2, "d": 3}) == {"a": {"b": 1, "c": 2}, "d": 3}
    for keys in (["a", "a/b"], ["a/b", "a"], ["a//b"], ["/a"]):
        with pytest.raises(UsageError, match="no place for the observation"):
            nested(dict.fromkeys(keys, 0))


@pytest.mark.parametrize("to", ["npz", "minari"])
def test_an_export_that_does_not_read_back_is_not_kept(
    tmp_path: Path, to: To, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_data(write_npz(tmp_path / "d", [episode(5)]), tmp_path / "set")
    name = {"npz": "write_episode", "minari": "_buffer"}[to]
    import choreo.data.exporter as exporter

    own = getattr(exporter, name)

    def spoil(*arguments: Any) -> Any:
        found = list(arguments)
        place = 2 if to == "npz" else 0
        steps = found[place] if to == "npz" else found[place].steps
        steps["observation"] = steps["observation"] + 1
        return own(*found)

    monkeypatch.setattr(exporter, name, spoil)
    with pytest.raises(ChoreoError, match="does not read back as it was: 'observation' of"):
        export_data(tmp_path / "set", tmp_path / "out", to)
    assert not (tmp_path / "out").exists()


def test_arrays_that_are_not_asked_for_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from choreo.data import arrays

    read: list[tuple[int, ...]] = []
    own = arrays.Lazy.__array__

    def watched(self: arrays.Lazy, *rest: Any, **more: Any) -> np.ndarray:
        read.append(self.shape)
        return own(self, *rest, **more)

    monkeypatch.setattr(arrays.Lazy, "__array__", watched)
    steps = [episode(5, top=np.zeros((6, 3, 33, 35), np.uint8))]
    write_npz(tmp_path / "npz", steps)
    (tmp_path / "hdf5").mkdir()
    write_hdf5(tmp_path / "hdf5" / "a.hdf5", steps, "after")
    write_minari(tmp_path / "minari", steps, "hdf5")
    for name in ("npz", "hdf5", "minari"):
        read.clear()
        (found,) = open_source(tmp_path / name, Reading(("observation",))).episodes()
        assert len(found) == 5 and read and not any(33 in shape for shape in read)
