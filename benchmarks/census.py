"""Measures the census against torch.unique(dim=0) and against one pass over the bytes: `census.py [N D]`.

The matrix is random bf16 bits with holes of Qwen's 13 populations planted in it. One pass over the bytes is
an exclusive or of all of them as 64-bit words, the least that any reader of the matrix must do. Prints one
JSON object.
"""

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from compute.smoke import census


def planted(n_rows: int, width: int, populations: list[int], seed: int) -> np.ndarray:
    """Random bits (n_rows, width) uint16 in which the first row of each hole is copied over its members."""
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 2**16, (n_rows, width), dtype=np.uint16)
    members = rng.permutation(n_rows)[: sum(populations)]
    for ids in np.split(members, np.cumsum(populations)[:-1]):
        stored[ids] = stored[ids[0]]
    return stored


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The shortest of `repeats` runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("n_rows", nargs="?", type=int, default=151_936)
    options.add_argument("width", nargs="?", type=int, default=2_560)
    options.add_argument("--repeats", type=int, default=3)
    asked = options.parse_args()

    import torch

    record = Path(__file__).parents[1] / "data" / "published" / "hole_populations.json"
    populations = json.loads(record.read_text())["Qwen3-4B-Instruct-2507"]
    stored = planted(asked.n_rows, asked.width, populations, seed=42)

    tracemalloc.start()
    found = census(stored)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.populations.tolist() == populations
    ours = seconds(lambda: census(stored), asked.repeats)
    one_pass = seconds(lambda: np.bitwise_xor.reduce(stored.view(np.uint64), axis=1), asked.repeats)
    rows = torch.from_numpy(stored.view(np.int16))  # same bits; torch.unique wants a signed type here
    start = time.perf_counter()
    unique = torch.unique(rows, dim=0, return_inverse=True, return_counts=True)[0]
    theirs = time.perf_counter() - start
    assert len(unique) == found.unique_rows
    print(
        json.dumps(
            {
                "shape": [asked.n_rows, asked.width],
                "megabytes": stored.nbytes / 1e6,
                "census_seconds": ours,
                "one_pass_seconds": one_pass,
                "torch_unique_seconds": theirs,
                "faster_than_torch_unique": theirs / ours,
                "passes_over_the_bytes": ours / one_pass,
                "census_peak_megabytes": peak / 1e6,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
