"""Episodes in this project's own form: run folders, and sets that were imported before."""

from pathlib import Path
from typing import Any

import numpy as np

from choreo.data.card import CARD, IMPORTED, card_spec, read_card
from choreo.data.episode import EpisodeData, Reading, complete
from choreo.data.files import plain_file
from choreo.data.formats.source import Source
from choreo.envs.spaces import EnvSpec
from choreo.errors import ChoreoError, UsageError
from choreo.replay.storage import Replay

REPLAY = "replay"
CHUNK = 8_192  # steps looked at together, so that memory stays flat [ours]


class ReplaySource(Source):
    """The episodes whose first step a replay still holds, stream by stream."""

    format = "choreo replay"
    scaled = True

    def __init__(self, path: Path, reading: Reading) -> None:
        super().__init__(path, reading)
        root = self.path.parent if self.path.name == REPLAY else self.path
        self.card = read_card(root)
        found = _run_state(root) if self.card is None else self.card
        self._spec = card_spec(found, root)
        inside = root / REPLAY if self.card is None else root  # a run's may lie on another disk
        for file in sorted((root / REPLAY).glob("*/*.steps")):
            plain_file(file, inside)
        self.replay = Replay.open(root / REPLAY, found["replay"])
        self._keys = reading.keys or tuple(self._spec.observations)
        self._places = [place for s in range(self.replay.streams) for place in self._episodes(s)]
        self.names = [f"{self.path}: stream {s}, steps {a} to {b}" for s, a, b in self._places]

    def files(self) -> list[Path]:
        return sorted(self.replay.folder.glob("*/*.steps"))

    def spec(self) -> EnvSpec:
        return self._spec

    def expected_steps(self) -> int:
        return self.replay.steps_held

    def read(self, index: int) -> EpisodeData:
        stream, start, stop = self._places[index]
        raw: dict[str, np.ndarray] = self.replay.read(stream, start, stop)
        reading = Reading(self._keys, self.reading.keep, self.reading.image_size)
        raw["action_repeat"] = np.array(self._spec.action_repeat)
        return complete(raw, self.names[index], reading)

    def _episodes(self, stream: int) -> list[tuple[int, int, int]]:
        """Stream, start and stop of every episode whose first step is held."""
        low, high = (int(ends[stream]) for ends in self.replay.bounds())
        firsts: list[int] = []
        for begin in range(low, high, CHUNK):
            steps = self.replay.read(stream, begin, min(begin + CHUNK, high))
            firsts.extend((np.flatnonzero(steps["is_first"]) + begin).tolist())
        return [(stream, start, stop) for start, stop in zip(firsts, [*firsts[1:], high])]


def is_replay(path: Path) -> bool:
    """Whether a folder is a run with a replay, that replay, or an imported set."""
    root = path.parent if path.name == REPLAY else path
    card = read_card(root) if root.is_dir() else None
    return (root / REPLAY / "replay.json").exists() or (card or {}).get("kind") == IMPORTED


def _run_state(run: Path) -> dict[str, Any]:
    """Spec and replay bounds that the last checkpoint of a run recorded."""
    from choreo.record.checkpoint import latest, load_state, steady  # brings torch, so only here

    def find() -> Path:
        folder = latest(run / "checkpoints")
        if folder is None:
            raise UsageError(
                f"{run} holds a replay and neither a checkpoint nor a {CARD} that tells how far it "
                "goes. Give the whole folder of a run that has saved a checkpoint, or of an import "
                "that was finished."
            )
        return folder

    state = steady(find, load_state)
    try:
        return {"spec": state["agent"]["spec"], "replay": state["replay"]}
    except KeyError as error:
        raise ChoreoError(
            f"{find()} records no {error}. Give a run of this version of Choreo."
        ) from error
