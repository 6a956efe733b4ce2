"""Damages small sets of every format by chance, and counts what the readers make of them.

`python benchmarks/fuzz_readers.py [CASES [SEED]]`, 2000 cases and seed 0 unless told. Prints JSON:
"fine" were read, "refused" ended with a sentence that names the file; what else there is, is a
fault ("traceback", "endless", "memory", "nameless") and listed under "wrong"; then the exit code
is 1. About a tenth of a second per case.
"""

import json
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests"


def main(cases: int = 2000, seed: int = 0) -> int:
    """Fuzz in a folder that is gone afterwards."""
    sys.path.insert(0, str(TESTS))
    import toy_fuzz  # pyright: ignore[reportMissingImports]

    with tempfile.TemporaryDirectory() as root:
        counts, wrong = toy_fuzz.fuzz(Path(root), cases, seed)
    print(json.dumps({"cases": cases, "seed": seed, "counts": dict(counts), "wrong": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
