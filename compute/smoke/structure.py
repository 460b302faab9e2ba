"""What lies around the black holes: core, Oort cloud, and where the main cloud of living tokens begins.

All of it is read from one list of numbers, the distance of every token from the centre of the smoke, by two
rules that are stated here and have no number typed in for a model. Chapter: The frozen smoke.
"""

import math
from dataclasses import dataclass

import numpy as np

from compute.smoke import Census


def centre_of(census: Census, neighbour_distance: np.ndarray | None = None) -> int:
    """The token at the centre of the smoke: the smallest id in the largest black hole.

    Where no two rows are equal there is no hole, and the token with the nearest neighbour stands in for it;
    neighbour_distance: (N,) from each token to its nearest other one. Raises ValueError where it is needed
    and missing.
    """
    if len(census.populations):
        return int(census.first_members[0])
    if neighbour_distance is None:
        raise ValueError(
            "no two rows are equal, so no black hole marks a centre; hand over each token's distance to its "
            "nearest neighbour, and the token in the closest company stands in for it"
        )
    return int(np.argmin(neighbour_distance))


def main_cloud_edge(distance: np.ndarray) -> float:
    """The distance from the centre below which fewer than one token of the main cloud is expected.

    distance: (N,), all tokens. The main cloud is taken as a Gaussian in this distance, with its median m and
    its lower spread s (m minus the 15.87 % quantile); of its n tokens fewer than one falls below m + s
    Phi^-1(1 / n). The centre's own hole is left out from the start; what lies inside is no longer counted as
    main cloud, and the rule is applied again until nothing changes. 0 where all tokens are in one hole.
    """
    from scipy.stats import norm

    living, edge = distance[distance > 0], 0.0
    for _ in range(100 if len(living) else 0):  # few rounds settle it; a list that shrinks cannot turn in circles
        low, median = np.quantile(living, [norm.cdf(-1), 0.5])
        edge = max(edge, float(median + (median - low) * norm.ppf(1 / len(living))))
        kept = living[living >= edge]
        if len(kept) in (0, len(living)):
            break
        living = kept
    return edge


@dataclass(frozen=True)
class Gap:
    """The widest gap in a list of distances, on a logarithmic axis."""

    inner: float  # the last distance before the gap
    outer: float  # the first behind it
    ratio: float  # outer / inner, with an inner distance below the resolution counted as the resolution
    runner_up: float  # the ratio of the second widest gap
    chance: float  # how often one as wide is found where distances are scattered evenly in their logarithm


def widest_gap(distances: np.ndarray, resolution: float) -> Gap:
    """Finds where a list of distances jumps by the largest factor.

    Distances below `resolution`, the size of one cell of the lattice, are as good as equal: they count as the
    resolution. The chance is Whitworth's: n - 1 points thrown evenly into an interval leave a spacing wider
    than the share g of it with probability sum_j (-1)^(j-1) C(n, j) (1 - j g)^(n-1), over all j with j g < 1.
    Raises ValueError where fewer than two different distances are left.
    """
    radii = np.unique(np.maximum(distances, resolution))
    if len(radii) < 2 or resolution <= 0:
        raise ValueError(f"a gap lies between two distances; found {len(radii)} above the resolution {resolution:g}")
    steps = np.diff(np.log(radii))
    widest = int(steps.argmax())
    inside = distances[distances <= radii[widest]]
    return Gap(
        inner=float(inside.max()) if len(inside) else float(resolution),
        outer=float(radii[widest + 1]),
        ratio=float(np.exp(steps[widest])),
        runner_up=float(np.exp(np.sort(steps)[-2])) if len(steps) > 1 else 1.0,
        chance=_whitworth(len(steps), steps[widest] / steps.sum()),
    )


def _whitworth(count: int, share: float) -> float:
    """The probability that the widest of `count` spacings of an interval exceeds the given share of it."""
    if share >= 1:
        return 0.0 if count > 1 else 1.0
    if count * math.exp(-count * share) > 20:  # the alternating terms grow huge; the chance is 1 but for 1e-8
        return 1.0
    whole = math.lgamma(count + 1)
    terms = (
        (-1) ** (j - 1)
        * math.exp(whole - math.lgamma(j + 1) - math.lgamma(count - j + 1) + (count - 1) * math.log1p(-j * share))
        for j in range(1, count + 1)
        if j * share < 1
    )
    return min(1.0, max(0.0, math.fsum(terms)))


@dataclass(frozen=True, eq=False)
class Layers:
    """The smoke from the centre outwards; ids by rising distance, ties by id."""

    centre: int
    core: np.ndarray  # token ids up to the widest gap, the centre's hole among them
    oort: np.ndarray  # token ids behind the gap and inside the edge of the main cloud
    core_radius: float  # distance of the outermost token of the core
    edge: float  # where the main cloud begins
    gap: Gap | None  # None where nothing but the centre lies inside the edge: there is no smoke

    @property
    def ids(self) -> np.ndarray:
        """All tokens of the smoke, core and Oort cloud."""
        return np.concatenate([self.core, self.oort])


