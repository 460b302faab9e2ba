"""How densely tokens lie: local and volumetric density from k nearest neighbours, and their radial profile.

The density of token i is 1 / (mean distance to its k nearest); tokens whose k nearest are all at distance 0 have an
infinite one and are a population of their own, counted and never averaged. Volumetric density, k over the volume of
the d-ball that reaches the k-th neighbour, overflows already at d in the hundreds: it lives in logarithms only.
Chapter: Density.
"""

from dataclasses import dataclass

import numpy as np


def local_density(distances: np.ndarray) -> np.ndarray:
    """1 / mean distance to the k nearest, (N,) float64 per unit of distance, from (N, k); inf where all are 0."""
    mean = distances.mean(axis=1)  # (N,)
    return np.divide(1.0, mean, out=np.full(len(mean), np.inf), where=mean > 0)


def log_ball_volume(dimension: float, log_radius: np.ndarray) -> np.ndarray:
    """Natural logarithm of the volume of a d-ball: (d/2) log pi - log Gamma(d/2 + 1) + d log r, any real d > 0."""
    from scipy.special import gammaln

    return dimension / 2 * np.log(np.pi) - gammaln(dimension / 2 + 1) + dimension * np.asarray(log_radius)


def log_volumetric_density(distances: np.ndarray, dimension: float) -> np.ndarray:
    """log k - log V_d(r), r the distance of the k-th neighbour: (N,) natural logarithms, from (N, k); inf at r = 0.

    Only differences between tokens can be read: the unit is one per unit of distance to the power d.
    """
    farthest = distances[:, -1]  # (N,)
    log_radius = np.log(farthest, out=np.full(len(farthest), -np.inf), where=farthest > 0)
    return np.log(distances.shape[1]) - log_ball_volume(dimension, log_radius)


def decades_above_median(log_density: np.ndarray) -> np.ndarray:
    """Natural log densities (N,) as decades above the median of the finite ones: 2 means a hundred times denser."""
    return (log_density - np.median(log_density[np.isfinite(log_density)])) / np.log(10.0)


def median_band(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Median of some finite values and its bootstrap percentile interval, computed instead of drawn.

    The median of a resample of n values is the ceil(n B)-th smallest one, B ~ Beta((n+1)/2, (n+1)/2), so the limits
    are order statistics [maritz1978note]. NaN three times where there is no value.
    """
    from scipy.special import betaincinv

    if not len(values):
        return np.nan, np.nan, np.nan
    ordered = np.sort(values)
    half = (len(values) + 1) / 2
    tails = betaincinv(half, half, [(1 - level) / 2, (1 + level) / 2])
    low, high = ordered[np.ceil(tails * len(values)).astype(int) - 1]
    return float(np.median(ordered)), float(low), float(high)


def bootstrap_medians(values: np.ndarray, draws: int, generator: np.random.Generator) -> np.ndarray:
    """Medians of `draws` resamples of some values, (draws,), drawn by their order statistics (see `median_band`)."""
    half = (len(values) + 1) / 2
    rank = np.ceil(generator.beta(half, half, draws) * len(values)).astype(int) - 1
    return np.sort(values)[rank]


@dataclass(frozen=True)
class Profile:
    """Density against radius, shell by shell: B shells between B + 1 edges; NaN where a shell has no finite token."""

    edges: np.ndarray  # (B + 1,), logometers or gamma units
    count: np.ndarray  # int64 (B,), tokens in the shell
    infinite: np.ndarray  # int64 (B,), those among them with infinite density
    median: np.ndarray  # (B,), of the finite ones
    low: np.ndarray  # (B,), bootstrap band of the median
    high: np.ndarray  # (B,)


def radial_profile(radius: np.ndarray, density: np.ndarray, edges: np.ndarray, level: float = 0.95) -> Profile:
    """The median density in each shell, with its bootstrap band; the last shell holds its outer edge too."""
    shell = np.searchsorted(edges, radius, side="right") - 1  # (N,)
    shell[radius == edges[-1]] = len(edges) - 2
    finite = np.isfinite(density)
    shells = range(len(edges) - 1)
    bands = np.array([median_band(density[finite & (shell == b)], level) for b in shells])  # (B, 3)
    return Profile(
        edges,
        np.array([(shell == b).sum() for b in shells]),
        np.array([(~finite & (shell == b)).sum() for b in shells]),
        *bands.T,
    )


@dataclass(frozen=True)
class Region:
    """The tokens between two radii: how many, how many of infinite density, and the median of the others."""

    inner: float
    outer: float
    count: int
    infinite: int
    median: float
    low: float
    high: float


def regions(radius: np.ndarray, density: np.ndarray, boundaries: tuple[float, float]) -> dict[str, Region]:
    """Core, shell and outer region, cut at two radii, each with its median density and bootstrap interval."""
    edges = 0.0, *boundaries, np.inf
    found = {}
    for name, inner, outer in zip(("core", "shell", "outer"), edges[:-1], edges[1:], strict=True):
        here = density[(radius >= inner) & (radius < outer)]
        finite = here[np.isfinite(here)]
        found[name] = Region(inner, outer, len(here), len(here) - len(finite), *median_band(finite))
    return found


def boundaries(radius: np.ndarray, width: float = 2.0) -> tuple[float, float]:
    """Where core and outer region begin: `width` standard deviations below and above the mean radius."""
    mean, deviation = float(radius.mean()), float(radius.std())
    return max(0.0, mean - width * deviation), mean + width * deviation
