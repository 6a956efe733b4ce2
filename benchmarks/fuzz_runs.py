"""Damages small runs by chance, and counts what the commands that read them make of it.

`python benchmarks/fuzz_runs.py [SECONDS [SEED]]`, 180 seconds and seed 0 unless told. Checkpoints,
state, config and replay header are damaged, also with hashes made anew; then the run is resumed,
fine-tuned from, evaluated, reported, examined or exported. Prints JSON as `fuzz_readers.py` does.
"""

import json
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests"
MOST = 10**6


def main(seconds: int = 180, seed: int = 0) -> int:
    """Fuzz in a folder that is gone afterwards."""
    sys.path.insert(0, str(TESTS))
    import toy_fuzz_runs  # pyright: ignore[reportMissingImports]

    with tempfile.TemporaryDirectory() as root:
        counts, wrong = toy_fuzz_runs.fuzz(Path(root), MOST, seed, float(seconds))
    cases = sum(counts.values())
    print(json.dumps({"cases": cases, "seed": seed, "counts": dict(counts), "wrong": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
