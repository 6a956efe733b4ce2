"""When a quadruped that lands on its back began to get up: `python benchmarks/righting.py CSV RUN`.

Every episode starts in a random orientation. The experience of a run is cut into blocks of frames;
of each: the share of steps with the torso upright, and of the episodes that begin on the back how
many have stood later on. Reads a finished run's replay and changes nothing.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from choreo.record import checkpoint
from choreo.replay import Replay

BLOCK = 25_000  # steps
UPRIGHT = 47  # entry of quadruped's 78 numbers: cosine between the torso and the vertical
LANDED = 60  # steps until a torso that was dropped lies still
BACK, STANDS = -0.3, 0.8


def main(path: Path, run: Path) -> None:
    """Read the run and write one row a block."""
    newest = checkpoint.latest(run / "checkpoints")
    assert newest is not None, f"{run} has no checkpoint"
    replay = Replay.open(run / "replay", checkpoint.load_state(newest)["replay"])
    begin, end = (int(one[0]) for one in replay.bounds())
    upright = replay.column("observation", 0, begin, end)[:, UPRIGHT]
    starts = np.flatnonzero(replay.column("is_first", 0, begin, end))
    episodes = np.split(upright, starts[1:])
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["from_frame", "share_upright", "episodes", "on_back", "got_up"])
        for block in range(0, len(upright) - BLOCK + 1, BLOCK):
            mine = [e for e, s in zip(episodes, starts, strict=True) if 0 <= s - block < BLOCK]
            fell = [e for e in mine if e[min(LANDED, len(e)) - 1] < BACK]
            rose = sum((e[LANDED:] > STANDS).any() for e in fell)
            share = (upright[block : block + BLOCK] > STANDS).mean()
            table.writerow([block, f"{share:.3f}", len(mine), len(fell), rose])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
