"""Exact distances of pairs of rows: subtracted, squared and summed in float64, in an order that is written down.

    s_c = (x_c - y_c)^2,    c = 0 .. D - 1;

a list of n numbers adds its last n // 2 to its first n // 2, one to one, and keeps what lies between, until one number
is left. No step may be fused or reordered, so the sum has the same bits on every machine; such a sum errs less than a
running one [higham2002accuracy, section 4.2].
Chapter: Density.
"""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def squared_distance(here: np.ndarray, there: np.ndarray, terms: np.ndarray) -> float:
    """The squared distance of two rows (D,) float32, finite; terms: room for D float64."""
    half = len(here) // 2
    count = len(here) - half
    first, last = (here[:half], there[:half]), (here[count:], there[count:])
    for place in range(half):  # the first of the additions at once
        one = np.float64(first[0][place]) - np.float64(first[1][place])
        other = np.float64(last[0][place]) - np.float64(last[1][place])
        terms[place] = one * one + other * other
    if count > half:
        one = np.float64(here[half]) - np.float64(there[half])
        terms[half] = one * one
    while count > 1:
        half = count // 2
        count -= half
        left, right = terms[:half], terms[count : count + half]
        for place in range(half):
            left[place] += right[place]
    return terms[0]


@njit(nogil=True, cache=True)
def squared_distances(rows: np.ndarray, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Squared distances (P,) float64 of the pairs of rows (one, two); rows: float32 (N, D), finite."""
    squared, terms = np.empty(len(one)), np.zeros(max(1, rows.shape[1]))
    for pair in range(len(one)):
        squared[pair] = squared_distance(rows[one[pair]], rows[two[pair]], terms)
    return squared
