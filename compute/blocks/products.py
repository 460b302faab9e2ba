"""Centroid, covariance and projections of a catalogue, shared out, with the sums in the order of the rows.

The centroid is shared out by rows: tasks hand back the sums of the same blocks that one process adds up, which are then
added in the same order, so it is the same to the last bit. The covariance is shared out by tiles of Sigma, not by rows:
every task sums one tile over all rows in their order, so that no partial Sigma travels and the number of workers has no
say. Against one process, only the order within a product may differ: two sums of float64 products of 2,048 rows
differ by at most 2 x 2,048 u sum_i |gamma'_ia gamma'_ib|, u = 2^-53 [higham2002accuracy, section 3.1], so an entry of
Sigma by at most 6e-13 sqrt(Sigma_aa Sigma_bb) up to a million rows. A projection is one float32 product of D terms: two
of them differ by at most 2 D 2^-24 |gamma'_i| |v|, and by nothing where the same BLAS gets the same blocks, as here.
Chapter: Eigenbasis.
"""

import hashlib
from pathlib import Path

import numpy as np

from compute.blocks import Spread, in_order, parts, ranges
from compute.blocks.shelf import Folder, Shelf
from compute.blocks.whereabouts import Whereabouts, opened
from compute.metric import PRODUCT_ROWS, project
from compute.models import storage
from compute.models.weights import Catalogue

ROWS = 4096  # read at a time, as `Catalogue.blocks` does
SHARE = 16_384  # rows of a task, a multiple of ROWS
STRIP = 640  # columns of a tile of Sigma at most; up to so many, Sigma is one tile and one task


def sums(where: Whereabouts, start: int, stop: int) -> tuple[np.ndarray, int]:
    """The sums of the blocks of rows in [start, stop), (blocks, D) float64, and the first bad row or -1."""
    catalogue, totals = opened(where), []
    for low, high in ((start + a, start + b) for a, b in ranges(stop - start, ROWS)):
        block = catalogue.block(low, high)
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            return np.empty((0, catalogue.dim)), low + int(np.argmin(finite))
        totals.append(block.sum(axis=0, dtype=np.float64))
    return np.array(totals), -1


def centroid(catalogue: Catalogue, spread: Spread) -> np.ndarray:
    """The mean row mu (D,) float64, as `catalog.centroid` finds it, bit for bit. Raises ValueError likewise."""
    where, total = Whereabouts.of(catalogue), 0.0
    tasks = [(where, *stretch) for stretch in ranges(catalogue.n_tokens, SHARE)]
    for totals, bad in in_order(spread, sums, tasks, f"centroid of {where.label}"):
        if bad >= 0:
            raise ValueError(f"row {bad} is not finite, so there is no mean: leave it out or mend it")
        for block in totals:
            total = total + block
    return total / catalogue.n_tokens


