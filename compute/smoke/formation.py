"""Simulated smoke: tokens that start nearly at one point, rounded to bfloat16, and what black holes that makes.

A story says how tokens scatter around a point before they are rounded. Rounding acts in each component by
itself, and only the distance from the borders of its cell matters: a trial draws where in its cell the point
lies, scatters the tokens, and counts cells. Nothing here was observed, every number is of a simulation.
Chapter: The frozen smoke.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from compute.smoke import census

Scatter = Callable[[np.random.Generator, float, np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Story:
    """One way in which tokens may have come to lie beside each other."""

    name: str
    scatter: Scatter = field(repr=False)  # (generator, sigma, widths (K,), n_tokens) -> offsets (n_tokens, K), in cells
    reach: float = 8.0  # no token strays farther than this many sigma, but for one in 10^11
    in_cells: bool = False  # sigma is in cells, not in gamma units


def _independent(generator: np.random.Generator, sigma: float, widths: np.ndarray, n_tokens: int) -> np.ndarray:
    return generator.standard_normal((n_tokens, len(widths))) * (sigma / widths)


def _proportional(generator: np.random.Generator, sigma: float, widths: np.ndarray, n_tokens: int) -> np.ndarray:
    return generator.standard_normal((n_tokens, len(widths))) * sigma


def _one_line(generator: np.random.Generator, sigma: float, widths: np.ndarray, n_tokens: int) -> np.ndarray:
    direction = generator.standard_normal(len(widths)) * (sigma / widths)  # (K,) in cells
    return np.outer(generator.standard_normal(n_tokens), direction)


INDEPENDENT = Story("every component of every token scattered for itself, by sigma gamma units", _independent)
PROPORTIONAL = Story("every component scattered for itself, by sigma cells", _proportional, in_cells=True)
# the product of two Gaussians falls only exponentially
ONE_LINE = Story("all tokens on one line through the point, sigma gamma units a component", _one_line, reach=40.0)


def several_points(populations: np.ndarray) -> Story:
    """The story that tokens start at several points, as many at each as given, scattered by sigma gamma units.

    Its populations are put in by hand, so that it says nothing about them; what it tells is where the holes
    lie.
    """
    group = np.repeat(np.arange(len(populations)), populations)  # (sum,)

    def scatter(generator, sigma, widths, n_tokens):
        points = generator.standard_normal((len(populations), len(widths))) * (sigma / widths)
        return points[group[:n_tokens]]  # (n_tokens, K)

    return Story(f"{len(populations)} points of given populations, scattered by sigma gamma units", scatter)


STATISTICS = ("holes", "rows", "tokens_in_holes", "largest", "second", "components", "linf")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the trials of one story at one spread gave: {statistic: (trials,) int64}; of a simulation.

    holes; rows: different ones, in holes or alone; tokens_in_holes; largest, second: populations, 0 where
    there is none; components: those in which the holes differ; linf: the farthest that two holes are apart,
    in cells.
    """

    sigma: float
    counts: dict[str, np.ndarray]

    def interval(self, statistic: str, level: float = 0.95) -> tuple[float, float, float]:
        """Lower bound, median and upper bound of the given share of the trials."""
        tail = (1 - level) / 2
        return tuple(np.quantile(self.counts[statistic], [tail, 0.5, 1 - tail]).tolist())

    def chance(self, statistic: str, observed: float) -> float:
        """How often a trial is as far out as what was observed, on that side, counted for two sides; at most 1."""
        counts = self.counts[statistic]
        rarer = min((counts <= observed).sum(), (counts >= observed).sum())
        return float(min(1.0, 2 * (rarer + 1) / (len(counts) + 1)))


def simulate(
    story: Story,
    exponents: np.ndarray,
    n_tokens: int,
    sigma: float,
    trials: int,
    generator: np.random.Generator,
    on_lattice: bool = False,
) -> Outcome:
    """Lets n_tokens tokens fall into cells around one point, `trials` times.

    exponents: (D,) biased bfloat16 exponents of the point, whose cells are 2^(E - 134) wide; sigma: the
    story's spread. on_lattice: the point is itself a bfloat16 vector; else its place within its cell, which
    is not known, is drawn evenly for each component and trial. A token that would leave its binade is counted
    on in cells of the same width.
    """
    widths = np.ldexp(1.0, np.asarray(exponents, dtype=np.int64) - 134)  # (D,) gamma units
    found = [_trial(story, widths, n_tokens, sigma, generator, on_lattice) for _ in range(trials)]
    columns = np.array(found, dtype=np.int64).T  # (statistics, trials)
    return Outcome(float(sigma), dict(zip(STATISTICS, columns, strict=True)))


