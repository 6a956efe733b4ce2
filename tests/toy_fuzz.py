"""Sets of every format, damaged by chance, and what the readers make of them.

Every case runs in a process of its own with bounds on time and memory. `fuzz` counts what must not
happen: an error that is none of the project's, no end, too much memory, an error without a file.
"""

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from toy_data import SIZE, episode, write_hdf5, write_lerobot, write_minari, write_npz

CPU_SECONDS, WALL_SECONDS = 10, 40  # a case takes hundredths of a second of the processor
MEMORY, HELD = 4 * 2**30, 2**30  # bytes: address space beside the libraries; most that is held
SPEC = {
    "observations": {"observation": {"shape": [3], "dtype": "float32"}},
    "action_low": [-1, -1],
    "action_high": [1, 1],
    "action_repeat": 2,
    "episode_steps": 500,
    "step_seconds": 0.05,
    "cameras": ["side"],
}
ODD: list[Any] = [
    None, True, -1, 0, 1.5, 1e308, 10**12, 10**400, float("nan"), "", "x", "9" * 50, [], {}, [[]],
    [None], [10**9] * 3, {"a": None}, "../../../etc/passwd", "/etc/passwd", "http://127.0.0.1:9/x",
    "{chunk_index:3000000000d}", "{0.__class__}", "\ud800", "a\x00b",
]  # fmt: skip
Rng = np.random.Generator


def seeds(root: Path) -> None:
    """A small valid set of every format."""
    few = [episode(5, seed) for seed in range(2)]
    picture = np.arange(6 * 3 * SIZE * SIZE, dtype=np.uint64).reshape(6, 3, SIZE, SIZE) % 251
    seen = [episode(5, n, top=picture.astype(np.uint8)) for n in range(2)]
    write_npz(root / "npz", few)
    write_npz(root / "urlb", seen, urlb=True)
    for file in (root / "urlb").iterdir():
        with np.load(file) as held:
            arrays = dict(held)
        np.savez_compressed(file, **arrays)
    for name in ("hdf5", "hdf5flat"):
        (root / name).mkdir()
        write_hdf5(root / name / "a.hdf5", few, "next", nested=name == "hdf5")
    _d4rl(root / "d4rl")
    write_minari(root / "minari", few, "hdf5")
    write_minari(root / "minariarrow", few, "arrow")
    write_lerobot(root / "lerobot", seen)
    write_lerobot(root / "lerofilm", seen, film=True)
    (root / "spec").mkdir()
    (root / "spec" / "spec.json").write_text(json.dumps(SPEC))


def _d4rl(folder: Path) -> None:
    import h5py

    folder.mkdir()
    with h5py.File(folder / "a.hdf5", "w") as file:
        steps = episode(11)
        file["observations"], file["actions"] = steps["observation"], steps["action"]
        file["rewards"] = steps["reward"][:, 0]
        file["terminals"] = np.arange(12) == 5
        file.create_dataset("timeouts", data=np.arange(12) == 11, chunks=(4,), compression="gzip")


# What may be done to a file; a change that does not suit it raises, and another is tried.


def _bytes(file: Path, rng: Rng) -> None:
    """Some bytes are others, most often near the beginning or the end."""
    data = bytearray(file.read_bytes())
    for _ in range(rng.integers(1, 6)):
        edge = min(len(data), 600)
        place = int(rng.integers(len(data)))
        if rng.random() < 0.6:
            place = int(rng.integers(edge)) if rng.random() < 0.5 else len(data) - 1 - place % edge
        width = int(rng.choice([1, 1, 2, 4, 8, 40]))
        new = rng.bytes(width) if rng.random() < 0.6 else bytes([rng.choice([0, 255, 127])]) * width
        data[place : place + width] = new
    file.write_bytes(data)


def _cut(file: Path, rng: Rng) -> None:
    """The end is missing, or a part in the middle."""
    data = file.read_bytes()
    start = int(rng.integers(len(data)))
    stop = len(data) if rng.random() < 0.6 else min(len(data), start + int(rng.integers(1, 200)))
    file.write_bytes(data[:start] + data[stop:])


def _kind(file: Path, rng: Rng) -> None:
    """The file is no plain file of the set."""
    if rng.random() < 0.5:
        raise ValueError("seldom")
    file.unlink()
    outside = file.parents[3] / "outside"
    outside.write_bytes(b"secret" * 100)
    made: list[Callable[[], Any]] = [
        lambda: os.mkfifo(file),
        lambda: file.symlink_to("/dev/zero"),
        lambda: file.symlink_to(outside),
        lambda: file.symlink_to(file),
        lambda: file.mkdir(),
        lambda: file.touch(),
    ]
    made[rng.integers(len(made))]()


