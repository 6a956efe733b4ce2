"""Frames per second of environments, from physics alone and with pictures of them.

python benchmarks/environments.py [DOMAIN ...] [--seconds S] [--json]

One environment is stepped in the measuring process, several in processes of their own; actions are
random, two frames each, pictures 64 x 64. Every cell of the table is measured in a fresh process.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from choreo.envs import rendering
from choreo.envs.vector import VectorEnv, make_vector

DOMAINS = ("walker", "quadruped", "jaco", "point_mass", "mw_reach")
COUNTS = (1, 2, 4)
PHYSICS = "physics"
WARM_UP_STEPS = 5
LIMIT_SECONDS = 60  # of a cell beyond the measurement itself


def main() -> None:
    """Measure every cell, or, as a child, one."""
    options = _parse()
    if options.cell:
        domain, kind, number = options.cell
        print(measure(domain, kind, int(number), options.seconds))
        return
    kinds = [PHYSICS, *(name for name in rendering.BACKENDS if _draws(name))]
    rows = [
        {"domain": domain, "kind": kind, "environments": number, "frames_per_second": rate}
        for domain in options.domains or DOMAINS
        for kind in kinds
        for number in COUNTS
        if (rate := _measure_apart(domain, kind, number, options.seconds)) is not None
    ]
    if options.json:
        print(json.dumps({"machine": machine(), "rows": rows}, indent=2))
    else:
        print(machine())
        print(table(rows))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("domains", nargs="*", help=f"of {', '.join(DOMAINS)}, or any id")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each cell")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cell", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def _draws(backend: str) -> bool:
    return rendering.try_backend(backend).failure is None


def _measure_apart(domain: str, kind: str, number: int, seconds: float) -> float | None:
    """Return one cell's frames per second; None, with the reason on stderr, where it fails."""
    cell = ["--cell", domain, kind, str(number), "--seconds", str(seconds)]
    try:
        done = subprocess.run(
            [sys.executable, __file__, *cell],
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS + seconds,
            check=True,
        )
    except subprocess.SubprocessError as error:
        reason = getattr(error, "stderr", None) or str(error)
        print(f"{domain} {kind} {number}: {reason}", file=sys.stderr)
        return None
    return round(float(done.stdout.split()[-1]), 1)


def measure(domain: str, kind: str, number: int, seconds: float) -> float:
    """Return frames per second, of all environments together, over at least one step."""
    obs = "states" if kind == PHYSICS else "pixels"
    if kind != PHYSICS:
        rendering.use_backend(kind)
    with make_vector(domain, number, number > 1, obs=obs, action_repeat=2) as vector:
        _play(vector, WARM_UP_STEPS, seconds)
        start = time.perf_counter()
        steps = _play(vector, None, seconds)
        return steps * number * 2 / (time.perf_counter() - start)


def _play(vector: VectorEnv, most: int | None, seconds: float) -> int:
    """Step with random actions up to so many steps or seconds; return the steps without resets."""
    rng = np.random.default_rng(0)
    shape, seeds = (vector.num, vector.spec.action_size), np.arange(vector.num)
    reset, steps = np.ones(vector.num, dtype=bool), 0
    deadline = time.perf_counter() + seconds
    while (most is None or steps < most) and (steps == 0 or time.perf_counter() < deadline):
        actions = rng.uniform(-1, 1, shape).astype(np.float32)
        reset = vector.step(actions, reset, seeds).is_last
        steps += not reset.any()
    return steps


def table(rows: list[dict]) -> str:
    """Return the rows as a table in Markdown."""
    heads = [f"{count} environment{'s' * (count > 1)}" for count in COUNTS]
    lines = ["| domain | | " + " | ".join(heads) + " |", "|---|---" + "|---:" * len(COUNTS) + "|"]
    for domain, kind in dict.fromkeys((row["domain"], row["kind"]) for row in rows):
        rates = {
            row["environments"]: f"{row['frames_per_second']:.0f}"
            for row in rows
            if (row["domain"], row["kind"]) == (domain, kind)
        }
        name = kind if kind == PHYSICS else f"with pictures, {kind.upper()}"
        cells = " | ".join(rates.get(count, "-") for count in COUNTS)
        lines.append(f"| {domain} | {name} | {cells} |")
    return "\n".join(lines)


def machine() -> str:
    """Return processor and usable cores in words."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return f"{names[0] if names else platform.machine()}, {cores} cores"


if __name__ == "__main__":
    main()
