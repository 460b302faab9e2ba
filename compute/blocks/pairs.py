"""The nearest rows between two blocks of a catalogue: one task of a search over all, and its exact candidates.

A task meets the rows of two blocks as `compute.neighbors` does, in tiles of one matrix product that serves both sides,
with the proven bounds of `compute.bounds`, and measures what these cannot dismiss by direct subtraction in float64. So
no bound crosses from one worker to another, only exact squared distances; and the merged k nearest are the same
whatever each task kept beyond them.

What earlier tasks have found is used where it is there: a row whose k nearest so far all lie within r needs nobody
from beyond r. Which tasks have finished by then is chance, and changes how much is kept, not what is nearest.
Chapter: Density.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from compute.blocks import parts
from compute.blocks.shelf import Shelf
from compute.blocks.whereabouts import Whereabouts, opened
from compute.bounds import Tile, prepare, quickest
from compute.closest import Closest
from compute.tiles import beside, on_diagonal
from compute.tiles import meet as meet_tile

TILE = 1024  # rows and columns of one product: what two workers' caches hold together


@dataclass(frozen=True)
class Job:
    """A search that is shared out: what is searched, where its parts lie, and how it is cut."""

    where: Whereabouts
    shelf: Shelf
    k: int  # neighbours wanted, at most one less than the distinct rows
    block: int  # rows of a block, equal ones included

    def ids(self, block: int) -> np.ndarray:
        """The distinct rows of a block, ascending: those that no smaller id equals."""
        first = parts.array(self.shelf, "first")
        start = block * self.block
        own = first[start : start + self.block]
        return start + np.flatnonzero(own == np.arange(start, start + len(own)))

    def rows(self, blocks: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """All rows of some blocks, equal ones included, decoded: float32 (m, D); and where their distinct ones are."""
        catalogue = opened(self.where)
        bounds = [(block * self.block, min((block + 1) * self.block, catalogue.n_tokens)) for block in blocks]
        rows = np.empty((sum(stop - start for start, stop in bounds), catalogue.dim), np.float32)
        places, done = [], 0
        for block, (start, stop) in zip(blocks, bounds, strict=True):
            rows[done : done + stop - start] = catalogue.block(start, stop)
            places.append(self.ids(block) - start + done)
            done += stop - start
        return rows, np.concatenate(places)


@dataclass(frozen=True)
class Candidates:
    """Some ids (n, w) int32 for each of n rows, and their exact squared distances (n, w), inf where there is none."""

    ids: np.ndarray
    squared: np.ndarray

    def best(self, k: int) -> "Candidates":
        """The k nearest of each row, nearest first, ties to the smaller id."""
        nearest_first = np.lexsort((self.ids, self.squared), axis=1)[:, :k]
        return Candidates(*(np.take_along_axis(part, nearest_first, axis=1) for part in (self.ids, self.squared)))

    def reach(self, k: int) -> np.ndarray:
        """How far the k-th of each row is, squared, (n,); inf where there are fewer."""
        if self.squared.shape[1] < k:
            return np.full(len(self.squared), np.inf)
        return np.partition(self.squared, k - 1, axis=1)[:, k - 1]

    def packed(self, name: str) -> dict[str, np.ndarray]:
        """The candidates without the free places, row after row, as arrays for a file."""
        taken = np.isfinite(self.squared)
        return {f"count{name}": taken.sum(axis=1), f"ids{name}": self.ids[taken], f"squared{name}": self.squared[taken]}

    @classmethod
    def unpacked(cls, kept: dict[str, np.ndarray], name: str) -> "Candidates":
        """What was packed under a name."""
        count = kept[f"count{name}"]
        taken = np.arange(count.max(initial=0)) < count[:, None]  # (n, w)
        ids, squared = np.zeros(taken.shape, np.int32), np.full(taken.shape, np.inf)
        ids[taken], squared[taken] = kept[f"ids{name}"], kept[f"squared{name}"]
        return cls(ids, squared)


def meet(job: Job, near: int, far: int) -> int:
    """Find and keep the candidates between two blocks, near <= far, for the rows of both; returns how many.

    A pair that is kept already is not met again.
    """
    name, there = f"pair-{near}-{far}", parts.names(job.shelf)
    kept = parts.read(job.shelf, name) if name in there else None
    if kept is None:
        kept = _met(job, near, far, there)
        parts.keep(job.shelf, name, **kept)
    return sum(len(kept[name]) for name in kept if name.startswith("ids"))


def _met(job: Job, near: int, far: int, there: set[str]) -> dict[str, np.ndarray]:
    blocks = [near] if near == far else [near, far]
    of = [job.ids(block) for block in blocks]
    ids, cut = np.concatenate(of).astype(np.int32), len(of[0])  # (n,) ascending
    reach = np.concatenate([known(job, block, there).reach(job.k) for block in blocks])  # (n,)
    if min(map(len, of)) and len(ids) > 1:
        others, squared = _searched(*job.rows(blocks), cut, job.k, reach)  # (n, k) each
        squared[squared > reach[:, None]] = np.inf
        found = Candidates(ids[others], squared)
    else:
        found = Candidates(*np.empty((2, len(ids), 0)))
    return {
        name: array
        for side, part in enumerate((slice(0, cut), slice(cut, None))[: len(blocks)])
        for name, array in Candidates(found.ids[part], found.squared[part]).packed(str(side)).items()
    }


def known(job: Job, block: int, there: set[str] | None = None) -> Candidates:
    """The candidates of the rows of a block that tasks have kept: all of them, or of those that are `there` some.

    Of the block with itself first, which tells most; how many more are worth reading, the shelf knows.
    """
    many = -(-opened(job.where).n_tokens // job.block)
    pairs = [(min(block, other), max(block, other)) for other in sorted(range(many), key=lambda other: other != block)]
    named = {f"pair-{near}-{far}": str(int(near < block)) for near, far in pairs}  # a pair's first side is the smaller
    if there is None:
        found = [Candidates.unpacked(parts.needed(job.shelf, name), side) for name, side in named.items()]
    else:
        some = [name for name in named if name in there][: job.shelf.looked_at]
        read = ((parts.read(job.shelf, name), named[name]) for name in some)
        found = [Candidates.unpacked(kept, side) for kept, side in read if kept is not None]
    if not found:
        return Candidates(*np.empty((2, len(job.ids(block)), 0)))
    return Candidates(*(np.concatenate([getattr(part, name) for part in found], axis=1) for name in ("ids", "squared")))


def _searched(
    rows: np.ndarray, places: np.ndarray, cut: int, k: int, reach: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of each row here as far as they may be within reach: which ones (n, k), and squared distances.

    rows: (m, D); places: (n,) those that are searched, ascending: those before `cut` against those behind it, or all
    against all where nothing is behind. No row is missed whose squared distance is at most `reach` (n,) and that is
    among the k nearest here; free places: inf.
    """
    shuffle, count = np.random.default_rng(42), len(places)  # so that every tile is a fair sample
    order = np.concatenate([shuffle.permutation(cut), cut + shuffle.permutation(count - cut)])
    operands, closest = prepare(rows, places[order], quickest()), Closest.empty(count, k)
    closest.limit[:] = operands.limit_of(reach[order])
    room = operands.room(min(TILE, count) ** 2)
    for tile in _tiles(cut, count):
        meet_tile(operands, closest, tile, room, nullcontext())
    closest.settle(operands, 0, count)
    ascending = np.argsort(order)
    return order[closest.nearest[ascending]], closest.squared[ascending]


def _tiles(cut: int, n_rows: int) -> Iterator[Tile]:
    """The tiles of a pair of blocks, or of one with itself."""
    for top in range(0, cut, TILE):
        bottom = min(top + TILE, cut)
        if cut == n_rows:
            yield from on_diagonal(top, bottom, TILE // 4)
        yield from beside(top, bottom, bottom if cut == n_rows else cut, n_rows, TILE)
