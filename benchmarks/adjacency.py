"""Measures the all-pairs structure of the smoke: `adjacency.py [ROWS WIDTH]`, else Qwen's 2,212 x 2,560.

The rows are random bfloat16 bits, so that every component varies: the worst case. Distances, components at
every distance and labels are timed together; the memory is the whole process's peak. Prints one JSON object.
"""

import argparse
import json
import resource
import time

import numpy as np

from compute.smoke.adjacency import Linkage, cell_distances, coordinates


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("n_rows", nargs="?", type=int, default=2_212)
    options.add_argument("width", nargs="?", type=int, default=2_560)
    asked = options.parse_args()
    rng = np.random.default_rng(42)
    stored = rng.integers(0, 2**16, (asked.n_rows, asked.width), dtype=np.uint16) & 0xBFFF  # finite ones only

    start = time.perf_counter()
    linkage = Linkage(cell_distances(coordinates(stored, "BF16")))
    linkage.steps()
    linkage.labels(1)
    elapsed = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"shape": stored.shape, "seconds": elapsed, "peak_gigabytes": peak / 1e9}, indent=1))


if __name__ == "__main__":
    main()