def _trial(story, widths, n_tokens, sigma, generator, on_lattice) -> tuple[int, ...]:
    place = np.zeros(len(widths)) if on_lattice else generator.uniform(-0.5, 0.5, len(widths))  # (D,) in cells
    farthest = story.reach * (sigma if story.in_cells else sigma / widths)  # in cells
    near = np.flatnonzero(np.abs(place) + farthest > 0.5)  # (K,): in the others no token leaves the cell
    if not len(near):
        return 1, 1, n_tokens, n_tokens, 0, 0, 0
    offsets = story.scatter(generator, sigma, widths[near], n_tokens)
    cells = np.rint(place[near] + offsets).astype(np.int64)  # (n_tokens, K)
    counted = census(cells.view(np.uint64))
    holes = cells[counted.first_members]  # (holes, K)
    span = np.ptp(holes, axis=0) if len(holes) else np.zeros(1, dtype=np.int64)
    largest, second = np.append(counted.populations, [0, 0])[:2]
    return (
        len(holes), counted.unique_rows, counted.tokens_in_holes, largest, second, (span > 0).sum(), span.max(),
    )  # fmt: skip


def best_chance(outcomes: Iterable[Outcome], observed: Mapping[str, float]) -> tuple[float, float]:
    """The spread at which a story fits what was observed best, and its chance there: (sigma, chance).

    The chance is that of the worst statistic, times the number of statistics (Bonferroni), so that a story
    whose best chance is below 0.05 is ruled out at that level, whatever its spread.
    """
    told = [
        (min(outcome.chance(name, value) for name, value in observed.items()), outcome.sigma) for outcome in outcomes
    ]
    chance, sigma = max(told)
    return sigma, min(1.0, chance * len(observed))


def log10_coincidence(exponents: np.ndarray, sigma: float) -> float:
    """The decimal logarithm of the probability that two tokens drawn with a spread sigma round to the same row.

    Two draws from N(0, sigma^2) fall into one cell of width u with probability u / (2 sqrt(pi) sigma), for u
    << sigma; where that exceeds 1 it counts as 1, so that the result is no lower than the truth for small
    sigma.
    """
    widths = np.ldexp(1.0, np.asarray(exponents, dtype=np.int64) - 134)
    return float(np.minimum(0, np.log10(widths / (2 * np.sqrt(np.pi) * sigma))).sum())


def four_combinations(places: np.ndarray) -> np.ndarray:
    """Pairs of components in which all four combinations of low and high occur among rows (n, D): (m, 2) indices.

    Points on a line pass each border once, so that two borders leave three combinations at most: one pair
    with four shows that the rows lie on no line, nor on any curve along which every component only rises or
    only falls. It is the four-gamete test of population genetics, at every pair of borders between the places
    that occur.
    """
    borders = [np.unique(column)[1:] for column in places.T]  # a border below each place but the lowest
    sides = [(column[:, None] >= border) for column, border in zip(places.T, borders, strict=True)]  # (n, borders)
    found = []
    for i in range(len(sides)):
        for j in range(i + 1, len(sides)):
            a, b = sides[i][:, :, None], sides[j][:, None, :]  # (n, borders of i, borders of j)
            corners = [(x & y).any(axis=0) for x in (a, ~a) for y in (b, ~b)]
            if np.logical_and.reduce(corners).any():
                found.append((i, j))
    return np.array(found, dtype=np.int64).reshape(-1, 2)


@dataclass(frozen=True)
class Dependence:
    """How far the components of a swarm move together: entropies in bits a token."""

    apart: float  # the sum of the components' entropies: what independent components would carry
    together: float  # the entropy of the rows
    shared: float  # apart - together, the total correlation; 0 where the components are independent
    shuffled: float  # the largest total correlation of any shuffle, in which every component is dealt anew
    chance: float  # of as much in a shuffle: (1 + shuffles with as much) / (1 + shuffles)


def dependence(
    places: np.ndarray, populations: np.ndarray, shuffles: int, generator: np.random.Generator
) -> Dependence:
    """Asks whether the components of the holes (n, D), with populations (n,), could have been scattered independently.

    Whatever the point and whatever the spreads, tokens whose components are scattered independently have
    components with no total correlation but that of chance; so this has no free number.
    """
    tokens = np.repeat(places, populations, axis=0)  # (sum of populations, D)
    columns = np.column_stack([np.unique(column, return_inverse=True)[1] for column in tokens.T])
    apart = sum(_entropy(column[:, None]) for column in columns.T)
    together = _entropy(columns)
    dealt = [apart - _entropy(generator.permuted(columns, axis=0)) for _ in range(shuffles)]
    as_much = sum(value >= apart - together for value in dealt)
    return Dependence(apart, together, apart - together, max(dealt), (1 + as_much) / (1 + shuffles))


def _entropy(rows: np.ndarray) -> float:
    counts = np.unique(rows, axis=0, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
