"""The exact k nearest neighbours of all rows, in blocks, without an N x N matrix.

Every pair of distinct rows is met once, in a tile of a matrix product that serves both its rows and its columns: in
bfloat16 where the machine multiplies that faster, in float32 elsewhere. `compute.bounds` proves which pairs the product
cannot dismiss; these are measured by direct subtraction in float64. So the result is a function of the rows and k
alone: precision, block size, number of threads, order of the work and interruptions change no bit of it. Equal rows are
one row during the search and come back at distance exactly 0; ties go to the smaller id. Memory beyond the matrix: one
copy of it in that precision, a tile for each thread, and O(N k).

A search that outlives its process:

    distinct = distinct_rows(rows)
    search = Search.from_arrays(kept) if kept else begin(distinct.first, k)
    for _ in sweep(rows, search):
        keep(search.arrays())
    neighbors = spread(distinct, finish(search), k)

Chapter: Density.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from threading import Lock

import numpy as np
from threadpoolctl import ThreadpoolController

from compute.bounds import Operands, Precision, in_stretches, prepare, quickest
from compute.closest import Closest
from compute.distinct import Distinct, distinct_rows
from compute.tiles import Tile, beside, meet, on_diagonal

LISTS = tuple(field.name for field in fields(Closest) if field.name != "k")  # the arrays


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
    closest: Closest

    @property
    def progress(self) -> float:
        """The part of all pairs that has been met, from 0 to 1; time goes with it."""
        left = 1.0 - min(1.0, self.done * self.block / len(self.order))
        return 1.0 - left * left

    def arrays(self) -> dict[str, np.ndarray]:
        """The state as named arrays, for a store; they are the search's own, which go on changing."""
        numbers = np.array([self.block, self.done, self.closest.k])
        return {"order": self.order, "numbers": numbers} | {name: getattr(self.closest, name) for name in LISTS}

    @classmethod
    def from_arrays(cls, kept: dict[str, np.ndarray]) -> "Search":
        """The state that `arrays` described, copied, since the search writes into it."""
        block, done, k = (int(number) for number in kept["numbers"])
        return cls(np.array(kept["order"]), block, done, Closest(k, *(np.array(kept[name]) for name in LISTS)))


def nearest(
    rows: np.ndarray,
    k: int,
    block: int = 2048,
    threads: int | None = None,
    precision: Precision | None = None,
    progress: Callable[[float], object] = lambda part: None,
) -> Neighbors:
    """The k nearest neighbours of every row of a float32 matrix (N, D), the row itself left out.

    `progress` is told the part of the work that is done, from 0 to 1. Raises TypeError on another matrix,
    ValueError on rows that are not finite and on k < 1 or k >= N.
    """
    checked(rows, k)
    distinct = distinct_rows(rows)
    search = begin(distinct.first, k, block)
    for reached in sweep(rows, search, threads, precision):
        progress(reached.progress)
    return spread(distinct, finish(search), k)


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

    The order of work is shuffled, so that the first block is a fair sample from which all limits start.
    """
    order = np.random.default_rng(seed).permutation(first)
    return Search(order, block, 0, Closest.empty(len(first), min(k, len(first) - 1)))


def sweep(
    rows: np.ndarray, search: Search, threads: int | None = None, precision: Precision | None = None
) -> Iterator[Search]:
    """Meet all pairs that are left among the distinct ones of `rows`; yield the search after each block.

    Each thread meets tiles of its own, and BLAS gets one thread for each meanwhile: faster than to share products.
    """
    n_rows, block = len(search.order), search.block
    threads = threads or os.cpu_count() or 1
    precision = precision or quickest()
    blas = ThreadpoolController().select(user_api="blas")
    with ThreadPoolExecutor(threads, initializer=_alone if precision == "bfloat16" else None) as pool:
        operands = prepare(rows, search.order, precision, pool)
        rooms = [operands.room(min(block, n_rows) ** 2) for _ in range(threads)]
        for start in range(search.done * block, n_rows, block):
            stop = min(start + block, n_rows)
            own, others = list(on_diagonal(start, stop, block // 4)), list(beside(start, stop, stop, n_rows, block))
            with blas.limit(limits=1):
                # the first block begins with itself, where its limits come from; else the small tiles end it together
                for tiles in (own, others) if start == 0 else (others + own[::-1],):
                    _side_by_side(operands, search.closest, tiles, rooms, pool)
            in_stretches(partial(search.closest.settle, operands), start, stop, pool)  # they have met all others
            search.done += 1
            yield search


def _alone() -> None:
    """Let a thread of a pool compute alone: torch would have it call others."""
    import torch

    torch.get_num_threads()  # sets the thread's number, once, to that of the process
    ThreadpoolController().limit(limits=1, user_api="openmp")


def _side_by_side(
    operands: Operands, closest: Closest, tiles: list[Tile], rooms: list[np.ndarray], pool: Executor
) -> None:
    """Meet the tiles of one block of rows, with as many at a time as there are rooms for products."""
    waiting, lock = deque(tiles), Lock()

    def work(room: np.ndarray) -> None:
        while True:
            try:
                tile = waiting.popleft()
            except IndexError:
                return
            meet(operands, closest, tile, room, lock)

    list(pool.map(work, rooms))


def finish(search: Search) -> Neighbors:
    """The k nearest *distinct* rows of each distinct row, from a search that has met all pairs.

    Row u of the result belongs to the u-th distinct row, ascending; the ids are those of the rows. Where there are
    fewer than k other distinct rows, all of them are given.
    """
    ascending = np.argsort(search.order)
    ids, squared = search.order[search.closest.nearest[ascending]], search.closest.squared[ascending]
    return Neighbors(ids, np.sqrt(squared))


def spread(distinct: Distinct, among: Neighbors, k: int) -> Neighbors:
    """The k nearest of all N rows, from those among the distinct ones: equal rows are at distance exactly 0."""
    crowd, of = distinct.crowd, distinct.member_of
    if len(crowd) == len(of):
        return among
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
