"""What is left of the dead tokens when a training has ended: holes, neighbours, layers, and how far off the living are.

The census, the cells and the rules of core and Oort cloud are those of `compute.smoke`; what is added is what nobody
can know of a finished model: which of its tokens were dead. Chapter: Does it make smoke?
"""

from dataclasses import dataclass

import numpy as np

from compute.lattice import BFLOAT16, ulp, value
from compute.rounding import round_nearest
from compute.smoke import adjacency, candidates, census, structure

JUMP = 2.0  # the factor from which a jump of the merging distances parts groups
CAMP = 0.01  # share of the rows that the smaller of two camps needs


def as_bfloat16(stored: np.ndarray) -> np.ndarray:
    """The bfloat16 patterns (N, D) of a matrix stored in bfloat16 (uint16), or in float32 (uint32) and rounded."""
    if stored.dtype == np.uint16:
        return stored
    if stored.dtype != np.uint32:
        raise TypeError(f"a matrix is stored as uint16 (bfloat16) or uint32 (float32) patterns; found {stored.dtype}")
    return round_nearest(stored.view(np.float32)).astype(np.uint16)


@dataclass(frozen=True, eq=False)
class Holes:
    """The black holes of a matrix, by falling population, and how much of each is dead."""

    populations: np.ndarray  # (holes,) int64
    dead: np.ndarray  # (holes,) int64: how many of the members never occurred in the text

    @property
    def captured(self) -> int:
        """Dead tokens that share all their bits with another token."""
        return int(self.dead.sum())


def holes(stored: np.ndarray, dead: np.ndarray) -> Holes:
    """Takes the census of stored bits (N, D); dead: (N,) bool."""
    found = census(stored)
    inside = np.array([int(dead[ids].sum()) for ids in found.members], dtype=np.int64)
    return Holes(found.populations.astype(np.int64), inside)


@dataclass(frozen=True, eq=False)
class Company:
    """How near some rows are to each other, in cells of bfloat16; both zeros are one place."""

    nearest: np.ndarray  # (n,) int64: L-infinity to the nearest other one, 0 where the two stand in one place
    thresholds: np.ndarray  # (k,) int64: the distances at which components merge, from 0
    components: np.ndarray  # (k,) int64: how many are left from there on
    touching: int  # components once rows no farther apart than one cell are joined
    farthest: int  # the largest distance of all pairs
    groups: np.ndarray  # (g,) int64: rows in each group, largest first; groups merge last, behind the widest jump
    jump: tuple[int, int] | None  # the merging distances before and behind that jump; None where nothing jumps


def company(stored: np.ndarray) -> Company:
    """Measures bfloat16 rows (n, D) against each other; raises ValueError for fewer than two."""
    if len(stored) < 2:
        raise ValueError(f"company takes two rows at least; found {len(stored)}")
    distances = adjacency.cell_distances(adjacency.coordinates(stored, "BF16"))  # (n, n)
    linkage = adjacency.Linkage(distances)
    steps = np.array(linkage.steps(), dtype=np.int64)  # (k, 2)
    apart = distances + np.diag(np.full(len(stored), np.iinfo(np.int64).max - distances.max()))
    jump = widest_jump(steps[:, 0])
    sizes = np.bincount(linkage.labels(jump[0])) if jump else np.array([len(stored)])
    return Company(
        nearest=apart.min(axis=1),
        thresholds=steps[:, 0],
        components=steps[:, 1],
        touching=linkage.count(1),
        farthest=int(distances.max()),
        groups=np.sort(sizes)[::-1].astype(np.int64),
        jump=jump,
    )


def widest_jump(thresholds: np.ndarray) -> tuple[int, int] | None:
    """Where rising merging distances jump by the largest factor: the last before, the first behind it.

    None where no factor is JUMP or more. A distance of 0 is that of rows which share a place, and merges nothing.
    """
    heights = thresholds[thresholds > 0]
    if len(heights) < 2:
        return None
    factors = heights[1:] / heights[:-1]
    at = int(np.argmax(factors))
    return (int(heights[at]), int(heights[at + 1])) if factors[at] >= JUMP else None


