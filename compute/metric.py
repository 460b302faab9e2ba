"""The causal metric of a catalogue: covariance, eigenbasis, floor, whitening, and the residuals that check them.

With gamma (N, D) the unembedding matrix, mu its mean row and gamma' = gamma - mu, Sigma = (1/N) gamma'^T gamma'
= V diag(s) V^T, and the causal metric is M = Sigma^-1 = V diag(1/s) V^T. The causal coordinates of a token are
z = diag(s)^(-1/2) V^T gamma', with covariance 1; their unit is the logometer [park2024linear]. Eigenvalues below a
stated floor are no measurement: they are reported and left out, never divided by.
Chapter: Eigenbasis.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

Blocks = Iterable[tuple[int, np.ndarray]]  # (first row, block (rows, D) float32), in order and without gaps
PRODUCT_ROWS = 2048  # rows in one float32 product, whose sum is then carried on in float64
CENTRED_ENTRIES = 2**17  # float64 scratch that stays in the second cache


def covariance(blocks: Blocks, mu: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """The covariance Sigma (D, D) float64 of gamma, in squared gamma units; the divisor is N.

    Rows are centred in float64; the products of `PRODUCT_ROWS` rows at a time are summed in `dtype`, all else in
    float64. With float32 products every eigenvalue is right to about 5e-6 of itself at a condition number of 1,000,
    and Sigma to 3e-7 of its norm (benchmarks/metric.py measures it); with float64, half as fast, to rounding.
    """
    sigma, count = np.zeros((len(mu), len(mu))), 0
    for _, block in blocks:
        for start in range(0, len(block), PRODUCT_ROWS):
            part = _centred(block[start : start + PRODUCT_ROWS], mu, dtype)
            sigma += part.T @ part  # (D, D)
        count += len(block)
    return sigma / count


@dataclass(frozen=True)
class Eigenbasis:
    """The eigenvalues and eigenvectors of a covariance, in descending order, and how many of them count."""

    mu: np.ndarray  # float64 (D,), gamma units
    spectrum: np.ndarray  # float64 (D,), s, all of them, squared gamma units
    axes: np.ndarray  # float64 (D, D), V, one axis a column
    floor: float  # squared gamma units; eigenvalues at or below it are left out
    rank: int  # R, eigenvalues above the floor

    @property
    def kept(self) -> np.ndarray:
        """The eigenvalues above the floor, (R,)."""
        return self.spectrum[: self.rank]

    @property
    def metric(self) -> np.ndarray:
        """The metric eigenvalues 1/s of the axes that are kept, (R,), ascending, per squared gamma unit."""
        return 1.0 / self.kept

    @property
    def whitening(self) -> np.ndarray:
        """V diag(s)^(-1/2) on the axes that are kept, float64 (D, R): z = gamma' times it."""
        return self.axes[:, : self.rank] / np.sqrt(self.kept)

    @property
    def why_left_out(self) -> str:
        """Which eigenvalues are left out and for what reason, in a sentence."""
        lost = len(self.spectrum) - self.rank
        if not lost:
            return f"all {self.rank:,} eigenvalues lie above the floor of {self.floor:.2e}"
        return (
            f"{lost:,} of {len(self.spectrum):,} eigenvalues are at or below {self.floor:.2e}, "
            "where rounding alone can put them"
        )


def eigenbasis(mu: np.ndarray, sigma: np.ndarray, roundoff: float = 2.0**-24) -> Eigenbasis:
    """Decompose a covariance (D, D) in float64 and set its floor, `roundoff` times the trace.

    The floor is what rounding can make of an eigenvalue that is truly 0: the summed products err by at most a few
    `roundoff` of |gamma'_i|^2 a row, hence in the mean of the trace. A column's sign is a convention: its component
    of largest magnitude is positive. Raises ValueError where every eigenvalue is left out (a single token, or
    only duplicates).
    """
    spectrum, axes = np.linalg.eigh(sigma)
    spectrum, axes = spectrum[::-1].copy(), axes[:, ::-1]
    strongest = np.abs(axes).argmax(axis=0)  # (D,)
    axes = np.ascontiguousarray(axes * np.sign(axes[strongest, np.arange(len(axes))]))
    floor = roundoff * float(np.trace(sigma))
    rank = int((spectrum > floor).sum())
    if not rank:
        raise ValueError(
            f"no axis has any variance (largest eigenvalue {spectrum[0]:.2e}): a causal metric needs at least "
            "two different rows"
        )
    return Eigenbasis(mu, spectrum, axes, floor, rank)


