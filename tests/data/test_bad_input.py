"""What is wrong with recorded data is named with its file and a remedy, and can be skipped."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from toy_data import SIZE, episode, write_minari, write_npz

from choreo.data import (
    BadEpisode,
    ImportOptions,
    Reading,
    import_data,
    inspect_data,
    open_source,
    write_episode,
)
from choreo.data.card import EPISODES, write_card
from choreo.data.episode import complete
from choreo.data.formats.hdf5 import episode_of
from choreo.envs.spaces import ArraySpec, EnvSpec
from choreo.errors import UsageError

BAD = "episode_000001_5.npz"
Spoil = Callable[[Path], None]


def spoiled(folder: Path, spoil: Spoil) -> Path:
    """Three episodes, the one in the middle spoiled."""
    write_npz(folder, [episode(5, seed) for seed in range(3)])
    spoil(folder / BAD)
    return folder


def arrays(file: Path) -> dict[str, np.ndarray]:
    with np.load(file) as found:
        return dict(found)


def changed(**changes: Any) -> Spoil:
    """Writes the file anew with other arrays; None leaves one out."""

    def spoil(file: Path) -> None:
        steps = {**arrays(file), **changes}
        given = {name: v for name, v in steps.items() if v is not None}
        np.savez(file, **given)  # pyright: ignore[reportArgumentType]

    return spoil


def corrupt_zip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[60:90] = bytes(30)
    file.write_bytes(data)


def cut_file(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])


def cut_arrays(rows: int) -> Spoil:
    def spoil(file: Path) -> None:
        steps = {name: values[:rows] for name, values in arrays(file).items()}
        np.savez(file, **steps)  # pyright: ignore[reportArgumentType]

    return spoil


def not_a_zip(file: Path) -> None:
    file.write_bytes(b"nothing of the kind")


def nan_reward(file: Path) -> None:
    steps = arrays(file)
    steps["reward"][[2, 4]] = np.nan
    np.savez(file, **steps)  # pyright: ignore[reportArgumentType]


def single_array(file: Path) -> None:
    with file.open("wb") as opened:
        np.save(opened, np.zeros(3))


class Traitor:
    """Unpickling it leaves a file behind."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.file,))


def pickled(file: Path) -> None:
    traitor = np.array([Traitor(file.parent / "ran")] * 6, dtype=object)
    np.savez(file, **{**arrays(file), "observation": traitor})  # pyright: ignore[reportArgumentType]


float_images = np.random.default_rng(0).random((6, SIZE, SIZE, 3))