def layers(distance: np.ndarray, centre: int, resolution: float) -> Layers:
    """Parts the tokens around a centre into core, Oort cloud and main cloud.

    distance: (N,) from the centre; resolution: the size of a cell there, in the same unit. The smoke is what
    lies inside `main_cloud_edge`; the core ends at the widest gap of its distances, the edge of the main
    cloud closing the list, so that a smoke without an Oort cloud is all core.
    """
    edge = main_cloud_edge(distance)
    order = np.argsort(distance, kind="stable")  # (N,)
    inside = order[distance[order] < edge]
    if len(inside) < 2:
        return Layers(centre, np.array([centre]), np.zeros(0, dtype=np.int64), 0.0, edge, None)
    radii = distance[inside]
    gap = widest_gap(np.append(radii, edge), resolution)
    core = radii <= gap.inner
    return Layers(centre, inside[core], inside[~core], float(radii[core].max()), edge, gap)


@dataclass(frozen=True, eq=False)
class Shells:
    """Tokens and different rows in shells around the centre, of equal width in the distance's logarithm."""

    bounds: np.ndarray  # (n + 1,) distances
    tokens: np.ndarray  # (n,) int64
    rows: np.ndarray  # (n,) int64: different rows among them
    at_centre: int  # tokens nearer than the first bound, most of them at distance 0


def shells(distance: np.ndarray, census: Census, innermost: float, per_decade: int = 10) -> Shells:
    """Counts tokens and different rows by distance from the centre, from `innermost` to the farthest token.

    distance: (N,); innermost: the lower bound of the first shell, above 0, such as the size of a cell.
    """
    if not 0 < innermost < distance.max():
        raise ValueError(
            f"shells from {innermost:g} to {distance.max():g} were asked for; the first bound lies between"
        )
    decades = np.log10(distance.max() / innermost)
    bounds = innermost * 10 ** np.linspace(0, decades, max(2, int(np.ceil(decades * per_decade)) + 1))
    bounds[-1] = distance.max()
    alone = np.ones(len(distance), dtype=bool)  # one token a row: the first of each hole, and every single
    alone[census.hole >= 0] = False
    alone[census.first_members] = True
    tokens, rows = (np.histogram(distance[mask], bounds)[0] for mask in (slice(None), alone))
    return Shells(bounds, tokens, rows, int((distance < innermost).sum()))


@dataclass(frozen=True, eq=False)
class Rows:
    """The different rows among some tokens: one token stands for each."""

    ids: np.ndarray  # (n,) the smallest token id of each row, in the order of their first appearance
    population: np.ndarray  # (n,) int64 how many of the tokens share it
    is_hole: np.ndarray  # (n,) bool: two or more tokens of the catalogue share it; the others are singletons


def different_rows(ids: np.ndarray, census: Census) -> Rows:
    """Reduces tokens to their different rows."""
    hole = census.hole[ids]
    key = np.where(hole >= 0, census.first_members[hole] if len(census.members) else -1, ids)
    found, first, population = np.unique(key, return_index=True, return_counts=True)
    order = np.argsort(first)
    found = found[order]
    return Rows(found, population[order], census.hole[found] >= 0)


@dataclass(frozen=True, eq=False)
class Sphere:
    """Rows around a centre, drawn in three dimensions: true distances on a logarithmic radius, directions as shown."""

    positions: np.ndarray  # (n, 3) float64; the centre is at 0, a distance of one resolution at radius log10(2)
    distance: np.ndarray  # (n,) float64 from the centre, gamma units
    shown: np.ndarray  # (n,) share of each direction's length that lies in the three axes; the rest is not drawn


def sphere(rows: np.ndarray, centre: np.ndarray, resolution: float) -> Sphere:
    """Lays rows (n, D) around a centre (D,) for a picture that one can turn.

    radius = log10(1 + distance / resolution), so that core and Oort cloud fit into one picture. The three
    axes are those along which the directions from the centre vary most; a direction is turned into them and
    drawn at full length. The sign of an axis is a convention: its component of largest magnitude is positive.
    """
    offsets = rows.astype(np.float64) - centre  # (n, D)
    distance = np.linalg.norm(offsets, axis=1)  # (n,)
    directions = np.divide(offsets, distance[:, None], out=np.zeros_like(offsets), where=distance[:, None] > 0)
    axes = np.linalg.svd(directions, full_matrices=False)[2][:3]  # (up to 3, D)
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    flat = directions @ axes.T  # (n, up to 3)
    flat = np.pad(flat, ((0, 0), (0, 3 - flat.shape[1])))  # (n, 3)
    shown = np.linalg.norm(flat, axis=1)
    unit = np.divide(flat, shown[:, None], out=np.zeros_like(flat), where=shown[:, None] > 0)
    return Sphere(unit * np.log10(1 + distance / resolution)[:, None], distance, shown)
