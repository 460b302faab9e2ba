"""What a spectrum that nobody published must be like, from the summary numbers that were published.

Given are the two largest eigenvalues of a covariance, the smallest and the median one, the trace, the share of the
first axes, and the mean of the metric eigenvalues 1/(s + ridge). Every one of these is linear in the number of
eigenvalues at each value, so the most and the least that any spectrum with these numbers can give to another such sum
is a linear programme; here it is solved on a logarithmic grid.
Chapter: Eigenbasis.
"""

from dataclasses import dataclass

import numpy as np

GRID = (60, 200, 400)  # values tried for the eigenvalues of the first axes, above and below the median
CUTS = 40  # values tried for the border between the first axes and the rest


@dataclass(frozen=True)
class Published:
    """The published numbers of a covariance spectrum; squared gamma units, where they have a unit."""

    dim: int  # D
    largest: float
    second: float
    smallest: float
    trace: float
    first: int  # axes that count as the first ones
    share: float  # of the trace, on the first axes
    ridge: float
    metric_mean: float
    metric_median: float

    @property
    def median(self) -> float:
        """The median eigenvalue, from the metric's."""
        return 1.0 / self.metric_median - self.ridge


def participation_bounds(given: Published) -> dict[str, tuple[float, float]]:
    """Between which participation ratios any spectrum with these numbers lies: {'covariance': (least, most), 'metric'}.

    The metric's is that of 1/(s + ridge). Raises ValueError where no spectrum has all of these numbers.
    """
    trace, total = given.trace, given.metric_mean * given.dim
    powers = {"covariance": (_square, trace), "metric": (_inverse_square, total)}
    return {
        name: (whole**2 / _extreme(given, power, -1), whole**2 / _extreme(given, power, +1))
        for name, (power, whole) in powers.items()
    }


def spectrum_like(given: Published, metric_participation: float, knots: int = 9) -> np.ndarray:
    """A spectrum (D,), descending, with these numbers: smooth in the logarithm between a few knots, nothing more.

    Of the published numbers the extremes, the second and the median are met exactly, the others by least squares.
    """
    from scipy.interpolate import PchipInterpolator
    from scipy.optimize import least_squares

    dim, middle = given.dim, (given.dim - 1) / 2
    upper = np.geomspace(2, middle, knots)  # ranks from 0; the third eigenvalue begins the smooth part
    lower = dim - 1 - np.geomspace(1, dim - 1 - middle, knots)[::-1]
    places = np.concatenate([[1], upper, lower[1:], [dim - 1]])
    ends = np.log([given.second, given.median, given.smallest])

    def build(steps: np.ndarray) -> np.ndarray:
        """Descending from one fixed value to the next, in steps whose shares are free."""
        parts = np.split(np.exp(steps), [knots])
        falls = [np.cumsum(part) / part.sum() for part in parts]
        heights = [ends[i] + fall * (ends[i + 1] - ends[i]) for i, fall in enumerate(falls)]
        curve = PchipInterpolator(places, np.concatenate([ends[:1], *heights]))
        return np.concatenate([[given.largest], np.exp(curve(np.arange(1, dim)))])

    def misses(steps: np.ndarray) -> np.ndarray:
        spectrum = build(steps)
        inverse = 1.0 / (spectrum + given.ridge)
        ratio = inverse.sum() ** 2 / (inverse @ inverse)
        found = [spectrum.sum(), spectrum[: given.first].sum(), inverse.mean(), ratio]
        wanted = [given.trace, given.share * given.trace, given.metric_mean, metric_participation]
        return np.concatenate([1e3 * (np.divide(found, wanted) - 1), 1e-2 * steps])

    return build(least_squares(misses, np.zeros(2 * knots)).x)


def _square(value: np.ndarray, _: float) -> np.ndarray:
    return value**2


def _inverse_square(value: np.ndarray, ridge: float) -> np.ndarray:
    return (value + ridge) ** -2.0


def _extreme(given: Published, power, sign: int) -> float:
    """The least (sign +1) or the most (-1) of the sum of a power over all eigenvalues."""
    cuts = np.linspace(given.median * 1.001, given.share * given.trace / given.first, CUTS)
    found = [value for cut in cuts if (value := _solve(given, cut, power, sign)) is not None]
    if not found:
        raise ValueError("no spectrum has all of the published numbers: at least one of them is of something else")
    return min(found) if sign > 0 else max(found)


def _solve(given: Published, cut: float, power, sign: int) -> float | None:
    """The same with the border between the first axes and the rest at one value; None where that cannot be."""
    from scipy.optimize import linprog

    bounds = ((cut, given.second), (given.median, cut), (given.smallest, given.median))
    counts = (given.first - 2, given.dim // 2 - given.first, given.dim - given.dim // 2 - 1)
    grids = [np.geomspace(low, high, size) for (low, high), size in zip(bounds, GRID, strict=True)]
    value, part = np.concatenate(grids), np.repeat([0, 1, 2], GRID)  # (G,) each
    fixed = np.array([given.largest, given.second, given.smallest])
    rows = [*(part == i for i in range(3)), (part == 0) * value, (part > 0) * value, 1 / (value + given.ridge)]
    sums = [
        *counts,
        given.share * given.trace - fixed[:2].sum(),
        (1 - given.share) * given.trace - fixed[2],
        given.metric_mean * given.dim - (1 / (fixed + given.ridge)).sum(),
    ]
    scale = np.abs(rows).max(axis=1)
    objective = power(value, given.ridge)
    solved = linprog(
        sign * objective / objective.max(), A_eq=rows / scale[:, None], b_eq=sums / scale, bounds=(0, None)
    )
    return float(objective @ solved.x + power(fixed, given.ridge).sum()) if solved.status == 0 else None
