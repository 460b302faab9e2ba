"""The first cartography of a token cloud: centroid, norms, cosines, principal axes and the sky.

Every function takes the unembedding matrix gamma (N tokens, D wide) in blocks of rows, `(start, block)` with
`block` (rows, D) float32, in order and without gaps, so that no float32 copy of the whole is ever needed. Arithmetic
is float64.
Chapter: The catalogue.
"""

from collections.abc import Callable, Iterable

import numpy as np

Blocks = Iterable[tuple[int, np.ndarray]]


def centroid(blocks: Blocks) -> np.ndarray:
    """The mean row mu of gamma.

    Returns (D,) float64 in gamma units: mu = (1/N) sum_i gamma_i.
    Raises ValueError where there is no row at all, or one that is not finite.
    """
    total, count = 0.0, 0
    for start, block in blocks:
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            row = start + int(np.argmin(finite))
            raise ValueError(f"row {row} is not finite, so there is no mean: leave it out or mend it")
        total = total + block.sum(axis=0, dtype=np.float64)  # (D,)
        count += len(block)
    if not count:
        raise ValueError("the centroid of no tokens was asked for; a catalogue needs at least one row")
    return total / count


def row_norms(blocks: Blocks, origin: np.ndarray) -> np.ndarray:
    """The Euclidean distance of every row from `origin` (D,), in gamma units.

    Returns (N,) float64: |gamma_i - origin|. With origin 0 these are raw norms, with origin mu the centred ones.
    """
    norms = [np.sqrt(np.einsum("ij,ij->i", shifted, shifted)) for shifted in _shifted(blocks, origin)]
    return np.concatenate(norms)  # (N,)


def residual_mean(blocks: Blocks, mu: np.ndarray) -> np.ndarray:
    """The mean row of the centred cloud gamma' = gamma - mu, which should be 0: (D,) float64, gamma units."""
    return centroid((start, shifted) for start, shifted in enumerate(_shifted(blocks, mu)))


def expected_residual(count: int, largest: float) -> float:
    """The size that rounding alone gives to a component of the mean of `count` centred rows.

    Each of `count` additions rounds a running sum no larger than count * largest by at most eps / 2 of it, and such
    errors add like a random walk: eps * largest * sqrt(count). A residual far above it means a wrong centroid, not
    rounding [goldberg1991floating].
    """
    return float(np.finfo(np.float64).eps * largest * np.sqrt(count))


def projections(blocks: Blocks, mu: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Coordinates of every centred row on some axes (D, A): (N, A) float64, gamma units."""
    return np.concatenate([shifted @ axes for shifted in _shifted(blocks, mu)])  # (N, A)


def sky(coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The direction of each point (N, 3) as longitude and latitude.

    The first axis points at longitude 0, the second at longitude 90 degrees, the third at the north pole. Returns two
    arrays (N,) float64 in degrees, longitude in (-180, 180], latitude in [-90, 90]. A point at the very origin has
    no direction: NaN in both.
    """
    first, second, third = coordinates.T  # (N,) each
    radius = np.linalg.norm(coordinates, axis=1)  # (N,)
    somewhere = radius > 0
    longitude = np.where(somewhere, np.degrees(np.arctan2(second, first)), np.nan)
    sine = np.divide(third, radius, out=np.full_like(radius, np.nan), where=somewhere)
    return longitude, np.degrees(np.arcsin(np.clip(sine, -1, 1)))


def mean_cosine(blocks: Blocks, origin: np.ndarray) -> tuple[float, int]:
    """The mean cosine over all pairs of different rows, exactly and without the N x N matrix.

    With u_i the direction of row i seen from `origin` (D,) and n the number of rows that have one,
    mean = (|sum_i u_i|^2 - n) / (n (n - 1)). Returns it with the number of rows at the origin itself, which have no
    direction and are left out. Raises ValueError where fewer than two rows have one.
    """
    total, directions, lost = 0.0, 0, 0
    for shifted in _shifted(blocks, origin):
        norms = np.linalg.norm(shifted, axis=1)  # (rows,)
        somewhere = norms > 0
        total = total + (shifted[somewhere] / norms[somewhere, None]).sum(axis=0)  # (D,)
        directions += int(somewhere.sum())
        lost += int((~somewhere).sum())
    if directions < 2:
        raise ValueError(f"a cosine needs two rows away from the origin, found {directions} (and {lost} at it)")
    return float((total @ total - directions) / (directions * (directions - 1))), lost


def random_pairs(count: int, pairs: int, generator: np.random.Generator) -> np.ndarray:
    """Pairs of two different indices below `count`, drawn uniformly with replacement: (pairs, 2) int64."""
    first = generator.integers(0, count, pairs)
    second = generator.integers(0, count - 1, pairs)
    return np.stack([first, second + (second >= first)], axis=1)  # (pairs, 2)


def pair_cosines(
    rows: Callable[[np.ndarray], np.ndarray], pairs: np.ndarray, origins: np.ndarray, batch: int = 8192
) -> np.ndarray:
    """The cosine of each pair of rows as seen from each of some origins (O, D).

    `rows` gives the rows of some ids, (n, D); `pairs` is (P, 2) int64. Returns (O, P) float64; NaN where a row sits at
    the origin itself.
    """
    cosines = np.full((len(origins), len(pairs)), np.nan)
    for start in range(0, len(pairs), batch):
        ends = [rows(pairs[start : start + batch, side]).astype(np.float64) for side in (0, 1)]  # (batch, D) each
        for seen, origin in zip(cosines, origins, strict=True):
            left, right = (end - origin for end in ends)
            dots = np.einsum("ij,ij->i", left, right)  # (batch,)
            lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
            np.divide(dots, lengths, out=seen[start : start + batch], where=lengths > 0)
    return cosines


def gaussian_cloud(spectrum: np.ndarray, count: int, generator: np.random.Generator, rows: int = 4096) -> Blocks:
    """A control cloud: `count` points of a normal distribution with the given covariance eigenvalues (D,).

    Yields `(start, block)`, block (rows, D) float64 in gamma units, in the eigenbasis itself: norms, cosines and
    neighbours do not depend on the rotation. Eigenvalues below 0, which only rounding makes, count as 0.
    """
    scale = np.sqrt(np.clip(spectrum, 0, None))  # (D,)
    for start in range(0, count, rows):
        yield start, generator.standard_normal((min(rows, count - start), len(scale))) * scale


def _shifted(blocks: Blocks, origin: np.ndarray) -> Iterable[np.ndarray]:
    """Each block as float64, seen from `origin`."""
    for _, block in blocks:
        yield block.astype(np.float64) - origin  # (rows, D)