def camps(values: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The components in which rows (n, D) stand in two camps with nobody between, as indices.

    The widest step between neighbouring values is more than half of the component's whole range and two cells (D,) at
    least, so that one that could be taken is empty; and either side has 1 % of the rows. Values, not cells, are
    compared: around zero there are thousands of cells that nobody could be expected in.
    """
    ordered = np.sort(values, axis=0)  # (n, D)
    steps = np.diff(ordered, axis=0)  # (n - 1, D)
    widest, below = steps.max(axis=0), steps.argmax(axis=0) + 1
    smaller = np.minimum(below, len(values) - below)
    parted = (widest > (ordered[-1] - ordered[0]) / 2) & (widest >= 2 * cells) & (smaller >= CAMP * len(values))
    return np.flatnonzero(parted)


def camps_of(stored: np.ndarray) -> np.ndarray:
    """The same of bfloat16 rows (n, D), by the widest cell of each component."""
    return camps(value(stored, BFLOAT16), ulp(stored, BFLOAT16).max(axis=0))


@dataclass(frozen=True)
class Cloud:
    """The dead as one cloud, seen from its own centroid; lengths in gamma units."""

    centroid: float  # from the origin
    radius: float  # root mean square distance of the dead
    farthest: float  # dead token
    nearest_living: float
    median_living: float
    living_inside: int  # living tokens no farther off than the farthest dead one
    area: float  # chance that a dead token is nearer than a living one
    hop: float  # root mean square width of the cells that the dead stand in


def cloud(stored: np.ndarray, dead: np.ndarray) -> Cloud:
    """Measures the dead among bfloat16 rows (N, D); ValueError where all or none are dead."""
    rows = value(stored, BFLOAT16)  # (N, D) float64
    centroid = rows[dead].mean(axis=0)
    away = np.linalg.norm(rows - centroid, axis=1)  # (N,)
    area = candidates.agreement(away, np.flatnonzero(dead)).area  # refuses all and none
    ours, theirs = away[dead], away[~dead]
    return Cloud(
        centroid=float(np.linalg.norm(centroid)),
        radius=float(np.sqrt((ours**2).mean())),
        farthest=float(ours.max()),
        nearest_living=float(theirs.min()),
        median_living=float(np.median(theirs)),
        living_inside=int((theirs <= ours.max()).sum()),
        area=area,
        hop=adjacency.cell_size(stored[dead], "BF16"),
    )


@dataclass(frozen=True, eq=False)
class Layering:
    """What the rules of the frozen smoke, which know nothing of the dead, find in the whole matrix."""

    centre: int
    layers: structure.Layers
    core_dead: int
    oort_dead: int


def layering(stored: np.ndarray, dead: np.ndarray) -> Layering:
    """Parts all tokens, bfloat16 rows (N, D), into core, Oort cloud and main cloud; then tells how many are dead."""
    found = census(stored)
    rows = value(stored, BFLOAT16)  # (N, D) float64
    centre = structure.centre_of(found, None if len(found.members) else _nearest_length(rows))
    distance = np.linalg.norm(rows - rows[centre], axis=1)
    parted = structure.layers(distance, centre, adjacency.cell_size(stored[centre : centre + 1], "BF16"))
    return Layering(centre, parted, int(dead[parted.core].sum()), int(dead[parted.oort].sum()))


def _nearest_length(rows: np.ndarray) -> np.ndarray:
    """The distance of each row to its nearest other one, (N,), by brute force in blocks."""
    square = np.einsum("ij,ij->i", rows, rows)
    nearest = np.empty(len(rows))
    for start in range(0, len(rows), 1024):
        block = slice(start, min(start + 1024, len(rows)))
        apart = square[block, None] + square - 2.0 * (rows[block] @ rows.T)  # (block, N)
        apart[np.arange(len(apart)), np.arange(block.start, block.stop)] = np.inf
        nearest[block] = np.sqrt(np.maximum(apart.min(axis=1), 0))
    return nearest


@dataclass(frozen=True, eq=False)
class Sky:
    """All tokens as seen from the centroid of the dead, laid out as `compute.smoke.structure.sphere` lays rows."""

    positions: np.ndarray  # (N, 3): the radius is log10(1 + distance / hop)
    distance: np.ndarray  # (N,) gamma units
    shown: float  # the share of a direction that the three axes hold, on average
    hop: float


def sky(stored: np.ndarray, dead: np.ndarray) -> Sky:
    """Lays out bfloat16 rows (N, D) around the centroid of the dead."""
    rows = value(stored, BFLOAT16)
    centroid = rows[dead].mean(axis=0)
    hop = adjacency.cell_size(stored[dead], "BF16")
    laid = structure.sphere(rows, centroid, hop)
    away = laid.distance > 0
    return Sky(laid.positions, laid.distance, float(laid.shown[away].mean()) if away.any() else 1.0, hop)
