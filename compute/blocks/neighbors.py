"""The exact k nearest of all rows of a catalogue, shared out by pairs of row blocks and merged block by block.

Three rounds: which rows are equal (`duplicates`), the candidates of every pair of blocks (`pairs`), the k nearest of
every block from those. The result is that of `compute.searches.search` on the same rows, bit for bit: distances are
the same float64 sums, ties go to the smaller id, and which worker met whom first has no say.

A worker holds two blocks, their working copies and a tile: 12 to 16 bytes for each component of 12,288 rows, and
half as much again while it reads them; of a distant matrix it holds up to 128 MB beside, of what it read last.
Chapter: Density.
"""

from pathlib import Path

import numpy as np

from compute.blocks import Spread, duplicates, in_order, parts
from compute.blocks.pairs import Job, known, meet
from compute.blocks.shelf import Shelf
from compute.blocks.whereabouts import Whereabouts
from compute.models.weights import Catalogue
from compute.neighbors import Neighbors
from compute.searches import Found

SMALLEST_BLOCK, LARGEST_BLOCK = 4096, 12_288  # rows: what a task is worth, and what it may take of a worker's memory
FEWEST_BLOCKS = 4  # between the two: pairs enough for a handful of workers


def block_rows(n_rows: int) -> int:
    """How many rows a block has, unless another number is asked for."""
    return min(LARGEST_BLOCK, max(SMALLEST_BLOCK, -(-n_rows // FEWEST_BLOCKS)))


def settle(job: Job, block: int) -> int:
    """Merge the candidates of one block into the k nearest of its rows, and keep them; returns how many rows."""
    found, shape = known(job, block).best(job.k), (len(job.ids(block)), job.k)
    parts.keep(job.shelf, f"nearest-{block}", ids=found.ids.reshape(shape), squared=found.squared.reshape(shape))
    return shape[0]


def search(catalogue: Catalogue, k: int, place: Path | Shelf, spread: Spread, block: int | None = None) -> Found:
    """The k nearest of all rows of a catalogue, by tasks that leave their parts in `place`; a rerun goes on there.

    Raises ValueError on k < 1 and k >= N and on rows that are not finite, FileNotFoundError where the workers do not
    see the place or the matrix.
    """
    n_rows, where = catalogue.n_tokens, Whereabouts.of(catalogue)
    if not 1 <= k < n_rows:
        raise ValueError(f"{k} neighbours asked for among {n_rows} rows: a row has between 1 and {n_rows - 1}")
    block = block or block_rows(n_rows)
    below = parts.subfolder(place, "neighbours", where.fingerprint, k, block)
    first, _ = duplicates.firsts(where, n_rows, below, "values", spread)
    distinct = duplicates.distinct(first)
    k_distinct = min(k, len(distinct.first) - 1)
    if not k_distinct:  # a single place
        return Found(distinct, Neighbors(np.empty((1, 0), np.int64), np.empty((1, 0))))
    parts.keep_array(below, "first", first)
    job, many = Job(where, below, k_distinct, block), -(-n_rows // block)
    # each block with itself first: what they find spares the other pairs most of their candidates
    tasks = [(job, near, near + step) for step in range(many) for near in range(many - step)]
    in_order(spread, meet, tasks, f"{k} nearest of {n_rows:,} rows of {where.label}")
    in_order(spread, settle, [(job, number) for number in range(many)], f"merging the neighbours of {where.label}")
    found = [parts.needed(below, f"nearest-{number}") for number in range(many)]
    ids = np.concatenate([part["ids"] for part in found]).astype(np.int64)  # (U, k')
    return Found(distinct, Neighbors(ids, np.sqrt(np.concatenate([part["squared"] for part in found]))))
