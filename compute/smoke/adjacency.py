"""Distances between rows in cells of the lattice, and how rows hang together at every distance.

Rows are given by integer coordinates: the place of each component on its lattice. Two rows at L-infinity
distance 1 stand in neighbouring cells; what hangs together at distance t is a connected component of the
graph that joins rows no farther apart than t. Chapter: The frozen smoke.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from compute.lattice import BFLOAT16, FLOAT16, FLOAT32, ordinal, ulp
from compute.quantization import unpack

LATTICES = {"BF16": BFLOAT16, "F16": FLOAT16, "F32": FLOAT32}
COUNTABLE = (*LATTICES, "Q8_0")  # storage formats whose cells can be counted
METRICS = {"linf": "chebyshev", "l1": "cityblock"}  # our names, scipy's names


def coordinates(stored: np.ndarray, storage: str, centre: int = 0) -> np.ndarray:
    """The place of every component on its lattice, (n, D) int64.

    stored: (n, W), rows as they lie in the file. BF16, F16, F32: ordinals, exact across exponents and through
    zero; both zeros are 0. Q8_0: the value in steps of the block scales of row `centre`, rounded to the
    nearest; exact where a row has the scales of that row, and else the nearest cell of that row's lattice.
    Raises ValueError on other formats: their steps are not one lattice.
    """
    if storage in LATTICES:
        return ordinal(stored, LATTICES[storage]).astype(np.int64)
    if storage != "Q8_0":
        raise ValueError(_without_lattice(storage))
    scales, quants = unpack(stored)  # (n, D / 32), (n, D / 32, 32)
    steps = np.abs(scales[centre].astype(np.float64))  # (D / 32,)
    steps[steps == 0] = np.finfo(np.float16).smallest_subnormal  # a block of zeros: all else is far
    values = scales[..., None].astype(np.float64) * quants
    return np.rint(values / steps[:, None]).astype(np.int64).reshape(len(stored), -1)  # (n, D)


def _without_lattice(storage: str) -> str:
    return (
        f"cells of {storage} were asked for; {', '.join(COUNTABLE)} have lattices that can be counted. Decode the rows "
        "and round them to bfloat16 to compare them on that lattice"
    )


def cell_size(stored: np.ndarray, storage: str) -> float:
    """The length of a single hop from one row (1, W), by one cell in a component drawn at random: the resolution there.

    It is the root mean square of the cells' widths, in gamma units, since Euclidean distances add up in
    squares: a ULP in BF16, F16, F32, the block's scale in Q8_0. Raises ValueError on other formats, as
    `coordinates` does.
    """
    if storage in LATTICES:
        return float(np.sqrt((ulp(stored, LATTICES[storage]) ** 2).mean()))
    if storage != "Q8_0":
        raise ValueError(_without_lattice(storage))
    return float(np.sqrt((unpack(stored).scales.astype(np.float64) ** 2).mean()))


def cell_distances(places: np.ndarray, metric: str = "linf") -> np.ndarray:
    """All distances in cells between rows of integer coordinates (n, D): (n, n) int64, symmetric.

    metric: 'linf', the farthest in one component, or 'l1', the cells in all. Exact: what float64 sums here
    are integers below 2^53. Raises ValueError on another metric, TypeError on coordinates that are no
    integers.
    """
    from scipy.spatial.distance import pdist, squareform

    if metric not in METRICS:
        raise ValueError(f"distance {metric!r} was asked for; there are {', '.join(METRICS)}")
    if places.dtype.kind not in "iu":
        raise TypeError(f"cells are counted between integers; found {places.dtype}")
    varying = np.flatnonzero((places != places[:1]).any(axis=0))  # the others add nothing to any distance
    if not len(varying):
        return np.zeros((len(places), len(places)), dtype=np.int64)
    contiguous = np.ascontiguousarray(places[:, varying], dtype=np.float64)  # (n, varying): pdist walks the rows
    return squareform(pdist(contiguous, METRICS[metric])).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Linkage:
    """How n rows hang together at every distance, from their distances (n, n) in cells."""

    distances: np.ndarray  # (n, n) int64

    @cached_property
    def heights(self) -> np.ndarray:
        """The n - 1 distances at which two components become one, ascending: a minimum spanning tree."""
        from scipy.cluster.hierarchy import linkage
        from scipy.spatial.distance import squareform

        if len(self.distances) < 2:
            return np.zeros(0, dtype=np.int64)
        merged = linkage(squareform(self.distances, checks=False), "single")  # (n - 1, 4)
        return merged[:, 2].astype(np.int64)

    def count(self, threshold: int) -> int:
        """How many components there are once rows no farther apart than `threshold` are joined."""
        return len(self.distances) - int(np.searchsorted(self.heights, threshold, side="right"))

    def steps(self) -> list[tuple[int, int]]:
        """The distances at which the number of components changes, each with the number from there on."""
        return [(int(t), self.count(t)) for t in np.unique(np.append(self.heights, 0))]

    def labels(self, threshold: int) -> np.ndarray:
        """The component of each row, (n,) int64, numbered in the order of their first rows."""
        from scipy.sparse.csgraph import connected_components

        found = connected_components(self.distances <= threshold, directed=False)[1]
        _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[inverse]

    def degrees(self, threshold: int) -> np.ndarray:
        """How many other rows are no farther than `threshold`, (n,) int64: the hubs have most."""
        return (self.distances <= threshold).sum(axis=1) - 1

    def edges(self, threshold: int) -> np.ndarray:
        """The pairs no farther apart than `threshold`, (m, 2) int64, each once, in the order of the rows."""
        return np.argwhere(np.triu(self.distances <= threshold, k=1))


@dataclass(frozen=True, eq=False)
class Box:
    """The bounding box of n rows of integer coordinates (n, D), in cells."""

    span: np.ndarray  # (D,) int64: highest minus lowest place in each component
    varying: np.ndarray  # indices of the components that are not the same in all rows
    patterns: np.ndarray  # (D,) int64: how many different places each component takes

    @property
    def widest(self) -> int:
        """The component of the largest span, the first of them."""
        return int(self.span.argmax())


def bounding_box(places: np.ndarray) -> Box:
    """Measures rows of integer coordinates (n, D); raises ValueError where there is no row."""
    if not len(places):
        raise ValueError("the bounding box of no rows was asked for")
    span = places.max(axis=0) - places.min(axis=0)  # (D,)
    ordered = np.sort(places, axis=0)  # (n, D)
    return Box(span, np.flatnonzero(span), (np.diff(ordered, axis=0) != 0).sum(axis=0) + 1)