CASES: dict[str, tuple[Spoil, str]] = {
    "corrupt zip": (corrupt_zip, "cannot be read"),
    "cut file": (cut_file, "cannot be read"),
    "no zip": (not_a_zip, "cannot be read"),
    "single array": (single_array, "no whole zip"),
    "cut arrays": (cut_arrays(4), "its name tells of 5 transitions, and it holds 3"),
    "unlike lengths": (changed(reward=np.zeros((4, 1))), "cut short: 'action' has 6 rows"),
    "no rows": (cut_arrays(0), "holds no step at all"),
    "only a reset": (cut_arrays(1), "a reset and no transition"),
    "no action": (changed(action=None), "no 'action'"),
    "discrete": (changed(action=np.zeros((6, 2), np.int64)), "actions are discrete"),
    "no observation": (changed(observation=None), "an observation cannot be found"),
    "other keys": (changed(observation=None, state=np.zeros((6, 3))), "'observation' is missing"),
    "more keys": (changed(state=np.zeros((6, 3))), "'state' is float32[3] and not missing"),
    "other shape": (changed(observation=np.zeros((6, 4))), "float32[4] and not float32[3]"),
    "float images": (changed(observation=float_images), "are float64, from"),
    "strange shape": (
        changed(observation=np.zeros((6, 2, 2, 2, 2), np.uint8)), "has shape (6, 2, 2, 2, 2)"
    ),
    "16 bits": (changed(observation=np.full((6, 64, 64, 1), 999, np.uint16)), "uint16, from 999"),
    "absolute time": (
        changed(observation=1.7e9 + np.arange(6.0)), "from 1.7e+09 to 1.7e+09, which float32"
    ),
    "no colours": (
        changed(observation=np.zeros((6, 40, 40, 40), np.uint8)), "no axis can be the colours"
    ),
    "odd channels": (changed(observation=np.zeros((6, 32, 32, 5), np.uint8)), "have 5 channels"),
    "text": (changed(observation=np.array([["a"]] * 6)), "'observation' holds <U1, not numbers"),
    "NaN reward": (nan_reward, "'reward' is NaN or infinite in 2 of 6 rows, first in row 2"),
    "infinite": (changed(observation=np.full((6, 3), 1e300)), "'observation' is NaN or infinite"),
    "no width": (changed(observation=np.zeros((6, 0))), "'observation' holds no number per step"),
    "no action width": (changed(action=np.zeros((6, 0))), "'action' holds no number per step"),
    "no pixel": (changed(observation=np.zeros((6, 3, 0, 32), np.uint8)), "which holds no pixel"),
    "text reward": (changed(reward=np.array(["a"] * 6)), "'reward' holds <U1; wanted numbers"),
    "single reward": (changed(reward=np.array(1.0)), "['reward'] should have one row per step"),
    "two flags": (changed(is_terminal=np.zeros((6, 2))), "'is_terminal' has shape (6, 2); wanted"),
    "text flag": (changed(is_terminal=np.array(["no"] * 6)), "'is_terminal' holds <U2"),
    "NaN flag": (changed(is_last=np.full(6, np.nan)), "'is_last' has shape (6,); wanted one truth"),
    "NaN discount": (changed(discount=np.full(6, np.nan)), "'discount' is NaN or infinite"),
    "text discount": (changed(discount=np.array(["1"] * 6)), "'discount' holds <U1"),
    "half a repeat": (changed(action_repeat=np.array(1.5)), "its action repeat is 1.5"),
    "text repeat": (changed(action_repeat=np.array("two")), "its action repeat is two"),
    "goes on": (
        changed(discount=np.array([1, 1, 0, 1, 1, 1.0])), "goes on after its end in row 2"
    ),
    "action repeat": (changed(action_repeat=np.array(4)), "its action repeat is 4"),
    "object arrays": (pickled, "Python objects, which are never loaded"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_bad_episode_is_named_skipped_and_counted(tmp_path: Path, case: str) -> None:
    spoil, words = CASES[case]
    folder = spoiled(tmp_path / "data", spoil)
    options = ImportOptions(action_repeat=2)
    with pytest.raises(BadEpisode) as raised:
        import_data(folder, tmp_path / "set", options)
    text = str(raised.value)
    assert str(folder / BAD) in text and words in text and "--skip-bad" in text
    card = import_data(folder, tmp_path / "set", ImportOptions(action_repeat=2, skip_bad=True))
    assert card["skipped"]["count"] == 1 and BAD in card["skipped"]["first"][0]
    assert card["episodes"] == 2 and card["steps"] == 10
    assert not (folder / "ran").exists(), "a pickle was loaded"
    found = inspect_data(folder)
    if case != "action repeat":  # which is no fault of the one episode
        assert found["bad"]["count"] == 1 and words in found["bad"]["first"][0]


def test_a_file_that_is_gone_is_one_bad_episode(tmp_path: Path) -> None:
    folder = write_npz(tmp_path / "data", [episode(5), episode(5)])
    (folder / BAD).unlink()
    (folder / BAD).symlink_to(tmp_path / "nowhere.npz")
    assert inspect_data(folder)["bad"]["count"] == 1
    with pytest.raises(BadEpisode, match=f"{BAD}: it cannot be read"):
        import_data(folder, tmp_path / "set")
    assert import_data(folder, tmp_path / "set", ImportOptions(skip_bad=True))["episodes"] == 1


FLAT = "observation action reward discount is_first is_last is_terminal action_repeat physics seed"
NESTED = "obs obs/x next_obs next_obs/observation actions rewards terminals dones timeouts infos"
KINDS = ["float64", "uint8", "int64", "bool", "U3", "S2", "complex64", "M8[s]", "f4,f4", "O"]
odd_array = st.builds(
    lambda shape, kind: np.zeros(shape, kind),
    st.lists(st.sampled_from([6, 6, 5, 5, 0, 1, 3]), max_size=4),
    st.sampled_from(KINDS),
)


def as_tree(arrays: dict[str, Any]) -> dict[str, Any]:
    """An episode in robomimic's form, with some entries in place of its own."""
    good = episode(5)
    tree: dict[str, Any] = {"actions": good["action"][1:], "rewards": good["reward"][1:]}
    tree["obs"] = {"observation": good["observation"][:-1]}
    for name, values in arrays.items():
        group, _, leaf = name.partition("/")
        if not leaf:
            tree[group] = values
        elif isinstance(tree.setdefault(group, {}), dict):
            tree[group][leaf] = values
    return tree


@settings(max_examples=200, deadline=None)
@given(
    flat=st.dictionaries(st.sampled_from(FLAT.split()), odd_array, max_size=3),
    nested=st.dictionaries(st.sampled_from(NESTED.split()), odd_array, max_size=3),
)
def test_whatever_arrays_there_are_an_episode_is_read_or_refused(
    flat: dict[str, np.ndarray], nested: dict[str, np.ndarray]
) -> None:
    for read in (
        lambda: complete(episode(5) | flat, "here", Reading()),
        lambda: episode_of(as_tree(nested), "here", Reading()),
    ):
        try:
            found = read()
        except BadEpisode as error:
            assert str(error).startswith("here: ")
        else:
            assert {len(values) for values in found.steps.values()} == {len(found) + 1}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.floats(0, 1), value=st.binary(min_size=1, max_size=40), packed=st.booleans())
def test_whatever_bytes_change_only_the_episode_is_refused(
    tmp_path: Path, place: float, value: bytes, packed: bool
) -> None:
    file = tmp_path / "episode_000000_5.npz"
    (np.savez_compressed if packed else np.savez)(file, **episode(5))  # pyright: ignore
    data = file.read_bytes()
    start = int(place * (len(data) - 1))
    file.write_bytes(data[:start] + value + data[start + len(value) :])
    try:
        (found,) = open_source(file).episodes()
    except BadEpisode as error:
        assert str(file) in str(error)
    else:
        assert len(found) == 5


def test_one_transition_is_enough(tmp_path: Path) -> None:
    folder = write_npz(tmp_path / "data", [episode(1), episode(1)])
    assert import_data(folder, tmp_path / "set")["steps"] == 2


def test_nothing_but_bad_episodes(tmp_path: Path) -> None:
    folder = write_npz(tmp_path / "data", [episode()])
    for file in folder.iterdir():
        cut_file(file)
    with pytest.raises(
        UsageError, match=r"(?s)None of the 1 episodes .* can be used:.*npz: it cannot be read"
    ):
        import_data(folder, tmp_path / "set", ImportOptions(skip_bad=True))


def test_actions_out_of_declared_bounds(tmp_path: Path) -> None:
    steps = episode()
    steps["action"][3, 1] = 1.5
    folder = write_npz(tmp_path / "data", [steps, episode()])
    told = tmp_path / "spec.json"
    told.write_text('{"action_low": [-1, -1], "action_high": [1, 1]}')
    with pytest.raises(BadEpisode, match=r"first 1\.5 in row 3, dimension 1, where .*spec\.json"):
        import_data(folder, tmp_path / "set", ImportOptions(spec=told))
    options = ImportOptions(spec=told, skip_bad=True)
    assert import_data(folder, tmp_path / "set", options)["episodes"] == 1
    told.write_text('{"action_low": [-1], "action_high": [1]}')
    with pytest.raises(BadEpisode, match="actions have 2 values, and the bounds 1"):
        import_data(folder, tmp_path / "set2", ImportOptions(spec=told))


def with_card(folder: Path, repeat: int, high: float = 1.0) -> Path:
    spec = EnvSpec(
        id="toy",
        observations={"observation": ArraySpec((3,), "float32")},
        action_size=2,
        action_low=(-1.0, -1.0),
        action_high=(high, high),
        action_repeat=repeat,
        episode_steps=None,
        coordinates=(),
        step_seconds=0.1,
        cameras=("side",),
    )
    write_card(folder, {"kind": EPISODES, "spec": spec.to_json()})
    return folder


def test_the_card_beside_episodes_tells_of_the_environment(tmp_path: Path) -> None:
    folder = with_card(write_npz(tmp_path / "data", [episode()]), 4, 3.0)
    card = import_data(folder, tmp_path / "set")
    assert card["spec"]["action_repeat"] == 4 and card["spec"]["cameras"] == ["side"]
    assert card["spec"]["action_high"] == [3, 3] and card["source"]["environment"] == "toy"
    assert card["ranges"]["action"]["max"] <= 1, "they were scaled already"


def test_mixed_action_repeats(tmp_path: Path) -> None:
    for name, repeat in (("a", 2), ("b", 4)):
        with_card(write_npz(tmp_path / "data" / name, [episode()]), repeat)
    with pytest.raises(BadEpisode, match="its action repeat is 4, that of the others 2"):
        import_data(tmp_path / "data", tmp_path / "set")
    assert inspect_data(tmp_path / "data")["action_repeat"] == [2, 4]
    with pytest.raises(UsageError, match=r"--action-repeat says 1, .*data.* says 2"):
        import_data(tmp_path / "data", tmp_path / "set2", ImportOptions(action_repeat=1))


@pytest.mark.parametrize("told", [0, 1])
def test_an_action_repeat_that_only_some_tell(tmp_path: Path, told: int) -> None:
    episodes = [episode(), episode()]
    episodes[told]["action_repeat"] = np.array(4)
    folder = write_npz(tmp_path / "data", episodes)
    with pytest.raises(BadEpisode, match=r"action repeat is .*not told.*--action-repeat"):
        import_data(folder, tmp_path / "set")
    assert "only some episodes" in inspect_data(folder)["advice"][0]
    card = import_data(folder, tmp_path / "other", ImportOptions(action_repeat=4))
    assert card["spec"]["action_repeat"] == 4 and card["episodes"] == 2


@pytest.mark.parametrize("back_end", ["npz", "hdf5"])
def test_an_inspection_counts_actions_out_of_the_bounds_the_files_tell(
    tmp_path: Path, back_end: str
) -> None:
    steps = episode()
    steps["action"][3, 1] = 1.5
    folder = tmp_path / "data"
    if back_end == "npz":
        with_card(write_npz(folder, [episode(), steps]), 2)
    else:
        write_minari(folder, [episode(), steps], back_end)
    bad = inspect_data(folder)["bad"]
    assert bad["count"] == 1 and "first 1.5 in row 3" in bad["first"][0]


def test_folders_of_unlike_bounds(tmp_path: Path) -> None:
    for name, high in (("a", 1.0), ("b", 2.0)):
        with_card(write_npz(tmp_path / "data" / name, [episode()]), 2, high)
    with pytest.raises(UsageError, match="unlike action bounds"):
        open_source(tmp_path / "data")


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"format": 9, "spec": {}}', '{"format": 1, "spec": {"id": "x"}}'],
)
def test_a_damaged_card(tmp_path: Path, text: str) -> None:
    folder = write_npz(tmp_path / "data", [episode()])
    (folder / "card.json").write_text(text)
    with pytest.raises(UsageError, match=r"card\.json"):
        open_source(folder)


