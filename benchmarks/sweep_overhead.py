"""What a sweep costs beside its cells: debug cells in a sweep, and by hand on the same cores.

    python benchmarks/sweep_overhead.py --cells 40 --workers 2

By hand is what a person would do without a sweep: as many shells as workers, each going through
its share of the same commands. Beside the time on the wall stands that of the processors, which
other programs on the machine change less.
"""

import argparse
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SPEC = """
preset = "debug"
device = "cpu"
seeds = {seeds}
tasks = {{ point_mass = ["point_mass_reach_top_left"] }}

[stage.pretrain]
command = "pretrain"
options = {{ frames = {frames}, snapshots = [], logging.tensorboard = false }}
"""


def main() -> None:
    """Measure and print what both ways cost."""
    options = read_options()
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "cells.toml"
        spec.write_text(SPEC.format(seeds=[*range(options.cells)], frames=options.frames))
        lines = choreo(spec, Path(folder) / "hand", "--dry-run").splitlines()
        hand = timed(lambda: by_hand(lines, options.workers))
        place, workers = Path(folder) / "sweep", str(options.workers)
        swept = timed(lambda: choreo(spec, place, "--workers", workers))
    for name, one, other in zip(("wall", "processors"), hand, swept, strict=True):
        print(f"{name}: by hand {one:.1f} s, as a sweep {other:.1f} s: {other / one - 1:+.1%}")


def read_options() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--frames", type=int, default=400)
    return parser.parse_args()


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall and of the processors that some work in other processes takes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    work()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, used


def choreo(spec: Path, folder: Path, *options: str) -> str:
    """`choreo sweep` with the same Python; returns what it prints."""
    command = [sys.executable, "-m", "choreo", "sweep", str(spec), "--dir", str(folder), *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def by_hand(lines: list[str], workers: int) -> None:
    """The commands in as many shells as there are workers."""
    python = shlex.join([sys.executable, "-m"])
    shells = []
    for number in range(workers):
        script = "\n".join(f"{python} {line}" for line in lines[number::workers])
        command = ["bash", "-c", f"export OMP_NUM_THREADS=1\nset -e\n{script}"]
        silent = subprocess.DEVNULL
        shells.append(subprocess.Popen(command, stdout=silent, stderr=silent))
    assert [shell.wait() for shell in shells] == [0] * workers


if __name__ == "__main__":
    main()
