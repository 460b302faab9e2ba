"""The intrinsic dimension of a cloud as its neighbours see it: TwoNN and the maximum-likelihood estimate.

Both take the distances to the nearest neighbours among *distinct* rows; a distance of 0 has no logarithm. Both are
biased low in high dimension, where no affordable number of points fills the space.
Chapter: Density.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Dimension:
    """An estimate of the intrinsic dimension, with its standard error."""

    value: float
    error: float


def _checked(distances: np.ndarray, fewest: int) -> np.ndarray:
    """The distances, or a ValueError where an estimate from them has no meaning."""
    if distances.ndim != 2 or distances.shape[1] < fewest:
        raise ValueError(f"the estimate needs distances (N, k) with k >= {fewest}, found {distances.shape}")
    touching = int((distances[:, 0] <= 0).sum())
    if touching:
        raise ValueError(
            f"{touching} rows have a neighbour at distance 0, which has no logarithm: "
            "give the neighbours among the distinct rows"
        )
    return distances


def twonn(distances: np.ndarray, discarded: float = 0.1) -> Dimension:
    """The slope of -log(1 - F(x)) against log x, x = r2 / r1, through the origin [facco2017twonn].

    distances: (N, k) ascending, k >= 2, of which two columns are used. F is the empirical share of tokens below x;
    the `discarded` part with the largest x is left out, as published. The error is d / n^(1/2), that of the
    maximum-likelihood estimate from the n tokens that are left.
    """
    distances = _checked(distances, 2)
    log_ratio = np.sort(np.log(distances[:, 1] / distances[:, 0]))  # (N,)
    kept = int(len(log_ratio) * (1 - discarded))
    if kept < 2 or log_ratio[kept - 1] <= 0:
        raise ValueError(f"{kept} ratios r2/r1 are left and none above 1: too few tokens, or all of them on a grid")
    kept = min(kept, len(log_ratio) - 1)  # the last token has F = 1, whose height is infinite
    height = -np.log1p(-np.arange(1, kept + 1) / len(log_ratio))  # (kept,)
    value = float(log_ratio[:kept] @ height / (log_ratio[:kept] @ log_ratio[:kept]))
    return Dimension(value, value / float(np.sqrt(len(height))))


def local_dimension(distances: np.ndarray) -> np.ndarray:
    """The maximum-likelihood dimension at each token, (N,): (k - 2) / sum_j log(r_k / r_j), j < k [levina2004mle].

    distances: (N, k) ascending, k >= 3. The divisor k - 2 in place of k - 1 removes the bias of the inverse, as
    the authors note. inf where all k are equally far.
    """
    distances = _checked(distances, 3)
    k = distances.shape[1]
    total = np.log(distances[:, -1:] / distances[:, :-1]).sum(axis=1)  # (N,)
    return np.divide(k - 2, total, out=np.full(len(total), np.inf), where=total > 0)


def levina_bickel(distances: np.ndarray) -> Dimension:
    """The mean of the local dimensions over all tokens [levina2004mle], with the standard error of that mean.

    Neighbouring tokens share neighbours, so the error is a lower limit. Raises ValueError where some token's k
    neighbours are all equally far.
    """
    local = local_dimension(distances)
    if not np.isfinite(local).all():
        raise ValueError(
            f"{int(np.isinf(local).sum())} rows have all their neighbours at one distance: "
            "the cloud is a grid at this scale and has no local dimension"
        )
    return Dimension(float(local.mean()), float(local.std() / np.sqrt(len(local))))
