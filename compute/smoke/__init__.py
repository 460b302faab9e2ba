"""Finds the black holes of a catalogue: two or more rows that share every stored bit."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BYTES_A_BLOCK = 1 << 19  # a block of rows stays in the second-level cache while it is hashed


@dataclass(frozen=True, eq=False)
class Census:
    """Holds the black holes of one catalogue of N rows, by falling population, then by smallest member."""

    hole: np.ndarray  # (N,) int32: the hole that a row belongs to, -1 where it shares its bits with no other
    populations: np.ndarray  # (holes,) int64, descending
    members: tuple[np.ndarray, ...]  # one ascending int64 array of token ids a hole
    unique_rows: int  # distinct bit patterns among the N rows
    tokens_in_holes: int
    zero_rows: np.ndarray  # ids of the rows whose bits are all 0 (no sign bit either), in a hole or not

    @property
    def zero_hole(self) -> int | None:
        """The hole of the all-zero rows, a hole of its own kind; None where fewer than two rows are zero."""
        return int(self.hole[self.zero_rows[0]]) if len(self.zero_rows) > 1 else None

    @property
    def first_members(self) -> np.ndarray:
        """The smallest token id of each hole, (holes,) int64: a row that stands for all of its hole."""
        return np.array([ids[0] for ids in self.members], dtype=np.int64)


def row_hashes(words: np.ndarray) -> np.ndarray:
    """Hashes rows (n, words) uint64 to (n,) uint64: h = sum_j w_j r_j mod 2^64, with fixed odd r_j.

    The hash only proposes pairs, their bits decide; so it may be weak, and it is as fast as reading.
    """
    mixed = np.arange(1, words.shape[1] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.einsum("ij,j->i", words, (mixed ^ (mixed >> np.uint64(31))) | np.uint64(1))


def census(stored: np.ndarray, hashes: Callable[[np.ndarray], np.ndarray] = row_hashes) -> Census:
    """Groups the rows of `stored` that are the same bit for bit, without a second copy of the matrix.

    stored: (N, W) unsigned, the bits as they lie in the file: uint16 for bfloat16 and float16, uint32 for
    float32, uint8 for blocks; may be a read-only memory map. hashes: (n, words) uint64 -> (n,) uint64, of
    which nothing is asked but that equal rows give equal hashes. Patterns count, not values: +0.0 and -0.0
    are two, and so are NaNs of different payload. Raises TypeError on anything but unsigned integers,
    ValueError on another shape.
    """
    if stored.dtype.kind != "u":
        raise TypeError(
            f"the census compares stored bits, unsigned integers; found {stored.dtype}: view it as its bits"
        )
    if stored.ndim != 2 or stored.shape[1] == 0:
        raise ValueError(f"the census takes one row a token, (N, W) with W > 0; found shape {stored.shape}")
    n_rows = len(stored)
    hashed = np.empty(n_rows, dtype=np.uint64)
    for start, stop in _blocks(n_rows, stored):
        hashed[start:stop] = hashes(_as_words(stored[start:stop]))

    order = np.argsort(hashed, kind="stable")  # (N,): within one hash, ids ascend
    new_run = np.ones(n_rows, dtype=bool)
    new_run[1:] = hashed[order[1:]] != hashed[order[:-1]]
    run = np.cumsum(new_run) - 1  # (N,) run of equal hashes, in sorted order
    first = np.empty(n_rows, dtype=np.int64)  # smallest id with the same bits
    first[order] = order[new_run][run]
    for suspect in _unequal_runs(stored, order, new_run, run, first):
        _split_by_bits(stored, suspect, first)

    heads, counts = np.unique(first, return_counts=True)  # (unique_rows,) each
    zero_hash = hashes(np.zeros((1, _as_words(stored[:0]).shape[1]), dtype=np.uint64))[0]
    zero_head = [i for i in heads[hashed[heads] == zero_hash] if not stored[i].any()]
    zero_rows = np.flatnonzero(np.isin(first, zero_head))
    return _by_population(first, heads, counts, zero_rows)


def _by_population(first: np.ndarray, heads: np.ndarray, counts: np.ndarray, zero_rows: np.ndarray) -> Census:
    shared = counts > 1
    rank = np.lexsort((heads[shared], -counts[shared]))
    heads_of_holes, populations = heads[shared][rank], counts[shared][rank]
    hole_of_head = np.full(len(first), -1, dtype=np.int32)  # (N,)
    hole_of_head[heads_of_holes] = np.arange(len(heads_of_holes), dtype=np.int32)
    hole = hole_of_head[first]
    captured = np.flatnonzero(hole >= 0)
    captured = captured[np.argsort(hole[captured], kind="stable")]  # by hole, ids ascending within
    bounds = np.cumsum(populations)[:-1]
    members = tuple(np.split(captured, bounds)) if len(populations) else ()
    return Census(hole, populations, members, len(heads), len(captured), zero_rows)


def _blocks(count: int, stored: np.ndarray):
    rows = max(1, BYTES_A_BLOCK // (stored.shape[1] * stored.itemsize))
    for start in range(0, count, rows):
        yield start, min(start + rows, count)


def _as_words(block: np.ndarray) -> np.ndarray:
    """Views a block of rows as uint64 words (n, words), the last one padded with zero bits."""
    octets = np.ascontiguousarray(block).view(np.uint8)  # (n, bytes a row)
    spare = -octets.shape[1] % 8
    if spare:
        octets = np.pad(octets, ((0, 0), (0, spare)))  # (n, bytes a row rounded up to 8)
    return octets.view(np.uint64)


def _unequal_runs(
    stored: np.ndarray, order: np.ndarray, new_run: np.ndarray, run: np.ndarray, first: np.ndarray
) -> list[np.ndarray]:
    """Compares every row that shares its hash with the first row of that hash; the runs where one differs."""
    later = np.flatnonzero(~new_run)  # positions in sorted order
    differs = np.zeros(len(later), dtype=bool)
    for start, stop in _blocks(len(later), stored):
        ids = order[later[start:stop]]
        differs[start:stop] = (stored[ids] != stored[first[ids]]).any(axis=1)
    starts = np.append(np.flatnonzero(new_run), len(order))
    return [order[starts[r] : starts[r + 1]] for r in np.unique(run[later[differs]])]


def _split_by_bits(stored: np.ndarray, ids: np.ndarray, first: np.ndarray) -> None:
    """Regroups the rows of one colliding hash by their bits; `first` gets the smallest id of each group."""
    seen: dict[int, list[int]] = {}  # another hash, so that a run of k rows costs k; the bits still decide
    for i in ids:  # ascending
        row = stored[i]
        twins = seen.setdefault(hash(row.tobytes()), [])
        twin = next((j for j in twins if np.array_equal(stored[j], row)), None)
        if twin is None:
            twins.append(i)
        first[i] = i if twin is None else twin
