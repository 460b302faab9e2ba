"""Neighbour searches that outlive their process: kept every few seconds, and continued where they stopped.

The search itself is `compute.neighbors`; here are the file that it leaves between two blocks, the bar that says how
long it will take, and the question whether the machine has room for it.
Chapter: Density.
"""

import hashlib
import io
import os
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from tqdm import tqdm

from compute.distinct import Distinct, distinct_rows
from compute.integrity import write_whole
from compute.neighbors import Neighbors, Search, begin, checked, finish, spread, sweep

BLOCK = 2048  # rows that meet all others before the search can be kept
PAUSE, SHARE = 5.0, 20  # seconds between two savings, at least, and so many times what the last one took
BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"  # the time goes with the pairs that are met


@dataclass(frozen=True)
class Found:
    """What a search found: the distinct rows, and the nearest distinct rows of each of them."""

    distinct: Distinct
    among: Neighbors  # ids and distances (U, k'), k' = min(k, U - 1)

    def of_all(self, k: int) -> Neighbors:
        """The k nearest of all N rows, equal ones at distance exactly 0."""
        return spread(self.distinct, self.among, k)


def memory_needed(n_rows: int, dim: int, k: int, block: int = BLOCK) -> int:
    """Bytes that a search takes at its peak: the rows, their working copy, a tile a thread, and the lists of O(N k)."""
    width = k + max(k, 76)  # places in a list of candidates
    matrices = 4 * n_rows * 2 * (dim + 2)
    tiles = (os.cpu_count() or 1) * 4 * min(block, n_rows) ** 2
    lists = n_rows * (12 * width + 4 * 12 * k)  # twice while they are saved
    return matrices + tiles + 2 * lists


def ensure_room(n_rows: int, dim: int, k: int) -> None:
    """Raise MemoryError, before anything is allocated, where a search of this size cannot succeed here."""
    needed, available = memory_needed(n_rows, dim, k), psutil.virtual_memory().available
    if needed > available:
        raise MemoryError(
            f"the {k} nearest of {n_rows:,} rows with {dim:,} components take about {needed / 1e9:.1f} GB, and "
            f"{available / 1e9:.1f} GB are free: close other programs, take a machine with more memory, or look at "
            "fewer rows or axes (`sample` in compute.results_density)"
        )


def search(rows: np.ndarray, k: int, file: Path, title: str) -> Found:
    """The k nearest of all rows (N, D) float32; what is done of it is kept in `file` now and then.

    A search of the same rows that was killed goes on where that file stands, and ends bit-identical; a file from
    other rows, or a damaged one, is not used. Raises as `neighbors.checked` does, MemoryError, and OSError where the
    file cannot be written.
    """
    checked(rows, k)
    ensure_room(len(rows), rows.shape[1], k)
    distinct = distinct_rows(rows)
    print_of_rows = np.frombuffer(_hash(rows), np.uint8)
    under_way = _read(file, print_of_rows) or begin(distinct.first, k, BLOCK)
    with tqdm(
        total=1.0, initial=under_way.progress, desc=title, delay=1, smoothing=0, bar_format=BAR,
        disable=not sys.stderr.isatty(),
    ) as bar:  # fmt: skip
        saved, pause = time.monotonic(), PAUSE
        for reached in sweep(rows, under_way):
            if (begun := time.monotonic()) - saved >= pause:
                _keep(file, reached, print_of_rows)
                saved = time.monotonic()
                pause = max(PAUSE, SHARE * (saved - begun))
            bar.update(reached.progress - bar.n)
    return Found(distinct, finish(under_way))


def _hash(rows: np.ndarray) -> bytes:
    digest = hashlib.sha256(f"{rows.shape}".encode())
    for start in range(0, len(rows), BLOCK):
        digest.update(np.ascontiguousarray(rows[start : start + BLOCK]))
    return digest.digest()


def _keep(file: Path, reached: Search, print_of_rows: np.ndarray) -> None:
    whole = io.BytesIO()
    np.savez(whole, rows=print_of_rows, **reached.arrays())
    write_whole(file, [whole.getbuffer()])


def _read(file: Path, print_of_rows: np.ndarray) -> Search | None:
    """The search that a file holds; None where there is no file, or one of other rows, or a damaged one."""
    try:
        with open(file, "rb") as opened, np.load(opened, allow_pickle=False) as kept:
            found = {name: kept[name] for name in kept.files}
    except (FileNotFoundError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    if not np.array_equal(found.pop("rows", None), print_of_rows):
        return None
    return Search.from_arrays(found)
