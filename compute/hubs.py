"""Hubs: tokens that are among the nearest of far more others than their share, as happens in many dimensions.

Every token names its k nearest, so on average it is named k times. In high dimension the count is lopsided even in
clouds of pure chance: a few points are everybody's neighbour, and many are nobody's [radovanovic2010hubs].
Chapter: Density.
"""

import numpy as np


def occurrences(ids: np.ndarray, n_rows: int) -> np.ndarray:
    """How often each of N tokens is among the k nearest of another, int64 (N,), from neighbour ids (n, k)."""
    return np.bincount(ids.ravel(), minlength=n_rows)


def skewness(counts: np.ndarray) -> float:
    """The third standardised moment of the counts: 0 for a symmetric law, above 1 for hubs; 0 where all are equal."""
    centred = counts - counts.mean()
    deviation = np.sqrt((centred**2).mean())
    return float((centred**3).mean() / deviation**3) if deviation > 0 else 0.0
