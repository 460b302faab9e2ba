"""Who lives in the smoke, against the whole vocabulary: counts, odds and exact tests."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Share:
    """One group of tokens: how many of it there are inside a selection, and how surprising that is."""

    label: str
    inside: int  # tokens of the group in the selection
    everywhere: int  # tokens of the group in the vocabulary
    share_inside: float  # of the selection
    share_everywhere: float  # of the vocabulary
    odds_ratio: float  # odds of belonging to the group inside, over the odds outside; inf where no other is outside
    log10_p: float  # of Fisher's exact test, two-sided
    log10_p_adjusted: float  # after Holm, over all groups of the table


def enrichment(labels: Sequence[str] | np.ndarray, selected: np.ndarray) -> list[Share]:
    """Compares a selection of tokens with the whole vocabulary, group by group, the largest inside first.

    labels: N, the group of each token; selected: (N,) bool. Each group is tested against the rest by Fisher's
    exact test; the probabilities are decimal logarithms, since those of Qwen's smoke have no place in a
    float64. Raises ValueError where nothing or everything is selected: there is nothing to compare with.
    """
    labels, selected = np.asarray(labels, dtype=str), np.asarray(selected, dtype=bool)
    chosen, total = int(selected.sum()), len(labels)
    if not 0 < chosen < total:
        raise ValueError(f"{chosen} of {total} tokens are selected; there must be some inside and some outside")
    groups, index = np.unique(labels, return_inverse=True)
    everywhere = np.bincount(index, minlength=len(groups))
    inside = np.bincount(index[selected], minlength=len(groups))
    p = np.array([fisher_log10_p(k, chosen, m, total) for k, m in zip(inside, everywhere, strict=True)])
    adjusted = _holm(p)
    order = sorted(range(len(groups)), key=lambda g: (-inside[g], -everywhere[g], groups[g]))
    return [
        Share(
            label=str(groups[g]),
            inside=int(inside[g]),
            everywhere=int(everywhere[g]),
            share_inside=float(inside[g] / chosen),
            share_everywhere=float(everywhere[g] / total),
            odds_ratio=_odds_ratio(int(inside[g]), chosen, int(everywhere[g]), total),
            log10_p=float(p[g]),
            log10_p_adjusted=float(adjusted[g]),
        )
        for g in order
    ]


def _odds_ratio(inside: int, chosen: int, everywhere: int, total: int) -> float:
    outside = everywhere - inside
    cross = outside * (chosen - inside)
    straight = inside * (total - chosen - outside)
    if cross:
        return straight / cross
    return np.inf if straight else np.nan  # nan: the group is everything or nothing on both sides


def fisher_log10_p(inside: int, chosen: int, everywhere: int, total: int) -> float:
    """The decimal logarithm of the two-sided probability of Fisher's exact test for a 2 x 2 table.

    inside: marked objects in a draw of `chosen` out of `total`, of which `everywhere` are marked. The
    probabilities of all tables no likelier than this one are added up, in logarithms; two that agree to 1e-7
    count as equally likely, as is usual, so that rounding does not decide.
    """
    from scipy.special import logsumexp
    from scipy.stats import hypergeom

    counts = np.arange(max(0, chosen + everywhere - total), min(chosen, everywhere) + 1)
    logs = hypergeom.logpmf(counts, total, everywhere, chosen)
    here = hypergeom.logpmf(inside, total, everywhere, chosen)
    return float(min(0.0, logsumexp(logs[logs <= here + 1e-7]) / np.log(10)))


def _holm(log10_p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment of decimal logarithms of probabilities: the table counts as one test."""
    order = np.argsort(log10_p, kind="stable")
    factors = np.log10(np.arange(len(log10_p), 0, -1))
    adjusted = np.empty(len(log10_p))
    adjusted[order] = np.minimum(0, np.maximum.accumulate(log10_p[order] + factors))
    return adjusted