@pytest.mark.parametrize(
    ("size", "words"), [(84, "are 84 x 84 pixels; agents take 32, 64, 128"), (64, "")]
)
def test_images_of_other_sizes(tmp_path: Path, size: int, words: str) -> None:
    steps = episode(observation=np.zeros((6, size, size, 3), np.uint8))
    folder = write_npz(tmp_path / "data", [steps])
    if words:
        with pytest.raises(UsageError, match=f"{words}.*--image-size 64"):
            import_data(folder, tmp_path / "set")
        assert "--image-size 64" in inspect_data(folder)["advice"][0]
    card = import_data(folder, tmp_path / "other", ImportOptions(image_size=64))
    assert card["spec"]["observations"]["observation"]["shape"] == [3, 64, 64]
    with pytest.raises(UsageError, match="--image-size is 50"):
        import_data(folder, tmp_path / "third", ImportOptions(image_size=50))


def test_an_empty_folder_and_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is an empty folder\. Give npz"):
        open_source(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        open_source(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(UsageError, match=r"1 files \(a.txt\) of no format"):
        open_source(tmp_path)
    with pytest.raises(UsageError, match="of no format"):
        open_source(tmp_path / "a.txt")


@pytest.mark.parametrize("name", ["episode.pkl", "episode.npy"])
def test_a_folder_of_pickles_is_never_loaded(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    traitor = Traitor(folder / "ran")
    if name.endswith("npy"):
        np.save(folder / name, np.array([traitor], dtype=object))
    else:
        (folder / name).write_bytes(pickle.dumps(traitor))
    for path in (folder, folder / name):
        with pytest.raises(UsageError, match=f"{name} may hold pickled"):
            open_source(path)
    assert not (folder / "ran").exists()


def test_a_replay_without_a_checkpoint(tmp_path: Path) -> None:
    write_episode(tmp_path / "npz", 0, {"is_terminal": np.zeros(6, bool), **episode()})
    import_data(tmp_path / "npz", tmp_path / "set")
    (tmp_path / "set" / "card.json").unlink()
    with pytest.raises(UsageError, match="neither a checkpoint nor a card"):
        open_source(tmp_path / "set")


def test_a_zip_of_other_things(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(BadEpisode, match=r"a\.npz: there is no 'action'"):
        list(open_source(tmp_path).episodes())
