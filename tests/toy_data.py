"""Episodes made by hand and by chance, and writers of the formats that others leave."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import hypothesis.strategies as st
import numpy as np
from PIL import Image

Steps = dict[str, np.ndarray]

SIZE = 32  # of images


def episode(length: int = 5, seed: int = 0, actions: int = 2, **extra: np.ndarray) -> Steps:
    """An episode of `length` transitions in the project's timing, as ExORL stores it."""
    rng = np.random.default_rng(seed)
    steps = {
        "observation": rng.normal(size=(length + 1, 3)).astype(np.float32),
        "action": rng.uniform(-1, 1, (length + 1, actions)).astype(np.float32),
        "reward": rng.normal(size=(length + 1, 1)).astype(np.float32),
        "discount": np.ones((length + 1, 1), np.float32),
    }
    steps["action"][0], steps["reward"][0] = 0, 0
    return steps | extra


def write_npz(folder: Path, episodes: Sequence[Steps], urlb: bool = False) -> Path:
    """Files as ExORL's script and URLB's buffers name them."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, steps in enumerate(episodes):
        length = len(steps["action"]) - 1
        name = f"20220101T000000_{index}" if urlb else f"episode_{index:06d}"
        np.savez(folder / f"{name}_{length}.npz", **steps)  # pyright: ignore[reportArgumentType]
    return folder


@st.composite
def episode_sets(draw: st.DrawFn, most: int = 4) -> tuple[list[Steps], list[Steps]]:
    """Some episodes as files may hold them, and the same in the project's form."""
    kinds = ["float32", "float64", "float16", "int16", "bool", "uint8"]
    names = draw(st.lists(st.sampled_from("abcd"), max_size=3, unique=True))
    vectors = {
        name: (draw(st.integers(1, 4)), draw(st.sampled_from(kinds))) for name in ["state", *names]
    }
    images = draw(st.sampled_from([(), ("picture",), ("left", "right")]))
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.integers(1, 3))
    rewarded, terminal = draw(st.booleans()), draw(st.booleans())
    pairs = [
        _pair(rng, length + 1, vectors, images, size, rewarded, terminal) for length in lengths
    ]
    return [raw for raw, _ in pairs], [wanted for _, wanted in pairs]


def _pair(
    rng: np.random.Generator,
    rows: int,
    vectors: dict[str, tuple[int, str]],
    images: tuple[str, ...],
    size: int,
    rewarded: bool,
    terminal: bool,
) -> tuple[Steps, Steps]:
    raw: Steps = {}
    for name, (width, kind) in vectors.items():
        raw[name] = rng.integers(0, 2 if kind == "bool" else 100, (rows, width)).astype(kind)
    for name in images:
        raw[name] = rng.integers(0, 256, (rows, 3, SIZE, SIZE)).astype(np.uint8)
    raw["action"] = rng.uniform(-1, 1, (rows, size)).astype(np.float32)
    raw["action"][0] = 0
    if rewarded:
        raw["reward"] = rng.normal(size=rows).astype(np.float32)
        raw["reward"][0] = 0
    raw["discount"] = np.ones(rows, np.float32)
    raw["discount"][-1] = 0 if terminal else 1
    index = np.arange(rows)
    wanted = {name: v if v.ndim == 4 else v.astype(np.float32) for name, v in raw.items()}
    wanted.setdefault("reward", np.zeros(rows, np.float32))
    del wanted["discount"]
    wanted |= {"is_first": index == 0, "is_last": index == rows - 1}
    wanted["is_terminal"] = (raw["discount"] == 0) & (index > 0)
    return raw, wanted


Timing = Literal["after", "next", "short"]


def write_hdf5(file: Path, episodes: Sequence[Steps], timing: Timing, nested: bool = True) -> Path:
    """Groups `data/demo_N` as robomimic has them, or flat groups at the root.

    `timing`: "after" has one observation more than actions, "next" repeats them as `next_obs`,
    "short" leaves the last observation out.
    """
    import h5py

    with h5py.File(file, "w") as opened:
        for index, steps in enumerate(episodes):
            group = opened.create_group(f"data/demo_{index}" if nested else f"episode_{index}")
            for name, values in _seen(steps).items():
                images = values.transpose(0, 2, 3, 1) if values.ndim == 4 else values
                before = images if timing == "after" else images[:-1]
                group[f"obs/{name}" if nested else name] = before
                if timing == "next":
                    group[f"next_obs/{name}"] = images[1:]
            group["actions"] = steps["action"][1:]
            if "reward" in steps:
                group["rewards"] = steps["reward"].reshape(-1)[1:]
            group["terminals"] = steps["discount"].reshape(-1)[1:] == 0
            group["dones"] = np.arange(len(steps["action"]) - 1) == len(steps["action"]) - 2
    return file


def write_house_hdf5(file: Path, episodes: Sequence[Steps]) -> Path:
    """Flat groups in the project's own timing, which `is_first` tells."""
    import h5py

    with h5py.File(file, "w") as opened:
        for index, steps in enumerate(episodes):
            group = opened.create_group(f"{index}")
            for name, values in steps.items():
                group[name] = values
            group["is_first"] = np.arange(len(steps["action"])) == 0
    return file


