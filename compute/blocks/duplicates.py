"""Which rows of a catalogue are equal, found by hashed partitions: workers hash rows, then partitions look for twins.

Rows are compared by their stored bits, as the census does, or by their values, as a neighbour search does (-0.0 equals
+0.0). Equal rows have equal hashes and meet in one partition; there the rows themselves are compared, so a hash that
collides costs time and changes nothing. Chapter: The catalogue.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from compute import smoke
from compute.blocks import Spread, in_order, parts, ranges
from compute.blocks.shelf import Shelf
from compute.blocks.whereabouts import Whereabouts, opened
from compute.distinct import Distinct
from compute.models.weights import Catalogue
from compute.smoke import Census

By = Literal["bits", "values"]
ROWS = 1024  # read and hashed at a time
SHARE = 16_384  # rows of a task


class Patterns:
    """The rows of a catalogue as unsigned patterns that are equal exactly where the rows are, read when asked for."""

    def __init__(self, catalogue: Catalogue, by: By):
        self.catalogue, self.by = catalogue, by
        sample = self.between(0, 1)
        self.shape, self.itemsize = (catalogue.n_tokens, sample.shape[1]), sample.itemsize

    def between(self, start: int, stop: int) -> np.ndarray:
        """The patterns of the rows [start, stop), (stop - start, W)."""
        if self.by == "bits":
            return self.catalogue.stored(start, stop)
        return _canonical(self.catalogue.block(start, stop))

    def __getitem__(self, ids) -> np.ndarray:
        """The patterns of some ids (n, W), or of one, (W,)."""
        if self.by == "bits":
            return self.catalogue._stored[ids]  # not `stored`: of a distant matrix only these rows are wanted
        found = _canonical(self.catalogue.rows(np.atleast_1d(ids)))
        return found[0] if np.ndim(ids) == 0 else found


def _canonical(rows: np.ndarray) -> np.ndarray:
    """Float32 rows as bits that are equal where the values are."""
    rows += np.float32(0.0)  # turns -0.0 into +0.0
    return rows.view(np.uint32)


def hashed(where: Whereabouts, shelf: Shelf, by: By, start: int, stop: int, partitions: int) -> int:
    """Hash the rows [start, stop) and keep (hash, id) by partition; returns the first row that is not finite, or -1.

    By bits nothing is decoded and every row passes. The partition is told by the high bits: the low ones are weak.
    """
    patterns, bad = Patterns(opened(where), by), -1
    hashes = np.empty(stop - start, np.uint64)
    zero = []
    for low, high in ((a + start, b + start) for a, b in ranges(stop - start, ROWS)):
        part = patterns.between(low, high)
        if by == "values" and bad < 0:
            finite = np.isfinite(part.view(np.float32)).all(axis=1)
            bad = -1 if finite.all() else low + int(np.argmin(finite))
        hashes[low - start : high - start] = smoke.row_hashes(smoke._as_words(part))
        zero.append(low + np.flatnonzero(~part.any(axis=1)))
    partition = (hashes >> np.uint64(40)) % np.uint64(partitions)
    order = np.argsort(partition, kind="stable")
    parts.keep(
        shelf,
        f"hashed-{start}",
        hashes=hashes[order],
        ids=start + order,
        opens=np.searchsorted(partition[order], np.arange(partitions + 1)),
        zero=np.concatenate(zero),
    )
    return bad


def matched(where: Whereabouts, shelf: Shelf, by: By, starts: tuple[int, ...], partition: int) -> int:
    """Find the equal rows of one partition, keep (id, smallest equal id) of all but the smallest; returns how many."""
    found = [parts.needed(shelf, f"hashed-{start}") for start in starts]
    of = [slice(*part["opens"][partition : partition + 2]) for part in found]
    hashes = np.concatenate([part["hashes"][here] for part, here in zip(found, of, strict=True)])
    ids = np.concatenate([part["ids"][here] for part, here in zip(found, of, strict=True)])  # (n,) ascending
    patterns = Patterns(opened(where), by)
    order = np.argsort(hashes, kind="stable")  # (n,): within one hash, ids ascend
    new_run = np.ones(len(ids), bool)
    new_run[1:] = hashes[order[1:]] != hashes[order[:-1]]
    run = np.cumsum(new_run) - 1
    in_order_of_hash = ids[order]
    first = np.arange(patterns.shape[0])  # (N,), of which only this partition's are used
    first[in_order_of_hash] = in_order_of_hash[new_run][run]
    for suspect in smoke._unequal_runs(patterns, in_order_of_hash, new_run, run, first):
        smoke._split_by_bits(patterns, suspect, first)
    later = ids[first[ids] != ids]
    parts.keep(shelf, f"matched-{partition}", later=later, first=first[later])
    return len(later)


def firsts(where: Whereabouts, n_rows: int, shelf: Shelf, by: By, spread: Spread) -> tuple[np.ndarray, np.ndarray]:
    """The smallest id of the rows that equal each row, (N,) int64, and the ids of the rows whose bits are all 0.

    Raises ValueError, by values, where a row is not finite.
    """
    stretches = ranges(n_rows, SHARE)
    many, starts = len(stretches), tuple(start for start, _ in stretches)
    tasks = [(where, shelf, by, start, stop, many) for start, stop in stretches]
    bad = [row for row in in_order(spread, hashed, tasks, f"hashing {where.label}") if row >= 0]
    if bad:
        raise ValueError(f"row {bad[0]} is not finite and has no distances: leave it out or mend it")
    tasks = [(where, shelf, by, starts, partition) for partition in range(many)]
    in_order(spread, matched, tasks, f"equal rows of {where.label}")
    first = np.arange(n_rows)
    for partition in range(many):
        found = parts.needed(shelf, f"matched-{partition}")
        first[found["later"]] = found["first"]
    return first, np.concatenate([parts.needed(shelf, f"hashed-{start}")["zero"] for start in starts])


def census(catalogue: Catalogue, place: Path | Shelf, spread: Spread) -> Census:
    """The black holes of a catalogue as `smoke.census` finds them, bit for bit, by hashed partitions."""
    where = Whereabouts.of(catalogue)
    below = parts.subfolder(place, "census", where.fingerprint, SHARE)
    first, zero = firsts(where, catalogue.n_tokens, below, "bits", spread)
    return smoke._by_population(first, *np.unique(first, return_counts=True), zero)


def distinct(first: np.ndarray) -> Distinct:
    """The distinct rows as `compute.distinct.distinct_rows` gives them, from the smallest equal id of each row (N,)."""
    leaders = np.flatnonzero(first == np.arange(len(first)))  # (U,)
    return Distinct(leaders, np.searchsorted(leaders, first))