def _json(file: Path, rng: Rng) -> None:
    """An entry is something else, is missing, or nests too deep."""
    tree = json.loads(file.read_text())
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(tree)
    node, key = places[rng.integers(len(places))]
    inner = node[key] if isinstance(node[key], str) and node[key].startswith("{") else None
    chance = rng.random()
    if inner is not None and chance < 0.5:
        node[key] = inner.replace(*_swap(rng))
    elif chance < 0.15 and isinstance(node, dict):
        del node[key]
    elif chance < 0.2:
        file.write_text("[" * 100_000)
        return
    else:
        node[key] = ODD[rng.integers(len(ODD))]
    sys.set_int_max_str_digits(0)
    file.write_text(json.dumps(tree))


def _swap(rng: Rng) -> tuple[str, str]:
    pairs = [
        ("float32", "flwat32"), ("[2]", "[1000000000000]"), ("[3]", "[-3]"), ("Box", "Bax"),
        ("-1.0", "null"), ("[2]", "[3]"), ("shape", "form"), ("Box", "Discrete"),
    ]  # fmt: skip
    return pairs[rng.integers(len(pairs))]


def _npz(file: Path, rng: Rng) -> None:
    """An array's header tells something else, or the array is of an odd type."""
    with np.load(file) as held:
        arrays = dict(held)
    name = sorted(arrays)[rng.integers(len(arrays))]
    heads = [
        "{", "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "(" * 200,
        "{'descr': '|O', 'fortran_order': False, 'shape': (6,)}",
        "{'descr': '|S0', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '(99999999,)f4', 'fortran_order': True, 'shape': (0, 9)}",
        "{'descr': '<f4', 'fortran_order': 1, 'shape': 6}", "[1] * 10**9", "\x00",
    ]  # fmt: skip
    head = heads[rng.integers(len(heads))].encode()
    raw = b"\x93NUMPY\x01\x00" + (len(head) + 1).to_bytes(2, "little") + head + b"\n" + bytes(24)
    packing = int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]))
    with zipfile.ZipFile(file, "w", packing) as archive:
        for key, values in arrays.items():
            stream = io.BytesIO()
            np.save(stream, values)
            spoiled = key == name and packing != zipfile.ZIP_LZMA
            archive.writestr(f"{key}.npy", raw if spoiled else stream.getvalue())
    if packing == zipfile.ZIP_LZMA:
        _bytes(file, rng)


def _hdf5(file: Path, rng: Rng) -> None:
    """An entry is a link, is kept elsewhere, has an odd type, or declares what is not there."""
    import h5py

    outside = file.parents[3] / "outside.hdf5"
    shutil.copyfile(file, outside)
    with h5py.File(file, "a") as opened:
        names: list[str] = []
        opened.visit(lambda name: names.append(str(name)))
        name = names[rng.integers(len(names))]
        changes: list[Callable[[], Any]] = [
            lambda: opened.create_dataset(name, (10**12,), "f4", chunks=(1024,)),
            lambda: opened.create_dataset(name, (5,), "u1", external=[("/etc/passwd", 0, 5)]),
            lambda: opened.__setitem__(name, h5py.ExternalLink(str(outside), "/" + name)),
            lambda: opened.__setitem__(name, h5py.ExternalLink("/dev/zero", "/")),
            lambda: opened.__setitem__(name, h5py.SoftLink("/" + names[0])),
            lambda: opened.__setitem__(name, h5py.SoftLink(name)),
            lambda: opened.__setitem__(name, opened["/"]),
            lambda: opened.__setitem__(name, np.dtype("f4")),
            lambda: opened.__setitem__(name, [b"text"] * 5),
            lambda: opened.__setitem__(name, np.zeros(5, "f4,i4")),
            lambda: opened.__setitem__(name, np.zeros((5, 0), np.float32)),
            lambda: opened.__setitem__(name, 3.0),
            lambda: opened.__setitem__(name, h5py.Empty("f4")),
            lambda: opened.create_dataset(name, (5,), "f4", chunks=(2**29,), maxshape=(None,)),
            lambda: opened.create_virtual_dataset(name, _virtual(str(outside))),
            lambda: opened.create_group(name),
        ]  # fmt: skip
        change = changes[rng.integers(len(changes))]
        del opened[name]
        change()


def _virtual(file: str) -> Any:
    import h5py

    layout = h5py.VirtualLayout((5,), "f4")
    layout[:] = h5py.VirtualSource(file, "actions", (5,))
    return layout