def write_minari(folder: Path, episodes: Sequence[Steps], back_end: str) -> Path:
    """A data set as Minari's own library writes it."""
    from gymnasium.spaces import Box, Dict
    from minari.data_collector.episode_buffer import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    seen = {name: _last(v) for name, v in _seen(episodes[0]).items()}
    spaces: dict[str, Any] = {
        name: Box(0, 255, v.shape[1:], np.uint8)
        if v.dtype == np.uint8 and v.ndim == 4
        else Box(-np.inf, np.inf, v.shape[1:], np.float64)
        for name, v in seen.items()
    }
    folder.mkdir(parents=True)
    size = episodes[0]["action"].shape[1]
    actions = Box(-1, 1, (size,), np.float32)
    made = {"data_format": back_end, "jpeg_encoding": False}
    storage = MinariStorage.new(folder / "data", Dict(spaces), actions, **made)
    storage.update_metadata({"dataset_id": "toy/set-v0", "minari_version": "0.5.4"})
    for steps in episodes:
        rows = len(steps["action"]) - 1
        terminal = steps["discount"].reshape(-1)[1:] == 0
        buffer = EpisodeBuffer(
            observations={
                n: _last(v) if v.ndim == 4 else v.astype(np.float64)
                for n, v in _seen(steps).items()
            },
            actions=steps["action"][1:],  # pyright: ignore[reportArgumentType]
            rewards=steps.get("reward", np.zeros(rows + 1)).reshape(-1)[1:],  # pyright: ignore[reportArgumentType]
            terminations=terminal,  # pyright: ignore[reportArgumentType]
            truncations=~terminal & (np.arange(rows) == rows - 1),  # pyright: ignore[reportArgumentType]
        )
        storage.update_episodes([buffer])
    return folder


def write_lerobot(folder: Path, episodes: Sequence[Steps], film: bool = False) -> Path:
    """A LeRobot data set of version 3: two episodes per table, all films of a key in one file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    features: dict[str, Any] = {"action": {"dtype": "float32", "shape": [2]}}
    tables: dict[int, list[dict[str, Any]]] = {}
    rows, begin = [], 0
    for index, steps in enumerate(episodes):
        length = len(steps["action"]) - 1
        table = index // 2
        tables.setdefault(table, []).extend(_lerobot_rows(steps, index, features, film))
        place = {"episode_index": index, "length": length}
        row: dict[str, Any] = place | {"data/chunk_index": 0, "data/file_index": table}
        for name in features:
            if film and name.startswith("observation.images"):
                row |= {f"videos/{name}/chunk_index": 0, f"videos/{name}/file_index": 0}
                row[f"videos/{name}/from_timestamp"] = begin / 10
        rows.append(row)
        begin += length
    for table, entries in tables.items():
        file = folder / f"data/chunk-000/file-{table:03d}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(entries), file)
    (folder / "meta/episodes/chunk-000").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "meta/episodes/chunk-000/file-000.parquet")
    for name in [n for n in features if film and n.startswith("observation.images")]:
        frames = np.concatenate([steps[name.split(".")[-1]][:-1] for steps in episodes])
        _write_film(folder / f"videos/{name}/chunk-000/file-000.mp4", frames)
    info = {
        "codebase_version": "v3.0",
        "fps": 10,
        "total_frames": begin,
        "features": features,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }
    (folder / "meta/info.json").write_text(json.dumps(info))
    return folder


def _lerobot_rows(
    steps: Steps, index: int, features: dict[str, Any], film: bool
) -> list[dict[str, Any]]:
    """One row per action; the last observation is not stored."""
    rows: list[dict[str, Any]] = [
        {"episode_index": index, "frame_index": t, "action": steps["action"][t + 1].tolist()}
        for t in range(len(steps["action"]) - 1)
    ]
    for name, values in _seen(steps).items():
        image = values.ndim == 4
        full = f"observation.images.{name}" if image else f"observation.{name}"
        features[full] = {"dtype": ("video" if film else "image") if image else "float32"}
        if image and film:
            continue
        for t, row in enumerate(rows):
            row[full] = {"bytes": _png(values[t])} if image else values[t].tolist()
    if "reward" in steps:
        for t, row in enumerate(rows):
            row["next.reward"] = float(steps["reward"].reshape(-1)[t + 1])
    return rows


def _png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(stream, format="PNG")
    return stream.getvalue()


def _write_film(file: Path, frames: np.ndarray) -> None:
    """An mp4 of 10 frames per second from (T, 3, H, W)."""
    import av

    file.parent.mkdir(parents=True)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = frames.shape[3], frames.shape[2]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for image in frames:
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(image.transpose(1, 2, 0)), format="rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _seen(steps: Steps) -> Steps:
    """The observations of an episode."""
    return {k: v for k, v in steps.items() if k not in ("action", "reward", "discount")}


def _last(values: np.ndarray) -> np.ndarray:
    """Images with the colours last."""
    return values.transpose(0, 2, 3, 1) if values.ndim == 4 else values
