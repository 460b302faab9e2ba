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

from pathlib import Path

import numpy as np

from compute.blocks import Spread, in_order, parts, ranges
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


def tile(where: Whereabouts, folder: str, left: tuple[int, int], right: tuple[int, int], single: bool) -> int:
    """Sum one tile of N Sigma over all rows in their order, and keep it; returns its entries. One is not made twice."""
    file = Path(folder) / f"tile-{left[0]}-{right[0]}.npz"
    kept = parts.read(file) if file.name in parts.names(file.parent) else None
    if kept is None:
        kept = {"tile": _summed(opened(where), np.load(Path(folder) / "mu.npy"), left, right, single)}
        parts.keep(file, **kept)
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
    catalogue: Catalogue, mu: np.ndarray, folder: Path, spread: Spread, dtype: type = np.float32
) -> np.ndarray:
    """The covariance Sigma (D, D) float64 around mu, as `metric.covariance` has it; finished tiles stay in `folder`."""
    where, single, cuts = Whereabouts.of(catalogue), dtype is np.float32, strips(catalogue.dim)
    below = parts.subfolder(folder, "covariance", where.fingerprint, mu.tobytes(), single, cuts)
    parts.keep_array(below / "mu.npy", mu)
    pairs = [(left, right) for place, left in enumerate(cuts) for right in cuts[place:]]
    tasks = [(where, str(below), left, right, single) for left, right in pairs]
    in_order(spread, tile, tasks, f"covariance of {where.label}")
    sigma = np.empty((catalogue.dim, catalogue.dim))
    for left, right in pairs:
        found = parts.needed(below / f"tile-{left[0]}-{right[0]}.npz")["tile"]
        sigma[slice(*left), slice(*right)], sigma[slice(*right), slice(*left)] = found, found.T
    return sigma / catalogue.n_tokens


def projected(where: Whereabouts, folder: str, file: str, start: int, stop: int) -> int:
    """Write the projections of the rows [start, stop) into their place in a .npy file; returns how many rows."""
    catalogue, axes = opened(where), np.load(Path(folder) / "axes.npy", mmap_mode="r")
    origin, wide = np.load(Path(folder) / "origin.npy"), axes.shape[1]
    offset = np.load(file, mmap_mode="r").offset
    blocks = ((low, catalogue.block(low + start, high + start)) for low, high in ranges(stop - start, ROWS))
    found = project(blocks, axes, origin, np.empty((stop - start, wide), np.float32))
    with open(file, "r+b") as out:  # written, not mapped: two machines may share a page of the file
        out.seek(offset + 4 * start * wide)
        out.write(found)
    return len(found)


def projections(
    catalogue: Catalogue, matrix: np.ndarray, origin: np.ndarray, file: Path, spread: Spread
) -> np.ndarray:
    """(gamma - origin) `matrix`, (N, R) float32, as `metric.project` makes it, in a .npy file, mapped and writable.

    The file and the two operands beside it are made anew; every row is written once.
    """
    where = Whereabouts.of(catalogue)
    below = parts.subfolder(file.parent, "projections", where.fingerprint)
    parts.keep_array(below / "axes.npy", np.ascontiguousarray(matrix, np.float32))
    parts.keep_array(below / "origin.npy", np.asarray(origin, np.float64))
    np.lib.format.open_memmap(file, "w+", np.float32, (catalogue.n_tokens, matrix.shape[1])).flush()
    tasks = [(where, str(below), str(file), *stretch) for stretch in ranges(catalogue.n_tokens, SHARE)]
    in_order(spread, projected, tasks, f"projections of {where.label}")
    return np.lib.format.open_memmap(file, "r+")
