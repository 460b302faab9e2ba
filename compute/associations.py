"""How far the place of tokens along an axis tells what they are: rank statistics, and what chance gives of them.

All of them look at ranks only: an axis that is stretched or bent tells no more and no less. The common measure is the
share of the ranks' variance that a trait explains: for a trait of two kinds it says the same as the area under the
curve, for a number it is the square of Spearman's correlation.
Chapter: Eigenbasis.
"""

from dataclasses import dataclass

import numpy as np

SIGMAS = 5  # above what chance gives, in its standard deviations, before an association counts
LEAST = 0.05  # share of the ranks' variance below which an association is too weak to name an axis after


@dataclass(frozen=True)
class Chance:
    """The share of variance that a trait of no meaning explains, over all orders of the tokens: mean and spread."""

    mean: float
    std: float

    def exceeded(self, share: np.ndarray) -> np.ndarray:
        """Whether a share is more than chance, and enough to speak of."""
        return (share > self.mean + SIGMAS * self.std) & (share >= LEAST)


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each token along each axis, (N, A) float64 from 1 to N; ties share their mean rank."""
    from scipy.stats import rankdata

    return rankdata(values, axis=0)


def share_by_group(ranked: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The share of the ranks' variance that lies between groups, (A,): eta squared, 0 to 1.

    ranked: (N, A); groups: (N,) int, the group of each token. With one group, or on an axis without variance, 0.
    """
    _, group = np.unique(groups, return_inverse=True)
    counts = np.bincount(group)  # (G,)
    means = np.stack([np.bincount(group, column) for column in ranked.T], axis=1) / counts[:, None]  # (G, A)
    total = ((ranked - ranked.mean(axis=0)) ** 2).sum(axis=0)  # (A,)
    between = (counts[:, None] * (means - ranked.mean(axis=0)) ** 2).sum(axis=0)
    return np.divide(between, total, out=np.zeros_like(total), where=total > 0)


def correlation(ranked: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each axis with a number, (A,); ranked: (N, A), number: (N,). 0 without variance."""
    own = ranks(number) - (len(number) + 1) / 2  # (N,)
    centred = ranked - ranked.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=0) * (own @ own))
    return np.divide(centred.T @ own, scale, out=np.zeros_like(scale), where=scale > 0)


def area(ranked: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """The chance that a marked token lies farther up an axis than one that is not, (A,); one half where all are alike.

    The area under the curve, by the rank sum; ranked: (N, A), marked: (N,) bool. NaN where there is no such pair.
    """
    inside, outside = int(marked.sum()), int((~marked).sum())
    if not inside or not outside:
        return np.full(ranked.shape[1], np.nan)
    return (ranked[marked].sum(axis=0) - inside * (inside + 1) / 2) / (inside * outside)


def chance_of_groups(groups: int, count: int) -> Chance:
    """What a trait with some groups, or with 2 for a number, explains of the ranks of `count` tokens by chance.

    The mean is exact; the spread is that of chi squared with groups - 1 degrees of freedom, its limit for many tokens.
    """
    free = max(groups - 1, 0)
    return Chance(free / (count - 1), float(np.sqrt(2 * free) / (count - 1)))