def strips(dim: int) -> list[tuple[int, int]]:
    """The strips of columns into which Sigma is cut, as equal as can be."""
    edges = np.linspace(0, dim, -(-dim // STRIP) + 1).astype(int).tolist()
    return list(zip(edges[:-1], edges[1:], strict=True))


def tile(where: Whereabouts, shelf: Shelf, left: tuple[int, int], right: tuple[int, int], single: bool) -> int:
    """Sum one tile of N Sigma over all rows in their order, and keep it; returns its entries. One is not made twice."""
    name = f"tile-{left[0]}-{right[0]}"
    kept = parts.read(shelf, name) if name in parts.names(shelf) else None
    if kept is None:
        kept = {"tile": _summed(opened(where), parts.array(shelf, "mu"), left, right, single)}
        parts.keep(shelf, name, **kept)
    return kept["tile"].size


def _summed(
    catalogue: Catalogue, mu: np.ndarray, left: tuple[int, int], right: tuple[int, int], single: bool
) -> np.ndarray:
    dtype = np.float32 if single else np.float64
    total = np.zeros((left[1] - left[0], right[1] - right[0]))
    for start, stop in ranges(catalogue.n_tokens, ROWS):
        one = _centred(catalogue, start, stop, left, mu, dtype)
        other = one if left == right else _centred(catalogue, start, stop, right, mu, dtype)
        for low in range(0, len(one), PRODUCT_ROWS):
            total += one[low : low + PRODUCT_ROWS].T @ other[low : low + PRODUCT_ROWS]
    return total


def _centred(
    catalogue: Catalogue, start: int, stop: int, columns: tuple[int, int], mu: np.ndarray, dtype: type
) -> np.ndarray:
    """Some columns of some rows, decoded and centred in float64; where a format has no columns, all are decoded."""
    here = slice(*columns)
    if catalogue.storage in storage.STORED:
        part = storage.decode(np.ascontiguousarray(catalogue.stored(start, stop)[:, here]), catalogue.storage)
    else:
        part = catalogue.block(start, stop)[:, here]
    return np.subtract(part, mu[here], dtype=np.float64).astype(dtype, copy=False)


def covariance(
    catalogue: Catalogue, mu: np.ndarray, place: Path | Shelf, spread: Spread, dtype: type = np.float32
) -> np.ndarray:
    """The covariance Sigma (D, D) float64 around mu, as `metric.covariance` has it; finished tiles stay in `place`."""
    where, single, cuts = Whereabouts.of(catalogue), dtype is np.float32, strips(catalogue.dim)
    below = parts.subfolder(place, "covariance", where.fingerprint, mu.tobytes(), single, cuts)
    parts.keep_array(below, "mu", mu)
    pairs = [(left, right) for place, left in enumerate(cuts) for right in cuts[place:]]
    tasks = [(where, below, left, right, single) for left, right in pairs]
    in_order(spread, tile, tasks, f"covariance of {where.label}")
    sigma = np.empty((catalogue.dim, catalogue.dim))
    for left, right in pairs:
        found = parts.needed(below, f"tile-{left[0]}-{right[0]}")["tile"]
        sigma[slice(*left), slice(*right)], sigma[slice(*right), slice(*left)] = found, found.T
    return sigma / catalogue.n_tokens


def projected(where: Whereabouts, shelf: Shelf, file: str, start: int, stop: int) -> int:
    """Project the rows [start, stop) into a .npy file that all see or else into parts; returns how many."""
    stretches = [(start + low, start + high) for low, high in ranges(stop - start, ROWS)]
    if not isinstance(shelf, Folder) and {f"rows-{low}" for low, _ in stretches} <= parts.names(shelf):
        return stop - start
    catalogue, axes, origin = opened(where), parts.array(shelf, "axes"), parts.array(shelf, "origin")
    blocks = ((low - start, catalogue.block(low, high)) for low, high in stretches)
    found = project(blocks, axes, origin, np.empty((stop - start, axes.shape[1]), np.float32))
    if isinstance(shelf, Folder):
        offset = np.load(file, mmap_mode="r").offset
        with open(file, "r+b") as out:  # written, not mapped: two machines may share a page of the file
            out.seek(offset + 4 * start * axes.shape[1])
            out.write(found)
    else:
        for low, high in stretches:
            parts.keep(shelf, f"rows-{low}", rows=found[low - start : high - start])
    return len(found)


def projections(
    catalogue: Catalogue,
    matrix: np.ndarray,
    origin: np.ndarray,
    file: Path,
    spread: Spread,
    place: Path | Shelf | None = None,
) -> np.ndarray:
    """(gamma - origin) `matrix`, (N, R) float32, as `metric.project` makes it, in a .npy file, mapped and writable.

    The file is made anew. In its folder, which all see, workers write into it; elsewhere they leave parts.
    """
    where, axes, origin = Whereabouts.of(catalogue), np.ascontiguousarray(matrix, np.float32), np.float64(origin)
    by = [hashlib.sha256(operand).hexdigest() for operand in (axes, origin)]
    below = parts.subfolder(place or file.parent, "projections", where.fingerprint, axes.shape, *by)
    parts.keep_array(below, "axes", axes)
    parts.keep_array(below, "origin", origin)
    np.lib.format.open_memmap(file, "w+", np.float32, (catalogue.n_tokens, axes.shape[1])).flush()
    tasks = [(where, below, str(file), *stretch) for stretch in ranges(catalogue.n_tokens, SHARE)]
    in_order(spread, projected, tasks, f"projections of {where.label}")
    out = np.lib.format.open_memmap(file, "r+")
    if not isinstance(below, Folder):
        for low, high in ranges(catalogue.n_tokens, ROWS):
            out[low:high] = parts.needed(below, f"rows-{low}")["rows"]
    return out
