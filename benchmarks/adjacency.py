"""The all-pairs structure of the smoke at the size of Qwen's cluster, 2,212 x 2,560: time and memory.

The rows are random bfloat16 bits, so that every component varies: the worst case. Distances, components at every
distance and labels are timed together; the memory is the most that the process ever held, read by the system.
"""

import resource
import time

import numpy as np

from compute.smoke.adjacency import Linkage, cell_distances, coordinates


def main(n_rows: int = 2_212, width: int = 2_560) -> list[dict]:
    """Measures; returns one row for seconds and one for gigabytes."""
    generator = np.random.default_rng(42)
    stored = generator.integers(0, 2**16, (n_rows, width), dtype=np.uint16) & 0xBFFF  # finite ones only
    start = time.perf_counter()
    linkage = Linkage(cell_distances(coordinates(stored, "BF16")))
    linkage.steps()
    linkage.labels(1)
    elapsed = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    shape = f"all-pairs cell distances and components of {n_rows:,} x {width:,}"
    return [
        {"name": "adjacency-time", "what": f"{shape}, seconds", "ratio": elapsed, "sense": "under", "target": 10},
        {"name": "adjacency-memory", "what": f"{shape}, gigabytes", "ratio": peak, "sense": "under", "target": 2},
    ]
