"""How far the identities of the eigenbasis are from holding, each beside the size that rounding explains.

Every check returns a `Residual`: what was measured, and what is expected of rounding alone. `holds` allows for ten
times the expectation, since the expectations are estimates of size, not bounds.
Chapter: Eigenbasis.
"""

from dataclasses import dataclass

import numpy as np

from compute.metric import Blocks, Eigenbasis

DOUBLE, SINGLE = 2.0**-53, 2.0**-24  # unit roundoffs
MARGIN = 10.0


@dataclass(frozen=True)
class Residual:
    """The largest deviation of one identity, and the size that rounding alone gives it, in the same unit."""

    identity: str
    measured: float
    expected: float

    @property
    def holds(self) -> bool:
        """Whether the deviation is no more than ten times what rounding explains."""
        return self.measured <= MARGIN * self.expected


def orthonormality(basis: Eigenbasis) -> Residual:
    """max |V^T V - 1|, a pure number; float64 rotations leave about D^(1/2) roundings of it."""
    dim = len(basis.spectrum)
    product = basis.axes.T @ basis.axes - np.eye(dim)  # (D, D)
    return Residual("VᵀV = 1", float(np.abs(product).max()), float(DOUBLE * np.sqrt(dim)))


def inversion(basis: Eigenbasis, sigma: np.ndarray) -> Residual:
    """max |M Sigma - P|, P = 1 where no axis is left out, else the projector on those that are kept.

    The smallest eigenvalues are known to a rounding of the largest one, and M divides by them: the expectation grows
    with the condition number.
    """
    kept = basis.axes[:, : basis.rank]  # (D, R)
    identity = (kept / basis.kept) @ (kept.T @ sigma)  # (D, D)
    target = np.eye(len(sigma)) if basis.rank == len(sigma) else kept @ kept.T
    condition = basis.spectrum[0] / basis.kept[-1]
    return Residual("MΣ = 1", float(np.abs(identity - target).max()), float(DOUBLE * condition))


def unit_covariance(blocks: Blocks, basis: Eigenbasis, products: type = np.float32) -> Residual:
    """max |Cov(z) - 1| of causal coordinates in blocks (start, (rows, R)), summed in float64.

    V diag(s)^(-1/2) is rounded to float32, which shows between the smallest axis and the largest as
    (condition / D)^(1/2) roundings; `products` in float32 shake Sigma by a rounding of its mean eigenvalue, which
    counts against the smallest one; and a sum of N terms of size 1 errs by N^(1/2) roundings of float64.
    """
    product, total, count = np.zeros((basis.rank, basis.rank)), np.zeros(basis.rank), 0
    for _, block in blocks:
        wide = block.astype(np.float64)
        product += wide.T @ wide  # (R, R)
        total += wide.sum(axis=0)
        count += len(block)
    mean = total / count
    deviation = product / count - np.outer(mean, mean) - np.eye(basis.rank)
    smallest, dim = basis.kept[-1], len(basis.spectrum)
    rounded = SINGLE * np.sqrt(basis.spectrum[0] / smallest / dim)
    shaken = basis.spectrum.mean() / smallest * float(np.finfo(products).eps) / 2
    expected = float(rounded + shaken + DOUBLE * np.sqrt(count))
    return Residual("Cov(z) = 1", float(np.abs(deviation).max()), expected)


def norm_recovery(norms: np.ndarray, projected: np.ndarray) -> Residual:
    """max ||gamma V| - |gamma||: a rotation keeps every norm; projections in float32, norms (N,) in gamma units."""
    recovered = np.sqrt(np.einsum("ij,ij->i", projected, projected, dtype=np.float64))  # (N,)
    expected = 2 * SINGLE * float(norms.max())
    return Residual("|γV| = |γ|", float(np.abs(recovered - norms).max()), expected)
