"""Sets made to mislead: no other file is read, nothing is fetched, no size is believed."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_data import SIZE, episode, write_hdf5, write_lerobot, write_minari, write_npz

from choreo.data import BadEpisode, inspect_data, open_source
from choreo.data import files as data_files
from choreo.data.files import BadFile, plain_file
from choreo.data.formats.lerobot import HEADER
from choreo.data.schema import Entry, check, number, whole
from choreo.data.spec_file import read_spec
from choreo.errors import UsageError

ROOT = Path(__file__).parents[2]


def good(folder: Path) -> None:
    """A set of every format below a folder."""
    steps = [episode(5, seed) for seed in range(2)]
    top = np.zeros((6, 3, SIZE, SIZE), np.uint8)
    write_npz(folder / "npz", steps)
    (folder / "hdf5").mkdir()
    write_hdf5(folder / "hdf5" / "a.hdf5", steps, "after")
    write_minari(folder / "minari", steps, "hdf5")
    write_minari(folder / "arrow", steps, "arrow")
    write_lerobot(folder / "lerobot", steps)
    write_lerobot(folder / "film", [episode(5, top=top)], film=True)


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    good(tmp_path)
    return tmp_path


def edit(file: str, *keys: str, value: Any) -> Callable[[Path], None]:
    """Sets an entry of a JSON header."""

    def change(sets: Path) -> None:
        tree = json.loads((sets / file).read_text())
        node = tree
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value
        (sets / file).write_text(json.dumps(tree))

    return change


def replaced(file: str, make: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Puts something else in the place of a file."""

    def change(sets: Path) -> None:
        (sets / file).unlink()
        make(sets / file)

    return change


