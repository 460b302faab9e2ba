"""The census against torch.unique(dim=0) and against one pass over the bytes, at the shape of Qwen3-4B's matrix.

The matrix is random bf16 bits with holes of Qwen's 13 populations planted in it. One pass over the bytes is an
exclusive or of all of them as 64-bit words, the least that any reader of the matrix must do.
"""

import json
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from compute.paths import published_folder
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


def main(n_rows: int = 151_936, width: int = 2_560, repeats: int = 3) -> list[dict]:
    """Measures on a planted galaxy of Qwen's shape and populations, made for this purpose; returns two rows."""
    import torch

    record = published_folder() / "hole_populations.json"
    populations = json.loads(record.read_text("utf-8"))["Qwen3-4B-Instruct-2507"]
    stored = planted(n_rows, width, populations, seed=42)
    tracemalloc.start()
    found = census(stored)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.populations.tolist() == populations
    ours = seconds(lambda: census(stored), repeats)
    one_pass = seconds(lambda: np.bitwise_xor.reduce(stored.view(np.uint64), axis=1), repeats)
    rows = torch.from_numpy(stored.view(np.int16))  # same bits; torch.unique wants a signed type here
    start = time.perf_counter()
    unique = torch.unique(rows, dim=0, return_inverse=True, return_counts=True)[0]
    theirs = time.perf_counter() - start
    assert len(unique) == found.unique_rows
    shape = f"census of {n_rows:,} x {width:,} bfloat16"
    measured = {"seconds": ours, "torch_unique_seconds": theirs, "one_pass_seconds": one_pass, "peak_bytes": peak}
    return [
        {
            "name": "census-torch",
            "what": f"{shape}: times faster than torch.unique(dim=0)",
            "ratio": theirs / ours,
            "sense": "over",
            "target": 8,
            **measured,
        },
        {
            "name": "census-pass",
            "what": f"{shape}: time against one pass over the bytes",
            "ratio": ours / one_pass,
            "sense": "under",
            "target": 5,
            **measured,
        },
    ]