def project(blocks: Blocks, matrix: np.ndarray, origin: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Fill `out` (N, R) float32, which may be a memory map, with (gamma - origin) `matrix`, and return it.

    matrix: (D, R), used in float32; V gives projections in gamma units, `Eigenbasis.whitening` with origin mu the
    causal coordinates in logometers.
    """
    single = np.ascontiguousarray(matrix, np.float32)
    for start, block in blocks:
        np.matmul(_centred(block, origin, np.float32), single, out=out[start : start + len(block)])  # (rows, R)
    return out


def _centred(block: np.ndarray, origin: np.ndarray, dtype: type) -> np.ndarray:
    """The rows minus `origin` (rows, D), subtracted in float64 and rounded once, a few at a time."""
    centred, step = np.empty(block.shape, dtype), max(1, CENTRED_ENTRIES // block.shape[1])
    wide = np.empty((step, block.shape[1]))
    for start in range(0, len(block), step):
        part = block[start : start + step]
        centred[start : start + step] = np.subtract(part, origin, out=wide[: len(part)], dtype=np.float64)
    return centred


def participation_ratio(spectrum: np.ndarray) -> float:
    """The effective dimension (sum s)^2 / sum s^2: D for a sphere, 1 for a needle."""
    return float(spectrum.sum() ** 2 / (spectrum**2).sum())


def condition_number(kept: np.ndarray) -> float:
    """The largest eigenvalue over the smallest one that is kept."""
    return float(kept.max() / kept.min())


def separate_axes(spectrum: np.ndarray, count: int) -> int:
    """How many of the first axes lie farther from the next than a draw of `count` tokens can move an eigenvalue.

    That is about s (2/N)^(1/2); axes that are closer mix freely [north1982sampling]. The count ends at the first.
    """
    gaps = spectrum[:-1] - spectrum[1:]  # (D - 1,)
    close = np.flatnonzero(gaps < spectrum[:-1] * np.sqrt(2 / count))
    return int(close[0]) if len(close) else len(gaps)


def cumulative_variance(spectrum: np.ndarray) -> np.ndarray:
    """The share of all variance on the first 1, 2, ... D axes, (D,) ascending to 1."""
    return np.cumsum(spectrum) / spectrum.sum()


def ridge_shift(kept: np.ndarray, ridge: float = 1e-6) -> tuple[np.ndarray, np.ndarray]:
    """The metric eigenvalues 1/(s + ridge) of the record, and by what part of 1/s they fall: ridge/(s + ridge)."""
    return 1.0 / (kept + ridge), ridge / (kept + ridge)


def marchenko_pastur_edges(variance: float, n_rows: int, dim: int) -> tuple[float, float]:
    """Between which two values the eigenvalues of pure chance lie: variance (1 -+ sqrt(D/N))^2.

    For N rows of D independent components of one variance, in the limit of large N and D
    [marchenko1967distribution]. With D > N the rest of the eigenvalues are 0.
    """
    spread = np.sqrt(dim / n_rows)
    return float(variance * (1 - spread) ** 2), float(variance * (1 + spread) ** 2)


def marchenko_pastur_density(value: np.ndarray, variance: float, n_rows: int, dim: int) -> np.ndarray:
    """How densely the eigenvalues of pure chance lie at each value, integrating to 1 (for D <= N); 0 outside."""
    low, high = marchenko_pastur_edges(variance, n_rows, dim)
    inside = np.clip((high - value) * (value - low), 0, None)
    return np.sqrt(inside) / (2 * np.pi * variance * (dim / n_rows) * value)


def marchenko_pastur_spectrum(variance: float, n_rows: int, dim: int, fineness: int = 20_000) -> np.ndarray:
    """The eigenvalues (D,) that pure chance puts at each rank, descending: the quantiles of that density.

    They sit in the middle of the D equal shares of the distribution; with D > N the last D - N are 0.
    """
    low, high = marchenko_pastur_edges(variance, n_rows, dim)
    angle = (np.arange(fineness) + 0.5) * np.pi / fineness  # fine where the density rises from its edges
    value = (low + high) / 2 - (high - low) / 2 * np.cos(angle)  # (fineness,), ascending
    share = np.cumsum(marchenko_pastur_density(value, variance, n_rows, dim) * np.sin(angle))
    many = min(n_rows, dim)
    spectrum = np.zeros(dim)
    spectrum[:many] = np.interp(1 - (np.arange(many) + 0.5) / many, share / share[-1], value)
    return spectrum


def uncorrelated_spectrum(variances: np.ndarray, n_rows: int, generator: np.random.Generator) -> np.ndarray:
    """Covariance eigenvalues (D,), descending, of N normal rows whose D components have variances but no correlations.

    No row is drawn where N > D: their scatter matrix is A A^T with A lower triangular, standard normal below the
    diagonal and the roots of chi squared with N - 1, N - 2, ... degrees of freedom on it [bartlett1933theory].
    """
    dim, free = len(variances), n_rows - 1
    if free >= dim:
        root = np.tril(generator.standard_normal((dim, dim)), -1)
        root[np.diag_indices(dim)] = np.sqrt(generator.chisquare(free - np.arange(dim)))
    else:
        root = generator.standard_normal((dim, free))
    root *= np.sqrt(variances)[:, None]
    return np.linalg.eigvalsh(root @ root.T / n_rows)[::-1].copy()


def chance_norms(rank: int, norm: np.ndarray) -> tuple[float, float, np.ndarray]:
    """The causal norms of a normal cloud with R axes: their mean, their standard deviation, their density at `norm`.

    They follow the chi distribution with R degrees of freedom: about R^(1/2), give or take 2^(-1/2), in logometers.
    Everything is exponentiated last, so that no R overflows.
    """
    from scipy.special import gammaln, xlogy

    mean = np.sqrt(2) * np.exp(gammaln((rank + 1) / 2) - gammaln(rank / 2))
    density = np.exp(xlogy(rank - 1, norm) - norm**2 / 2 - (rank / 2 - 1) * np.log(2) - gammaln(rank / 2))
    return float(mean), float(np.sqrt(max(rank - mean**2, 0.0))), density
