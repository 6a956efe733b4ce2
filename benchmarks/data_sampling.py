"""How fast batches come from sets of any size: `python benchmarks/data_sampling.py [FOLDER]`.

Sets of 100k, 1M and 10M steps of states (24 numbers) and of pictures (3 x 64 x 64) are made as
sparse files, which have the sizes and none of the content, and batches of 50 sequences of 50 steps
are drawn from them as training does: from sets that the system holds in memory ("warm", those of at
most 2 GB), and right after it was told to forget them ("cold"). Holes cost no time of a disk, so
that cold figures are what the system and this project add to it. Reports batches and megabytes per
second, and the slowest size as a share of the fastest.
"""

import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from choreo.data.importer import LEAST_SEGMENT, MOST_SEGMENT, SEGMENTS
from choreo.replay import Replay, SequenceSampler
from choreo.replay.header import record_layout

BATCH = LENGTH = 50
ACTIONS = 6
SIZES = (100_000, 1_000_000, 10_000_000)
ROUNDS = 7  # of which the median counts
BATCHES = {"warm": {"states": 300, "pixels": 20}, "cold": {"states": 10, "pixels": 5}}
MOST_WARM = 2e9  # bytes

COMMON = {"action": ((ACTIONS,), "float32"), "reward": ((), "float32")}
FLAGS = dict.fromkeys(("is_first", "is_last", "is_terminal"), ((), "bool"))
KINDS = {"states": ((24,), "float32"), "pixels": ((3, 64, 64), "uint8")}


def main(parent: Path | None = None) -> None:
    """Measure every kind and size and print one JSON object."""
    found = []
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        for kind, observation in KINDS.items():
            keys = {"observation": observation, **COMMON, **FLAGS}
            row = record_layout(keys).itemsize
            samplers = {s: sampler_of(Path(folder) / f"{kind}{s}", keys, s) for s in SIZES}
            small = {s: one for s, one in samplers.items() if s * row <= MOST_WARM}
            for state, chosen in (("warm", small), ("cold", samplers)):
                rates = measure(chosen, state, BATCHES[state][kind])
                found += [line(kind, state, steps, row, rate) for steps, rate in rates.items()]
                share = min(rates.values()) / max(rates.values())
                print(f"{kind}, {state}: slowest / fastest {share:.2f} of {len(rates)} sizes")
    machine = {"machine": platform.processor() or platform.machine(), "numpy": np.__version__}
    print(json.dumps({**machine, "batch": [BATCH, LENGTH], "results": found}, indent=1))


def sampler_of(folder: Path, keys: dict, steps: int) -> SequenceSampler:
    """A sampler over a set whose files are holes."""
    row = record_layout(keys).itemsize
    wanted = min(max(steps * row // SEGMENTS, LEAST_SEGMENT), MOST_SEGMENT)
    per_file = wanted // row
    Replay(folder, keys, 1, segment_steps=per_file)
    (folder / "stream_000").mkdir()
    for segment in range(-(-steps // per_file)):
        with (folder / "stream_000" / f"{segment:08d}.steps").open("wb") as file:
            file.truncate(per_file * row)
    replay = Replay.open(folder, {"format": 1, "start": [0], "stop": [steps]})
    return SequenceSampler(replay, BATCH, LENGTH, np.random.default_rng(0))


def measure(samplers: dict[int, SequenceSampler], state: str, batches: int) -> dict[int, float]:
    """Batches per second of each size, in turns, so that the machine's moods meet all of them."""
    rates: dict[int, list[float]] = {steps: [] for steps in samplers}
    for _ in range(ROUNDS):
        for steps, sampler in samplers.items():
            (warm if state == "warm" else forget)(sampler.replay)
            rates[steps].append(rate(sampler, batches))
    return {steps: float(np.median(values)) for steps, values in rates.items()}


def rate(sampler: SequenceSampler, batches: int) -> float:
    """Batches per second."""
    began = time.perf_counter()
    for _ in range(batches):
        sampler.sample()
    return batches / (time.perf_counter() - began)


def warm(replay: Replay) -> None:
    """Read every file once."""
    for path in sorted(replay.folder.rglob("*.steps")):
        with path.open("rb") as file:
            while file.read(2**24):
                pass


def forget(replay: Replay) -> None:
    """Have the system drop every page of the files."""
    replay.close()
    for path in replay.folder.rglob("*.steps"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def line(kind: str, state: str, steps: int, row: int, batches: float) -> dict[str, object]:
    """One result."""
    return {
        "kind": kind,
        "state": state,
        "steps": steps,
        "gigabytes": round(steps * row / 1e9, 2),
        "batches_per_second": round(batches, 1),
        "megabytes_per_second": round(batches * BATCH * LENGTH * row / 1e6),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
