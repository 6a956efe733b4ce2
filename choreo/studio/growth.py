"""How often skills meet their codes in imagination, for every checkpoint that a run has saved."""

import json
from contextlib import closing
from pathlib import Path

from choreo.agent import load
from choreo.errors import ChoreoError
from choreo.evaluation.dreamt_atlas import imagined_hit_rate
from choreo.evaluation.runs.growth import Growth, Series, measure_growth
from choreo.evaluation.subject import replay_of
from choreo.record import checkpoint
from choreo.studio.cache import VERSIONS, Cache, name_of, of_all_checkpoints
from choreo.studio.runs import is_hash
from choreo.studio.wire import Message

NAME = name_of("growth", VERSIONS["growth"], {})
LABEL = "Hit rate of skills in imagination"


def measure_checkpoints(message: Message) -> None:
    """Measure every checkpoint of a run that has not been; the numbers lie in the cache.

    One that cannot be measured, such as one whose experience is no longer held, is left out; one
    that is being replaced is looked at again with the next.
    """
    folder = Path(message["run"]["folder"])
    for path in checkpoint.list_checkpoints(folder / "checkpoints"):
        try:
            _measure(folder, path, message["cache_bytes"])
        except (ChoreoError, OSError):
            continue


def _measure(folder: Path, path: Path, most: int) -> None:
    state = checkpoint.load_state(path)
    identity, count = checkpoint.identity(path), state.get("count")
    if not is_hash(identity) or not isinstance(count, int):
        return
    cache = Cache(folder, identity, most)
    if cache.read_json(NAME) is not None:
        return
    replay = replay_of(path)
    if replay is None:
        return
    with closing(replay):
        rate = imagined_hit_rate(load(path), replay)
    text = json.dumps({"at": count, "hit_rate": rate}, allow_nan=False)
    cache.write(f"{NAME}.json", text.encode())


def growth_of(message: Message) -> Growth:
    """The health of a run over time, with the hit rate in imagination as far as it is measured."""
    folder = Path(message["run"]["folder"])
    found = of_all_checkpoints(folder, NAME)
    points = sorted([float(one["at"]), float(one["hit_rate"])] for one in found)
    curve = {"imagined/hit_rate": Series(LABEL, points, "high")} if points else {}
    return measure_growth(folder, curve)
