"""The exact k nearest neighbours of all rows, in blocks, without an N x N matrix.

Every pair of distinct rows is met once, in a tile of a float32 matrix product that serves both its rows and its
columns. `Scores` proves that nothing which belongs among the k nearest is lost to rounding, `Shortlists` keeps
what may belong there, and the few that are left are measured again by direct subtraction in float64. So the
result is a function of the rows and k alone: block size, number of threads, order of the work and interruptions
change no bit of it. Equal rows are one row during the search and come back at distance exactly 0; ties go to
the smaller id. Memory beyond the matrix: one float32 copy of it, a tile, and O(N k).

A search that outlives its process:

    distinct = distinct_rows(rows)
    search = Search.from_arrays(kept) if kept else begin(distinct.first, k)
    for _ in sweep(rows, search):
        keep(search.arrays())
    neighbors = spread(distinct, finish(rows, search), k)

Chapter: Density.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from compute.distinct import Distinct, distinct_rows
from compute.scores import Scores, prepare, squared_distances
from compute.shortlist import Shortlists

STRIP_ROWS = 128  # a strip of a tile and its masks stay in the second cache
Tile = tuple[int, int, int, int]  # first and last row, first and last column, at working positions


@dataclass(frozen=True)
class Neighbors:
    """The k nearest of each row, nearest first: `ids` int64 (N, k); `distances` float64 (N, k), the rows' unit."""

    ids: np.ndarray
    distances: np.ndarray


@dataclass
class Search:
    """A neighbour search between two blocks of rows: all that must be kept to go on."""

    order: np.ndarray  # int64 (U,), the row at each working position
    block: int  # rows in a block
    done: int  # blocks finished
    lists: Shortlists

    @property
    def progress(self) -> float:
        """The part of all pairs that has been met, from 0 to 1; time goes with it."""
        left = 1.0 - min(1.0, self.done * self.block / len(self.order))
        return 1.0 - left * left

    def arrays(self) -> dict[str, np.ndarray]:
        """The state as named arrays, for a store; they are the search's own, which go on changing."""
        numbers = np.array([self.block, self.done, self.lists.k])
        return {"order": self.order, "numbers": numbers} | {
            name: getattr(self.lists, name) for name in ("score", "other", "count", "floor")
        }

    @classmethod
    def from_arrays(cls, kept: dict[str, np.ndarray]) -> "Search":
        """The state that `arrays` described, copied, since the search writes into it."""
        block, done, k = (int(number) for number in kept["numbers"])
        lists = Shortlists(k, *(np.array(kept[name]) for name in ("score", "other", "count", "floor")))
        return cls(np.array(kept["order"]), block, done, lists)


def nearest(
    rows: np.ndarray,
    k: int,
    block: int = 2048,
    threads: int | None = None,
    progress: Callable[[float], object] = lambda part: None,
) -> Neighbors:
    """The k nearest neighbours of every row of a float32 matrix (N, D), the row itself left out.

    `progress` is told the part of the work that is done, from 0 to 1. Raises TypeError on another matrix,
    ValueError on rows that are not finite and on k < 1 or k >= N.
    """
    checked(rows, k)
    distinct = distinct_rows(rows)
    search = begin(distinct.first, k, block)
    for reached in sweep(rows, search, threads):
        progress(reached.progress)
    return spread(distinct, finish(rows, search, threads), k)