def _parquet(file: Path, rng: Rng) -> None:
    """A column is of another type, is missing, or holds odd values."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    place = int(rng.integers(table.num_columns))
    name, rows = table.column_names[place], table.num_rows
    columns: list[Any] = [
        pa.nulls(rows), pa.array(["x"] * rows), pa.array([-1] * rows), pa.array([10**15] * rows),
        pa.array([[]] * rows), pa.array([[1.0] * n for n in range(rows)]),
        pa.array([float("nan")] * rows), pa.array([{"bytes": b"x", "path": "/etc/passwd"}] * rows),
        pa.array([{"bytes": None, "path": "/etc/passwd"}] * rows), pa.array([True] * rows),
    ]  # fmt: skip
    made = rng.integers(len(columns) + 1)
    changed = (
        table.drop_columns([name])
        if made == len(columns)
        else table.set_column(place, name, columns[made])
    )
    pq.write_table(changed, file)


SUITED: dict[str, list[Callable[[Path, Rng], None]]] = {
    ".json": [_json, _json, _json, _bytes],
    ".npz": [_npz, _bytes, _cut],
    ".hdf5": [_hdf5, _bytes, _bytes, _cut],
    ".parquet": [_parquet, _bytes, _cut],
    ".arrow": [_bytes, _bytes, _cut],
    ".mp4": [_bytes, _bytes, _cut],
}


def damage(folder: Path, rng: Rng) -> str:
    """Change one file of a set; says which and how."""
    while True:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        file = files[rng.integers(len(files))]
        ways = [*SUITED[file.suffix], _kind]
        way = ways[rng.integers(len(ways))]
        before = file.read_bytes()
        try:
            way(file, rng)
        except Exception:  # it does not suit this file
            if file.exists():
                file.write_bytes(before)
        else:
            return f"{file.relative_to(folder)}: {way.__name__.strip('_')}"


def judge(folder: Path) -> str:
    """Read a set; "fine", "refused", or what should not have happened."""
    from choreo.data import ImportOptions, import_data, inspect_data
    from choreo.data.spec_file import read_spec
    from choreo.errors import ChoreoError

    names = [
        str(path) for path in folder.rglob("*") if not path.is_dir() or not any(path.iterdir())
    ]
    told: list[str] = []
    try:
        if (folder / "spec.json").is_symlink() or (folder / "spec.json").exists():
            read_spec(folder / "spec.json")
        else:
            found = inspect_data(folder)
            told = [*found["bad"]["first"], *found["wrong"]]
            with contextlib.suppress(ChoreoError):
                import_data(folder, folder.parents[1] / "set", ImportOptions(skip_bad=True))
    except ChoreoError as error:
        told = [str(error)]
    except MemoryError:
        return "memory"
    except BaseException:
        return "traceback " + traceback.format_exc()
    if any("Unable to allocate" in line or "MemoryError" in line for line in told):
        return "memory"
    nameless = [line for line in told if not any(name in line for name in names)]
    if nameless and names:
        return f"nameless {nameless[0]}"
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return "memory" if held > HELD else ("refused" if told else "fine")


def in_child(judgement: Callable[[], str]) -> str:
    """The judgement of a process with little time and memory."""
    ends, writes = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.close(ends)
            used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
            resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.write(writes, judgement().encode("utf-8", "replace")[:60_000])
        os._exit(0)
    os.close(writes)
    deadline = time.monotonic() + WALL_SECONDS
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.003)
    _, status = os.waitpid(child, 0)
    with os.fdopen(ends, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    if os.WIFSIGNALED(status):
        late = os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXCPU)
        return "endless" if late else f"traceback signal {os.WTERMSIG(status)}"
    return said or "traceback without a word"


def fuzz(root: Path, cases: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Damage and read so many sets below `root`; counts by judgement, and what went wrong."""
    maker = os.fork()  # so that no library has threads yet where the cases fork
    if maker == 0:
        seeds(root / "valid")
        os._exit(0)
    assert os.waitpid(maker, 0)[1] == 0
    for name in ("h5py", "minari.dataset.minari_storage", "pyarrow.dataset", "av", "choreo.data"):
        __import__(name)
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    formats = sorted(path.name for path in (root / "valid").iterdir())
    for case in range(cases):
        rng = np.random.default_rng([seed, case])
        name = formats[case % len(formats)]
        folder = root / "case" / "deep" / name
        shutil.copytree(root / "valid" / name, folder)
        status, how = _damaged(folder, rng)
        found = in_child(lambda folder=folder: judge(folder)) if status == 0 else "undamaged"
        counts[found.split(" ")[0]] += 1
        if found not in ("fine", "refused", "undamaged"):
            wrong.append(f"case {case}, {name}, {how}: {found}")
        shutil.rmtree(root / "case")
    return counts, wrong


def _damaged(folder: Path, rng: Rng) -> tuple[int, str]:
    """Damage a set in a process of its own; its exit status, and what it did."""
    ends, writes = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.write(writes, damage(folder, rng).encode())
            os._exit(0)
        os._exit(1)
    os.close(writes)
    _, status = os.waitpid(child, 0)
    with os.fdopen(ends, "rb") as pipe:
        return status, pipe.read().decode()
