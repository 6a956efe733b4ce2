"""Stands in for the `choreo` command where only a sweep is tested: it starts in no time.

The environment says what it does: `toy:waits` until a file `go` beside its folder is there, or
until it is told to stop; `toy:crashes`; `toy:full` as on a full disk; others end at once.
"""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

WORDS = sys.argv[1:]


def value(name: str) -> str | None:
    return WORDS[WORDS.index(name) + 1] if name in WORDS else None


def saved(number: int, _: FrameType | None) -> None:
    (FOLDER / "saved").touch()
    sys.exit(75)


FOLDER = Path(value("--run-dir") or value("--out") or ".")
signal.signal(signal.SIGTERM, saved)
FOLDER.mkdir(parents=True, exist_ok=True)
with (FOLDER / "starts").open("a") as file:
    file.write(f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')}\n")
what = (value("--env") or "").rpartition(":")[2]
if what == "crashes":
    sys.exit("thinking\nerror: it always\ncrashes")
if what == "full":
    sys.stderr.write("error: Could not write it\n")
    sys.exit(74)
while what == "waits" and not (FOLDER.parents[2] / "go").exists():
    time.sleep(0.02)
if "--json" in WORDS:
    sys.stdout.write('{"mean": 1.5}\n')