def hdf5(name: str, change: Callable[[Any, str], Any]) -> Callable[[Path], None]:
    """Puts something else in the place of an array."""

    def spoil(sets: Path) -> None:
        import h5py

        with h5py.File(sets / "hdf5" / "a.hdf5", "a") as file:
            del file[name]
            change(file, name)

    return spoil


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def table(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Changes the data table of the LeRobot set."""

    def spoil(sets: Path) -> None:
        import pyarrow.parquet as pq

        (file,) = (sets / "lerobot" / "data").rglob("*.parquet")
        pq.write_table(change(pq.read_table(file)), file)

    return spoil


def external(target: str) -> Callable[[Any, str], Any]:
    def change(file: Any, name: str) -> None:
        import h5py

        file[name] = h5py.ExternalLink(target, "/")

    return change


def soft(target: str) -> Callable[[Any, str], Any]:
    def change(file: Any, name: str) -> None:
        import h5py

        file[name] = h5py.SoftLink(target)

    return change


OBS = "data/demo_0/obs/observation"
NPZ, INFO, META = "npz/episode_000000_5.npz", "lerobot/meta/info.json", "minari/data/metadata.json"
PARQUET = "lerobot/data/chunk-000/file-000.parquet"
STEAL = [("/etc/passwd", 0, 80)]
BOX = '{"type": "Box", "dtype": "float32", "shape": [1000000000000], "low": [0], "high": [1]}'

# Which set, what is done to it, and what is said; the file is named by all of them.
ATTACKS: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "npz pipe": ("npz", replaced(NPZ, lambda p: os.mkfifo(p)), "no plain file but a pipe"),
    "npz device": ("npz", replaced(NPZ, link("/dev/zero")), "outside of"),
    "npz link out": ("npz", replaced(NPZ, link("/etc/passwd")), "outside of"),
    "npz link to itself": ("npz", replaced(NPZ, link("episode_000000_5.npz")), "cannot be read"),
    "hdf5 pipe": ("hdf5", replaced("hdf5/a.hdf5", lambda p: os.mkfifo(p)), "but a pipe"),
    "hdf5 external storage": (
        "hdf5", hdf5(OBS, lambda f, n: f.create_dataset(n, (5, 16), "u1", external=STEAL)),
        "is kept in another file",
    ),
    "hdf5 external link": ("hdf5", hdf5(OBS, external("other.hdf5")), "is a link out of the file"),
    "hdf5 external group": ("hdf5", hdf5("data/demo_0", external("/dev/zero")), "link out"),
    "hdf5 link in a circle": ("hdf5", hdf5(OBS, soft(f"/{OBS}")), "link out of the file"),
    "hdf5 group in a circle": (
        "hdf5", hdf5(OBS, lambda f, n: f.__setitem__(n, f["/"])), "too wide or too deep"
    ),
    "hdf5 huge": (
        "hdf5", hdf5(OBS, lambda f, n: f.create_dataset(n, (5, 10**12), "f4", chunks=(1, 99))),
        "declares 20,000,000,000,000 bytes",
    ),
    "hdf5 huge chunk": (
        "hdf5", hdf5(OBS, lambda f, n: f.create_dataset(
            n, (5,), "f4", chunks=(2**29,), maxshape=(None,))), "declares 2,147,483,648 bytes",
    ),
    "minari many": ("minari", edit(META, "total_episodes", value=10**9), "and 2 are there"),
    "minari odd": ("minari", edit(META, "total_steps", value="x"), "its 'total_steps' is 'x'"),
    "minari huge space": ("minari", edit(META, "observation_space", value=BOX), "1e+12 numbers"),
    "minari deep": (
        "minari", replaced(META, lambda p: p.write_text("[" * 10**5)), "cannot be read"
    ),
    "minari link out": (
        "minari", replaced("minari/data/main_data.hdf5", link("/etc/passwd")), "outside of"
    ),
    "arrow link out": (
        "arrow", lambda sets: _arrow_link(sets), "outside of"
    ),
    "lerobot up": ("lerobot", edit(INFO, "data_path", value="../npz/a"), "'data_path' is '../"),
    "lerobot absolute": ("lerobot", edit(INFO, "data_path", value="/etc/x"), "'data_path' is '/"),
    "lerobot other": ("lerobot", edit(INFO, "data_path", value="no"), "which is not there"),
    "lerobot width": (
        "lerobot", edit(INFO, "data_path", value="{chunk_index:3000000000d}"), "'data_path' is"
    ),
    "lerobot attribute": (
        "lerobot", edit(INFO, "data_path", value="{chunk_index.__class__}"), "'data_path' is"
    ),
    "lerobot fps": ("lerobot", edit(INFO, "fps", value=1e308), "its 'fps' is 1e+308"),
    "lerobot features": ("lerobot", edit(INFO, "features", value=[]), "'features' is a list of 0"),
    "lerobot cut table": (
        "lerobot", replaced(PARQUET, lambda p: p.write_bytes(b"PAR1" + bytes(99))), "cannot be read"
    ),
    "lerobot no column": (
        "lerobot", table(lambda t: t.drop_columns(["episode_index"])), "cannot be read"
    ),
    "film over the network": (
        "film", edit("film/meta/info.json", "video_path", value="http:/127.0.0.1:9/x.mp4"),
        "'video_path' is 'http:",
    ),
    "film link out": (
        "film",
        lambda sets: replaced(
            str(next(sets.rglob("*.mp4")).relative_to(sets)), link("/etc/passwd"))(sets),
        "outside of",
    ),
}  # fmt: skip


def _arrow_link(sets: Path) -> None:
    file = next((sets / "arrow").rglob("*.arrow"))
    file.unlink()
    file.symlink_to("/etc/passwd")


@pytest.mark.parametrize("case", ATTACKS)
def test_an_attack_is_named_with_its_file(sets: Path, case: str) -> None:
    name, spoil, words = ATTACKS[case]
    spoil(sets)
    try:
        said = " ".join(inspect_data(sets / name)["wrong"])
    except UsageError as error:
        said = str(error)
    files = [str(path) for path in (sets / name).rglob("*") if not path.is_dir()]
    assert words in said and any(file in said for file in files), said


@pytest.mark.parametrize("suffix", [".npz", ".hdf5", ""])
def test_a_pipe_given_itself_is_refused(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"a{suffix}")
    with pytest.raises(UsageError, match="but a pipe"):
        open_source(tmp_path / f"a{suffix}")


def test_a_film_is_never_fetched(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        edit("film/meta/info.json", "video_path", value=f"http:/127.0.0.1:{port}/x.mp4")(sets)
        monkeypatch.chdir(sets / "film")
        with pytest.raises(BadFile, match="video_path"):
            inspect_data(Path())
        monkeypatch.setitem(HEADER, "video_path", Entry("anything", lambda _: True))
        assert inspect_data(Path())["bad"]["count"] == 1
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_link_within_the_set_is_followed(tmp_path: Path) -> None:
    folder = write_npz(tmp_path / "d", [episode(5)])
    (folder / "episode_000001_5.npz").symlink_to("episode_000000_5.npz")
    import h5py

    with h5py.File(folder / "ab.hdf5", "w") as file:
        file["kept/x"] = np.zeros((5, 2))
        file["data/demo_0/actions"] = np.zeros((5, 2), np.float32)
        file["data/demo_0/obs"] = h5py.SoftLink("/kept")
    assert len(list(open_source(folder).episodes())) == 2
    (found,) = open_source(folder / "ab.hdf5").episodes()
    assert found.observations == ("x",)


@pytest.mark.parametrize("name", ["../b", "/etc/passwd", "x/../../b", "no", "a\x00b", "."])
def test_only_plain_files_below_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "b").touch()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "here").touch()
    assert plain_file(tmp_path / "root/here", tmp_path / "root").name == "here"
    with pytest.raises(BadFile, match="cannot be read"):
        plain_file(tmp_path / "root" / name, tmp_path / "root")


def test_an_array_larger_than_memory_is_refused(
    sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_files, "_most_memory", lambda: 50)
    for name in ("npz", "hdf5", "minari"):
        with pytest.raises(BadEpisode, match="more than half of this machine's memory"):
            list(open_source(sets / name).episodes())


@pytest.mark.parametrize(
    "text",
    [
        '{"action_low": [%s, 1], "action_high": [2, 2]}' % ("1" * 400),
        "[" * 100_000,
        '{"action_repeat": %s}' % ("9" * 5000),
        '{"action_low": [NaN], "action_high": [1]}',
        '{"action_low": [-1e308], "action_high": [1e308]}',
        '{"observations": {"x": {"shape": [null], "dtype": "uint8"}}}',
        '"spec"',
    ],
    ids=range(7),
)
def test_odd_specs_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "spec.json").write_text(text)
    with pytest.raises(UsageError, match=r"spec\.json: "):
        read_spec(tmp_path / "spec.json")


def test_the_schema_says_what_is_wrong() -> None:
    entries = {
        "n": Entry("a whole number from 1 on", lambda v: whole(v, 1), needed=True),
        "x": Entry("a number", number),
    }
    assert check({"n": 1, "x": None, "y": "z"}, entries, "f.json")["n"] == 1
    cases: list[tuple[Any, str]] = [
        (None, "no JSON object but None"), ([], "a list of 0"), ({}, r"does not tell n"),
        ({"n": True}, "its 'n' is True; wanted a whole"), ({"n": 1.0}, "is 1.0"),
        ({"n": 1, "x": 10**400}, "too many digits"), ({"n": 1, "x": float("inf")}, "is inf"),
    ]  # fmt: skip
    for found, words in cases:
        with pytest.raises(BadFile, match=words):
            check(found, entries, "f.json")


def test_readers_hold_against_damage_by_chance() -> None:
    """60 seeded cases; `benchmarks/fuzz_readers.py` does thousands."""
    command = [sys.executable, str(ROOT / "benchmarks" / "fuzz_readers.py"), "60", "7"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    found = json.loads(run.stdout or "{}")
    assert run.returncode == 0, found.get("wrong") or run.stderr
    assert found["counts"]["refused"] > 30 and sum(found["counts"].values()) == 60
