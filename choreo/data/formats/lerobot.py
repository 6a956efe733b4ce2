"""LeRobot data sets of version 3: parquet tables, with films as mp4.

Source: the layout that `meta/info.json` of such a set describes.
"""

import io
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from choreo.data.episode import ACTION, REWARD, EpisodeData, Reading, from_transitions
from choreo.data.files import BadFile, check_size, plain_file, plain_files, read_json, reading
from choreo.data.formats.source import Source, need
from choreo.data.observations import resized
from choreo.data.reading import BadEpisode, nearest_action, reason_by_name
from choreo.data.schema import Entry, a_table, check, number, text, whole
from choreo.schema import in_words

INFO = Path("meta") / "info.json"
EPISODES = Path("meta") / "episodes"
TABLE = "table of episodes"  # the file that a row comes from
SEEN = "observation."
ACTIONS = (ACTION, "actions")
REWARDS = ("next.reward", "reward", "rewards")
FILM, PICTURE, TEXT = "video", "image", "string"
MOST_NUMBER = 10**6  # of a chunk, a file or an episode [ours]
MOST_PIXELS = 4_096**2  # of one picture [ours]
MODES = {"1": "L", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LA": "L", "PA": "RGBA"}
BYTES = ("L", "RGB", "RGBA")  # modes of Pillow with one byte per channel
ALONE = {"protocol_whitelist": "file", "enable_drefs": "0"}  # a film may name no other file
COPY = "Copy the data set again"


def _place(value: Any) -> bool:
    return whole(value) and value <= MOST_NUMBER


def _feature(value: Any) -> bool:
    return isinstance(value, dict) and text(value.get("dtype"))


def _template(value: Any) -> bool:
    """Whether a path leads down, and names chunk and file with no more than a few digits."""
    if not text(value) or not 0 < len(value) <= 1_000 or ".." in value.split("/"):
        return False
    try:
        parts = list(string.Formatter().parse(value))
    except ValueError:
        return False
    plain = "".join(literal for literal, _, _, _ in parts)
    if value.startswith("/") or any(one in plain for one in ":\\\0"):
        return False
    names = [name for _, name, _, _ in parts if name is not None]
    widths = [form for _, _, form, _ in parts if form]
    known = {"chunk_index", "file_index", "video_key", "episode_chunk", "episode_index"}
    return set(names) <= known and all(len(form) <= 4 for form in widths)


_PATH = Entry("a path within the set, with {chunk_index} and {file_index}", _template)
HEADER = {
    "codebase_version": Entry("a version", text, needed=True),
    "features": Entry("features with a dtype", lambda v: a_table(v, _feature), needed=True),
    "fps": Entry("a number above 0", lambda v: number(v) and 0 < v < 1e6, needed=True),
    "total_frames": Entry("a whole number from 0 on", whole),
    "data_path": Entry(_PATH.wanted, _template, needed=True),
    "video_path": _PATH,
}
EPISODE = {
    "episode_index": Entry("a whole number", whole, needed=True),
    "length": Entry("a whole number from 0 on", whole),
    "data/chunk_index": Entry("a small whole number", _place, needed=True),
    "data/file_index": Entry("a small whole number", _place, needed=True),
}
FILM_PLACE = {
    "chunk_index": Entry("a small whole number", _place, needed=True),
    "file_index": Entry("a small whole number", _place, needed=True),
    "from_timestamp": Entry("a time in seconds", lambda v: number(v) and 0 <= v < 1e9, needed=True),
}


class LeRobotSource(Source):
    """A folder with `meta`, `data` and, where there are films, `videos`.

    `observation.state` becomes the key "state", `observation.images.top` "images_top"; where no
    feature is called so, all are observations that nothing else is known of. Each row has the
    action that was taken there, so the last action of an episode leads nowhere and is left out.
    """

    format = "lerobot"

    def __init__(self, path: Path, reading: Reading) -> None:
        super().__init__(path, reading)
        self._parquet = need("pyarrow.parquet", "A LeRobot data set")
        self._info = _read_info(self.path)
        self._features: dict[str, Any] = self._info["features"]
        own = dict(reading.named)
        self._action = self._find(own.get(ACTION), ACTIONS)
        self._reward = self._find(own.get(REWARD), REWARDS)
        self._left: dict[str, str] = {}
        self._seen = self._observations(own)
        self._episodes = self._table_of_episodes()
        self.names = [
            f"{self.path / self._named('data_path', **_part(row, 'data'))}: episode"
            f" {row['episode_index']}"
            for row in self._episodes
        ]
        self._table: tuple[Path, Any] | None = None  # the one data file that is held

    def files(self) -> list[Path]:
        return plain_files(self.path, (".parquet", ".mp4", ".json"))

    def step_seconds(self) -> float | None:
        return 1 / self._info["fps"]

    def expected_steps(self) -> int | None:
        told = self._info.get("total_frames")
        return None if told is None else min(told, self.bytes())

    def notes(self) -> list[str]:
        return [f"'{name}' left out: {reason}" for name, reason in self._left.items()]

    def read(self, index: int) -> EpisodeData:
        row, name = self._episodes[index], self.names[index]
        table = self._rows(row)
        seen = {key: self._observation(row, table, key, name) for key in self._seen}
        per_action = {ACTION: self._column(table, self._action)}
        if self._reward in table.column_names:
            per_action[REWARD] = self._column(table, self._reward)
        return from_transitions(seen, per_action, name, self.reading, declared=tuple(seen))

    def _find(self, told: str | None, known: tuple[str, ...]) -> str:
        """The feature of that name, or the first of those that are known."""
        if told is not None and told not in self._features:
            raise BadFile(
                self.path / INFO,
                f"it names no '{told}', only {in_words(sorted(self._features))}",
                "Correct --map",
            )
        return told or next((name for name in known if name in self._features), known[0])

    def _observations(self, own: dict[str, str]) -> dict[str, str]:
        """The features that are observations, by key; fills in why the others are none."""
        if self._action not in self._features:
            raise BadFile(
                self.path / INFO,
                f"it names no feature 'action', only {in_words(sorted(self._features))}",
                nearest_action(self._features),
            )
        declared = [n for n in self._features if n.startswith(SEEN)]
        keys = {other: key for key, other in own.items()}
        found = {}
        for name, feature in self._features.items():
            key = keys.get(name, _short(name))
            reason = self._reason(name, feature["dtype"], declared)
            asked = self.reading.keys is not None and key in self.reading.keys
            if asked or (self.reading.keys is None and (reason is None or name in keys)):
                found[key] = name
            elif reason is not None and self.reading.keys is None:
                self._left[name] = reason
        for name in (self._action, self._reward):
            found = {key: other for key, other in found.items() if other != name}
        return found

    def _reason(self, name: str, dtype: str, declared: list[str]) -> str | None:
        """Why a feature is no observation, None where it is one."""
        if dtype == TEXT:
            return "holds text, not numbers"
        if name in declared:
            return None
        known = reason_by_name(name.replace(".", "/"))
        return known or ("stands beside the observations" if declared else None)

    def _table_of_episodes(self) -> list[dict[str, Any]]:
        """Where each episode lies: one row of `meta/episodes` each."""
        files = plain_files(self.path / EPISODES, (".parquet",))
        if not files:
            first = self.path / EPISODES / "chunk-000" / "file-000.parquet"
            raise BadFile(first, "it is not there", COPY)
        rows: list[dict[str, Any]] = []
        for file in files:
            names = self._check_table(file)
            places = ("episode_index", "length", "data/", "videos/")
            columns = [name for name in names if name.startswith(places)]
            with reading(file):
                found = self._parquet.read_table(file, columns=columns).to_pylist()
            rows += [check(row, EPISODE, file, COPY) | {TABLE: file} for row in found]
        return sorted(rows, key=lambda row: row["episode_index"])

    def _check_table(self, file: Path) -> list[str]:
        """The columns of a table, once its size has been looked at."""
        plain_file(file, self.path)
        with reading(file):
            metadata = self._parquet.read_metadata(file)
            names = [str(name) for name in self._parquet.read_schema(file).names]
            groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
            declared = sum(abs(group.total_byte_size) for group in groups)
        size = file.stat().st_size
        check_size(file, "the table", max(declared, abs(metadata.num_rows) * 8), size)
        return names

    def _named(self, template: str, **named: Any) -> str:
        """The name that the header gives a file."""
        with reading(self.path / INFO):
            return self._info[template].format(**named)

    def _file(self, template: str, **named: Any) -> Path:
        """A file that the header names, below the set's folder."""
        file = self.path / self._named(template, **named)
        if not file.exists() and not file.is_symlink():
            raise BadFile(self.path / INFO, f"it names {file}, which is not there", COPY)
        return plain_file(file, self.path)

    def _rows(self, row: dict[str, Any]) -> Any:
        """The table of one episode's steps, in order."""
        file = self._file("data_path", **_part(row, "data"))
        if self._table is None or self._table[0] != file:
            films = {n for n, f in self._features.items() if f["dtype"] == FILM}
            own = {self._action, self._reward, "episode_index", "frame_index"}
            names = ({*self._seen.values()} | own) - films
            known = [n for n in self._check_table(file) if n in names]
            with reading(file):
                self._table = (file, self._parquet.read_table(file, columns=known))
        table = self._table[1]
        with reading(file):
            numbers = table["episode_index"].to_numpy()
            mine = table.take(np.flatnonzero(numbers == row["episode_index"]))
            if row.get("length") is not None and len(mine) != row["length"]:
                raise ValueError(f"{len(mine)} of {row['length']} steps are there")
            return mine.sort_by("frame_index")

    def _column(self, table: Any, name: str) -> np.ndarray:
        """A column of numbers or of lists of numbers: (T, ...)."""
        file = self._table[0] if self._table else self.path
        with reading(file):
            return np.array(table[name].to_pylist())

    def _observation(self, row: dict[str, Any], table: Any, key: str, origin: str) -> np.ndarray:
        name = self._seen[key]
        kind = self._features[name]["dtype"]
        if kind == FILM:
            return self._film(row, name, len(table))
        if kind != PICTURE:
            return self._column(table, name)
        file = self._table[0] if self._table else self.path
        pictures: list[np.ndarray] = []
        with reading(file):
            cells = table[name].to_pylist()
            for cell in cells:
                pictures.append(self._small(_picture(cell, key, origin, self._rest(key))))
                if len(pictures) == 1:
                    size = pictures[0].nbytes * len(cells)
                    check_size(file, key, size, size)
            return np.stack(pictures)

    def _rest(self, key: str) -> str:
        """How to go on without one of the observations."""
        rest = " ".join(other for other in self._seen if other != key)
        return f"Leave it out with --keys {rest}" if rest else "Give a set with others"

    def _film(self, row: dict[str, Any], name: str, count: int) -> np.ndarray:
        """The frames of one episode: (T, 3, H, W) uint8."""
        parts: dict[str, Any] = {part: row.get(f"videos/{name}/{part}") for part in FILM_PLACE}
        check(parts, FILM_PLACE, f"{row[TABLE]}: the film '{name}'", COPY)
        if self._info.get("video_path") is None:
            raise BadFile(self.path / INFO, "it does not tell video_path", COPY)
        start = float(parts.pop("from_timestamp"))
        file = self._file("video_path", video_key=name, **parts)
        half = 0.5 / float(self._info["fps"])
        frames: list[np.ndarray] = []
        with reading(file):
            for frame in _frames(file, start - half, count):
                frames.append(self._small(frame))
                if len(frames) == 1:
                    check_size(file, name, frames[0].nbytes * count, frames[0].nbytes * count)
            if len(frames) != count:
                raise ValueError(f"it has {len(frames)} of {count} frames")
            return np.stack(frames)

    def _small(self, picture: np.ndarray) -> np.ndarray:
        """A picture (H, W, C) as (C, H, W), resized now where that is asked for, to save memory."""
        image = picture.transpose(2, 0, 1)
        size = self.reading.image_size
        return image if size is None else resized(np.ascontiguousarray(image)[None], size)[0]


def _picture(cell: Any, key: str, origin: str, remedy: str) -> np.ndarray:
    """The pixels (H, W, C) uint8 of a cell of a table."""
    data = cell.get("bytes") if isinstance(cell, dict) else None
    if not isinstance(data, bytes):
        raise BadEpisode(origin, f"the pictures '{key}' are not in the table itself", remedy)
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise ValueError(f"a picture of {picture.width} x {picture.height} pixels")
        mode = MODES.get(picture.mode, picture.mode)
        if mode not in BYTES:
            bits = "16 bits" if picture.mode.startswith("I") else f"Pillow's mode {picture.mode}"
            raise BadEpisode(
                origin,
                f"the pictures '{key}' have {bits} per pixel, such as depths; agents take 8 bits "
                "per channel",
                remedy,
            )
        pixels = np.asarray(picture.convert(mode))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _frames(file: Path, start: float, count: int) -> Iterator[np.ndarray]:
    """At most `count` frames (H, W, 3) of a film from `start` (seconds) on.

    The library may open this one file and nothing else: no other protocol, no list of films.
    """
    import av

    with (
        file.open("rb") as opened,
        av.open(opened, "r", format="mp4", options=ALONE) as container,
    ):
        stream = container.streams.video[0]
        assert stream.time_base is not None
        if stream.width * stream.height > MOST_PIXELS:
            raise ValueError(f"a film of {stream.width} x {stream.height} pixels")
        container.seek(max(0, int(start / stream.time_base)), stream=stream)
        given = 0
        for frame in container.decode(stream):
            if given == count:
                return
            if frame.time is not None and frame.time >= start:
                given += 1
                yield frame.to_ndarray(format="rgb24")


def _part(row: dict[str, Any], group: str) -> dict[str, Any]:
    """Which chunk and file an episode's rows or frames are in."""
    return {name: row[f"{group}/{name}"] for name in ("chunk_index", "file_index")}


def _short(name: str) -> str:
    return name.removeprefix(SEEN).replace(".", "_")


def _read_info(path: Path) -> dict[str, Any]:
    """`meta/info.json`, after a check of its version and entries."""
    found = read_json(path / INFO, path)
    version = str(found.get("codebase_version")) if isinstance(found, dict) else "v3"
    if not version.startswith("v3"):
        raise BadFile(
            path / INFO,
            f"it is of version {version[:20]}; version 3 is read",
            "LeRobot's own conversion script brings the set to version 3",
        )
    return check(found, HEADER, path / INFO, COPY)
