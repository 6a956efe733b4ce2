"""A Ray cluster of a head without CPUs and two nodes with two each, for tests.

Prints its address and ends with its input; a line "kill" kills the second node without a word.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
    os.environ["RAY_TMPDIR"] = folder
    (Path(folder) / "ray").mkdir()
    from ray.cluster_utils import Cluster  # pyright: ignore

    cluster = Cluster()
    small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster.add_node(num_cpus=0, **small)
    nodes = [cluster.add_node(num_cpus=2, **small) for _ in range(2)]
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            sys.stdout.write("killed\n")
            sys.stdout.flush()
    cluster.shutdown()