def checked(rows: np.ndarray, k: int) -> None:
    """Raise TypeError or ValueError where the k nearest of these rows have no meaning."""
    if rows.ndim != 2 or rows.dtype != np.float32 or not rows.flags.c_contiguous:
        raise TypeError(
            f"neighbours need a C-ordered float32 matrix (N, D), found {rows.dtype} {rows.shape}: "
            "np.ascontiguousarray(rows, np.float32) makes one"
        )
    if not 1 <= k < len(rows):
        raise ValueError(f"{k} neighbours asked for among {len(rows)} rows: a row has between 1 and {len(rows) - 1}")
    step = max(1, 2**18 // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        finite = np.isfinite(rows[start : start + step]).all(axis=1)
        if not finite.all():
            first = start + int(np.argmin(finite))
            raise ValueError(f"row {first} is not finite and has no distances: leave it out or mend it")


def begin(first: np.ndarray, k: int, block: int = 2048, seed: int = 42) -> Search:
    """A search over the distinct rows `first` (ids, ascending) that has not met a pair yet.

    The order of work is shuffled, so that the first block is a fair sample from which all floors start.
    """
    order = np.random.default_rng(seed).permutation(first)
    return Search(order, block, 0, Shortlists.empty(len(first), min(k, len(first) - 1)))


def sweep(rows: np.ndarray, search: Search, threads: int | None = None) -> Iterator[Search]:
    """Meet all pairs that are left among the distinct ones of `rows`; yield the search after each block."""
    n_rows, block = len(search.order), search.block
    scores = prepare(rows, search.order)
    buffer = np.empty(min(block, n_rows) ** 2, np.float32)
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for start in range(search.done * block, n_rows, block):
            stop = min(start + block, n_rows)
            left = scores.left(start, stop)  # (block, D + 2)
            for tile in _tiles(start, stop, n_rows, block):
                part = left[tile[0] - start : tile[1] - start]
                score = buffer[: len(part) * (tile[3] - tile[2])].reshape(len(part), -1)
                np.matmul(part, scores.right[tile[2] : tile[3]].T, out=score)
                _meet(scores, search.lists, tile, score, pool)
            if search.lists.k:
                search.lists.tighten(scores, np.arange(start, stop))  # these rows have met all others
            search.done += 1
            yield search


def _tiles(start: int, stop: int, n_rows: int, block: int) -> Iterator[Tile]:
    """The tiles of one block of rows, on the diagonal and right of it."""
    if stop - start <= max(64, block // 4):
        yield start, stop, start, stop
    else:  # halving the diagonal tile saves the products below the diagonal
        middle = (start + stop) // 2
        yield from _tiles(start, middle, middle, block)
        yield from _tiles(middle, stop, stop, block)
        yield start, middle, middle, stop
    for column in range(stop, n_rows, block):
        yield start, stop, column, min(column + block, n_rows)


def _meet(scores: Scores, lists: Shortlists, tile: Tile, score: np.ndarray, pool: Executor) -> None:
    """Enter those pairs of a tile that may belong into the lists of its rows and of its columns."""
    top, bottom, near, far = tile
    diagonal = top == near
    if diagonal:
        np.fill_diagonal(score, -np.inf)
    if bottom - top > lists.k > 0 and np.isneginf(lists.floor[near:far]).any():
        _first_floors(scores, lists, tile, score)
    row, column = _survivors(score, lists.floor[top:bottom], lists.floor[near:far], pool)
    value = score[row, column]
    for_row = np.flatnonzero(value >= lists.floor[top + row])
    lists.add(scores, top + row[for_row], near + column[for_row], value[for_row])
    if not diagonal:
        for_column = np.flatnonzero(value >= lists.floor[near + column])
        by_column = column[for_column].astype(np.min_scalar_type(far - near))  # 16 bits sort by radix
        for_column = for_column[np.argsort(by_column, kind="stable")]
        lists.add(scores, near + column[for_column], top + row[for_column], value[for_column])


def _first_floors(scores: Scores, lists: Shortlists, tile: Tile, score: np.ndarray) -> None:
    """Give the columns of a tile their first floors, at most the k-th best pessimistic score among its rows.

    The rows are taken in groups: the best of k groups are k different rows, so the k-th best of them will do.
    """
    top, bottom, near, far = tile
    opens = np.arange(0, bottom - top, max(1, (bottom - top) // (6 * lists.k)))
    best = np.stack([part.max(axis=0) for part in np.split(score, opens[1:])], axis=1)  # (width, groups)
    best -= np.maximum.reduceat(scores.slack[top:bottom], opens)
    best.partition(len(opens) - lists.k, axis=1)
    floor = best[:, len(opens) - lists.k] - scores.slack[near:far]
    lists.floor[near:far] = np.maximum(lists.floor[near:far], floor)


def _survivors(
    score: np.ndarray, row_floor: np.ndarray, column_floor: np.ndarray, pool: Executor
) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the scores in a tile that reach the floor of their row or of their column."""
    height, width = score.shape

    def stretch(start: int, stop: int) -> list[np.ndarray]:
        reached, too = np.empty((2, STRIP_ROWS, width), bool)
        found = []
        for low in range(start, stop, STRIP_ROWS):
            high = min(low + STRIP_ROWS, stop)
            part = slice(0, high - low)
            np.greater_equal(score[low:high], row_floor[low:high, None], out=reached[part])
            np.greater_equal(score[low:high], column_floor, out=too[part])
            np.logical_or(reached[part], too[part], out=reached[part])
            found.append(np.flatnonzero(reached[part]) + low * width)
        return found

    bounds = np.linspace(0, height, 5).astype(int)
    found = [flat for part in pool.map(stretch, bounds[:-1], bounds[1:]) for flat in part]
    return np.divmod(np.concatenate(found), width)


def finish(rows: np.ndarray, search: Search, threads: int | None = None) -> Neighbors:
    """The k nearest *distinct* rows of each distinct row, the candidates of a finished search measured exactly.

    Row u of the result belongs to the u-th distinct row, ascending; the ids are those of `rows`. Where there are
    fewer than k other distinct rows, all of them are given.
    """
    lists, order = search.lists, search.order
    n_rows, longest = len(order), int(lists.count.max())
    other = lists.other[:, :longest].astype(np.int64)  # (U, W'), positions; candidates stand in front
    owner, place = np.nonzero(np.arange(longest) < lists.count[:, None])
    pair = np.minimum(owner, other[owner, place]) * n_rows + np.maximum(owner, other[owner, place])
    pair, back = np.unique(pair, return_inverse=True)  # one that stands in both lists is measured once
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        measured = squared_distances(rows, order[pair // n_rows], order[pair % n_rows], pool)
    squared = np.full(other.shape, np.inf)
    squared[owner, place] = measured[back]
    ids = order[other]
    nearest_first = np.lexsort((ids, squared), axis=1)[np.argsort(order), : lists.k]  # (U, k), rows ascending
    ids, squared = ids[np.argsort(order)], squared[np.argsort(order)]
    return Neighbors(
        np.take_along_axis(ids, nearest_first, axis=1), np.sqrt(np.take_along_axis(squared, nearest_first, axis=1))
    )


def spread(distinct: Distinct, among: Neighbors, k: int) -> Neighbors:
    """The k nearest of all N rows, from those among the distinct ones: equal rows are at distance exactly 0."""
    crowd, of = distinct.crowd, distinct.member_of
    ids, distances = np.empty((len(of), k), np.int64), np.empty((len(of), k))
    place_of = np.searchsorted(distinct.first, among.ids)  # (U, k')
    single = (crowd == 1) & (crowd[place_of] == 1).all(axis=1) & (among.ids.shape[1] == k)
    if single.any():
        plain = single[of]
        ids[plain], distances[plain] = among.ids[of[plain]], among.distances[of[plain]]
    members = np.split(np.argsort(of, kind="stable"), np.cumsum(crowd)[:-1])
    for place in np.flatnonzero(~single):
        # the k smallest ids of each neighbouring place are enough
        there = [members[other][:k] for other in place_of[place]]
        far_ids = np.concatenate([np.empty(0, np.int64), *there])
        far = np.repeat(among.distances[place], [len(group) for group in there])
        nearest_first = np.lexsort((far_ids, far))[:k]
        for row in members[place]:
            here = members[place][: k + 1]
            here = here[here != row][:k]
            ids[row] = np.concatenate([here, far_ids[nearest_first]])[:k]
            distances[row] = np.concatenate([np.zeros(len(here)), far[nearest_first]])[:k]
    return Neighbors(ids, distances)
