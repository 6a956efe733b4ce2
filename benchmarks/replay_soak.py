"""Memory and sampling time of a replay that has long reached its byte cap.

`python benchmarks/replay_soak.py --env point_mass --obs pixels --frames 200000 --max-gb 0.4 OUT`
records random actions and writes OUT.csv and OUT.png. Nothing learns; batches are drawn as in
training, 50 sequences of 50 steps, at the pace of one per 10 frames, and what the cap has dropped
is deleted every 2,500 frames, as checkpoints do. `--env replay_soak:noise --obs states` needs no
simulator: pictures of noise, as fast as they can be written.
"""

import csv
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import gymnasium
import numpy as np
import tyro
from gymnasium import spaces

from choreo.envs.spaces import Obs
from choreo.envs.vector import StepBatch, make_vector
from choreo.replay import Replay, SequenceSampler
from choreo.training.collector import Collector, replay_keys
from choreo.viz.style import RUN_COLOURS, light_grid, make_axes, to_png


class Noise(gymnasium.Env):
    """Pictures 64 x 64 of noise, a thousand to an episode."""

    observation_space = spaces.Box(0, 255, (64, 64, 3), np.uint8)
    action_space = spaces.Box(-1, 1, (6,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        """Begin anew."""
        super().reset(seed=seed)
        self.steps = 0
        return self._seen(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        """One more picture."""
        self.steps += 1
        return self._seen(), 0.0, False, self.steps == 1000, {}

    def _seen(self) -> np.ndarray:
        return self.np_random.integers(0, 256, (64, 64, 3), np.uint8)


def noise() -> gymnasium.Env:
    """For `--env replay_soak:noise`."""
    return Noise()


COLUMNS = ("frames", "steps_held", "disk_mb", "memory_mb", "mapped_mb", "sampling_ms", "seconds")


@dataclass(frozen=True)
class Options:
    """What to record and how much of it to keep."""

    out: Annotated[Path, tyro.conf.Positional]
    """Where to write, without a suffix."""
    env: str = "point_mass"
    """Environment."""
    obs: Obs = "pixels"
    """What is recorded."""
    frames: int = 200_000
    """Frames to record."""
    max_gb: float = 0.4
    """Byte cap of the replay."""
    environments: int = 1
    """Environments stepped together."""
    parallel: bool = False
    """Each in a process of its own."""


def main(options: Options) -> None:
    """Record, measure every 2,500 frames, write table and picture."""
    folder = Path(tempfile.mkdtemp(prefix="choreo-soak-"))
    try:
        with make_vector(
            options.env, options.environments, options.parallel, obs=options.obs
        ) as vector:
            cap = int(options.max_gb * 1e9)
            replay = Replay(folder, replay_keys(vector), options.environments, cap)
            rows = record(Collector(vector, replay, seed=0), options.frames)
    finally:
        shutil.rmtree(folder)
    write(options.out, rows)
    print(f"{options.out}.csv and .png: {len(rows)} rows, the last is {rows[-1]}")


def record(collector: Collector, frames: int) -> list[dict[str, float]]:
    """One row of figures per 2,500 frames."""
    rng = np.random.default_rng(0)
    sampler = SequenceSampler(collector.replay, 50, 50, np.random.default_rng(1))
    start, rows, sampling, next_batch, next_row = time.perf_counter(), [], [], 0, 2_500

    def act(step: StepBatch) -> np.ndarray:
        shape = (len(step.reward), collector.vector.spec.action_size)
        return rng.uniform(-1, 1, shape).astype(np.float32)

    while collector.frames < frames:
        collector.step(act)
        if collector.frames >= next_batch and sampler.ready():
            began = time.perf_counter()
            sampler.sample()
            sampling.append(1000 * (time.perf_counter() - began))
            next_batch = collector.frames + 10
        if collector.frames >= next_row:
            collector.replay.collect_garbage([])
            rows.append(measure(collector, sampling, time.perf_counter() - start))
            sampling, next_row = [], next_row + 2_500
    return rows


def measure(collector: Collector, sampling: list[float], seconds: float) -> dict[str, float]:
    """Figures at this moment."""
    memory, mapped = resident_mb()
    replay = collector.replay
    values = (
        collector.frames,
        replay.steps_held,
        replay.bytes_held / 1e6,
        memory,
        mapped,
        statistics.median(sampling),
        seconds,
    )
    return dict(zip(COLUMNS, (round(value, 3) for value in values)))


def resident_mb() -> tuple[float, float]:
    """Memory of this process: its own, and pages of files that the system may take back (MB)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    return int(found["RssAnon"]) / 1024, int(found["RssFile"]) / 1024


def write(out: Path, rows: list[dict[str, float]]) -> None:
    """The table as CSV and as three curves."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.with_suffix(".csv").open("w", newline="") as opened:
        table = csv.DictWriter(opened, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    figure, axes = make_axes(1, 3, 10.5, 2.8)
    panels = (
        ("Memory (MB)", ("memory_mb", "mapped_mb"), ("the process's own", "pages of files")),
        ("On disk (MB)", ("disk_mb",), ("replay",)),
        ("One batch of 50 x 50 (ms)", ("sampling_ms",), ("median",)),
    )
    for axis, (title, columns, names) in zip(axes[0], panels):
        for column, name, colour in zip(columns, names, RUN_COLOURS):
            frames = [row["frames"] / 1000 for row in rows]
            axis.plot(frames, [row[column] for row in rows], color=colour, label=name)
        axis.set_title(title, loc="left")
        axis.set_xlabel("thousand frames")
        axis.set_ylim(bottom=0)
        axis.legend(frameon=False, fontsize=8)
        light_grid(axis)
    out.with_suffix(".png").write_bytes(to_png(figure))


if __name__ == "__main__":
    main(tyro.cli(Options))
