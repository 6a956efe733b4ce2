"""LeRobot data sets of version 3: parquet tables, with films as mp4.

Source: the layout that `meta/info.json` of such a set describes.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from choreo.data.episode import (
    ACTION,
    REWARD,
    BadEpisode,
    EpisodeData,
    Reading,
    from_transitions,
    resized,
)
from choreo.data.formats.source import Source, need
from choreo.errors import UsageError

INFO = Path("meta") / "info.json"
SEEN = "observation."
REWARDS = ("next.reward", "reward")
FILM, PICTURE = "video", "image"


class LeRobotSource(Source):
    """A folder with `meta`, `data` and, where there are films, `videos`.

    `observation.state` becomes the key "state", `observation.images.top` "images_top". Each row
    has the action that was taken there, so the last action of an episode leads nowhere and is left
    out.
    """

    format = "lerobot"

    def __init__(self, path: Path, reading: Reading) -> None:
        super().__init__(path, reading)
        self._parquet = need("pyarrow.parquet", "A LeRobot data set")
        self._info = _read_info(self.path)
        features = self._info["features"]
        self._seen = {_short(name): name for name in features if name.startswith(SEEN)}
        if reading.keys is not None:
            self._seen = {key: name for key, name in self._seen.items() if key in reading.keys}
        self._episodes = self._table_of_episodes()
        self.names = [f"{self.path}: episode {row['episode_index']}" for row in self._episodes]
        self._table: tuple[Path, Any] | None = None  # the one data file that is held

    def files(self) -> list[Path]:
        return sorted(p for p in self.path.rglob("*") if p.suffix in (".parquet", ".mp4", ".json"))

    def step_seconds(self) -> float | None:
        fps = self._info.get("fps")
        return 1 / fps if fps else None

    def expected_steps(self) -> int | None:
        return self._info.get("total_frames")

    def read(self, index: int) -> EpisodeData:
        row, name = self._episodes[index], self.names[index]
        try:
            table = self._rows(row)
            seen = {key: self._observation(row, table, key) for key in self._seen}
            per_action = {ACTION: _column(table, ACTION)}
            rewards = [n for n in REWARDS if n in table.column_names]
            if rewards:
                per_action[REWARD] = _column(table, rewards[0])
        except BadEpisode:
            raise
        except Exception as error:  # the libraries raise whatever their files bring about
            raise BadEpisode(
                name, f"it cannot be read ({error!r})", "Copy the data set again"
            ) from error
        return from_transitions(seen, per_action, name, self.reading)

    def _table_of_episodes(self) -> list[dict[str, Any]]:
        """Where each episode lies: one row of `meta/episodes` each."""
        files = sorted((self.path / "meta" / "episodes").rglob("*.parquet"))
        if not files:
            raise UsageError(f"{self.path} has no meta/episodes. Copy the whole data set.")
        rows: list[dict[str, Any]] = []
        for file in files:
            try:
                schema = self._parquet.read_schema(file)
                places = ("episode_index", "length", "data/", "videos/")
                columns = [name for name in schema.names if name.startswith(places)]
                rows += self._parquet.read_table(file, columns=columns).to_pylist()
            except Exception as error:
                raise UsageError(
                    f"{file} cannot be read ({error}). Copy the data set again."
                ) from error
        return sorted(rows, key=lambda row: row["episode_index"])

    def _rows(self, row: dict[str, Any]) -> Any:
        """The table of one episode's steps, in order."""
        file = self.path / self._info["data_path"].format(
            chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]
        )
        if self._table is None or self._table[0] != file:
            films = {n for n, f in self._info["features"].items() if f["dtype"] == FILM}
            names = {*self._seen.values(), ACTION, *REWARDS, "episode_index", "frame_index"} - films
            known = [n for n in self._parquet.read_schema(file).names if n in names]
            self._table = (file, self._parquet.read_table(file, columns=known))
        table = self._table[1]
        numbers = table["episode_index"].to_numpy()
        mine = table.take(np.flatnonzero(numbers == row["episode_index"]))
        if "length" in row and len(mine) != row["length"]:
            raise ValueError(f"{file} has {len(mine)} of its {row['length']} steps")
        return mine.sort_by("frame_index")

    def _observation(self, row: dict[str, Any], table: Any, key: str) -> np.ndarray:
        name = self._seen[key]
        kind = self._info["features"][name]["dtype"]
        if kind == FILM:
            return self._film(row, name, len(table))
        if kind == PICTURE:
            cells = table[name].to_pylist()
            pictures = [np.asarray(Image.open(io.BytesIO(cell["bytes"]))) for cell in cells]
            return np.stack([self._small(picture) for picture in pictures])
        return _column(table, name)

    def _film(self, row: dict[str, Any], name: str, count: int) -> np.ndarray:
        """The frames of one episode: (T, 3, H, W) uint8."""
        file = self.path / self._info["video_path"].format(
            video_key=name,
            chunk_index=row[f"videos/{name}/chunk_index"],
            file_index=row[f"videos/{name}/file_index"],
        )
        start = float(row[f"videos/{name}/from_timestamp"])
        half = 0.5 / float(self._info["fps"])
        frames = [self._small(frame) for frame in _frames(file, start - half, count)]
        if len(frames) != count:
            raise ValueError(f"{file} has {len(frames)} of its {count} frames")
        return np.stack(frames)

    def _small(self, picture: np.ndarray) -> np.ndarray:
        """A picture (H, W, C) as (C, H, W), resized now where that is asked for, to save memory."""
        image = picture.transpose(2, 0, 1)
        size = self.reading.image_size
        return image if size is None else resized(np.ascontiguousarray(image)[None], size)[0]


def _frames(file: Path, start: float, count: int) -> Iterator[np.ndarray]:
    """At most `count` frames (H, W, 3) of a film from `start` (seconds) on."""
    import av

    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        container.seek(max(0, int(start / stream.time_base)), stream=stream)
        given = 0
        for frame in container.decode(stream):
            if given == count:
                return
            if frame.time is not None and frame.time >= start:
                given += 1
                yield frame.to_ndarray(format="rgb24")


def _column(table: Any, name: str) -> np.ndarray:
    """A column of numbers or of lists of numbers: (T, ...)."""
    return np.array(table[name].to_pylist())


def _short(name: str) -> str:
    return name.removeprefix(SEEN).replace(".", "_")


def _read_info(path: Path) -> dict[str, Any]:
    """`meta/info.json`, after a check of its version."""
    try:
        info = json.loads((path / INFO).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path / INFO} cannot be read ({error}). Copy it again.") from error
    if not isinstance(info, dict):
        raise UsageError(f"{path / INFO} is no JSON object. Copy the data set again.")
    version = str(info.get("codebase_version"))
    if not version.startswith("v3"):
        raise UsageError(
            f"{path} is a LeRobot data set of version {version}; version 3 is read. LeRobot's own "
            "conversion script brings it to version 3."
        )
    if ACTION not in info.get("features", {}):
        raise UsageError(f"{path / INFO} names no feature 'action'. Give a set with actions.")
    return info
