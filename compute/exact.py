"""Exact distances of pairs of rows in float64, summed in an order that is written down, and the lists that they settle.

    s_c = (x_c - y_c)^2,    c = 0 .. D - 1;

a list of n numbers adds its last n // 2 to its first n // 2, one to one, and keeps what lies between, until one number
is left. No step may be fused or reordered, so the sum has the same bits on every machine; such a sum errs less than a
running one [higham2002accuracy, section 4.2].

The lists of `compute.closest` are kept here too: a machine keeps compiled code until the file that it stands in is
edited, whatever becomes of compiled functions that it calls in other files; so it calls none there.
Chapter: Density.
"""

import numpy as np
from numba import njit

EASE = np.float32(1 - 2.0**-20)  # times an exact distance: a lower bound that rounding does not spoil


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


@njit(cache=True)
def limit_of(squared: float, scale: float) -> float:
    """What is not below a squared distance in the units of the bounds even when it is rounded to float32."""
    return squared * scale**2 * (1 + 2.0**-22) + 2.0**-120


@njit(nogil=True, cache=True)
def enter(
    one: np.ndarray, two: np.ndarray, low: np.ndarray, high: np.ndarray,
    rows: np.ndarray, row_of: np.ndarray, scale: float,
    least: np.ndarray, other: np.ndarray, count: np.ndarray, most: np.ndarray, limit: np.ndarray,
) -> None:  # fmt: skip
    """Enter pairs (P,) with their bounds into the lists of `compute.closest.Closest`, the last five arrays."""
    width, k, terms = least.shape[1], most.shape[1], np.zeros(rows.shape[1])
    nearest, squared = np.zeros(k, np.int32), np.empty(k)
    for side in range(2 * len(one)):
        pair = side // 2
        owner, candidate = (one[pair], two[pair]) if side % 2 else (two[pair], one[pair])
        if low[pair] > limit[owner]:
            continue
        lower, others, taken, upper = least[owner], other[owner], count[owner], most[owner]
        lower[taken], others[taken] = low[pair], candidate
        taken += 1
        rank = k
        while rank > 0 and high[pair] < upper[rank - 1]:
            if rank < k:
                upper[rank] = upper[rank - 1]
            rank -= 1
        if rank < k:
            upper[rank] = high[pair]
            limit[owner] = min(limit[owner], upper[k - 1])
        if taken == width:
            taken = _drop(lower, others, limit[owner])
            if taken > width - width // 8:  # hardly any are decided
                squared[:] = np.inf
                _settle(owner, lower[:taken], others, rows, row_of, scale, limit[owner], nearest, squared, terms)
                taken = k  # all of them there: more than k were candidates
                for rank in range(k):
                    lower[rank], others[rank] = np.float32(squared[rank] * scale**2) * EASE, nearest[rank]
                    upper[rank] = np.float32(limit_of(squared[rank], scale))
                limit[owner] = min(limit[owner], upper[k - 1])
        count[owner] = taken


@njit(nogil=True, cache=True)
def _drop(lower: np.ndarray, others: np.ndarray, limit: np.float32) -> int:
    """Move the candidates that are not beyond the limit to the front, and return how many they are."""
    taken = 0
    for place in range(len(lower)):
        if lower[place] <= limit:
            lower[taken], others[taken] = lower[place], others[place]
            taken += 1
    return taken


@njit(nogil=True, cache=True)
def settle_all(
    start: int, stop: int, rows: np.ndarray, row_of: np.ndarray, scale: float,
    least: np.ndarray, other: np.ndarray, count: np.ndarray, limit: np.ndarray,
    nearest: np.ndarray, squared: np.ndarray,
) -> None:  # fmt: skip
    """Write the k nearest at the positions start..stop, from lists that hold all who may be among them."""
    terms = np.zeros(rows.shape[1])
    for owner in range(start, stop):
        count[owner] = _drop(least[owner, : count[owner]], other[owner], limit[owner])
        lower, within = least[owner, : count[owner]], limit[owner]
        _settle(owner, lower, other[owner], rows, row_of, scale, within, nearest[owner], squared[owner], terms)


@njit(nogil=True, cache=True)
def _settle(
    owner: int, lower: np.ndarray, others: np.ndarray, rows: np.ndarray, row_of: np.ndarray, scale: float,
    limit: np.float32, nearest: np.ndarray, squared: np.ndarray, terms: np.ndarray,
) -> None:  # fmt: skip
    """Measure the candidates of a row, and write the nearest of them: positions and squared distances (k,)."""
    k, here = len(nearest), rows[row_of[owner]]
    for place in np.argsort(lower):
        if lower[place] > limit:
            break
        position = others[place]
        value, rank = squared_distance(here, rows[row_of[position]], terms), k
        while rank > 0 and (
            value < squared[rank - 1] or (value == squared[rank - 1] and row_of[position] < row_of[nearest[rank - 1]])
        ):
            if rank < k:
                nearest[rank], squared[rank] = nearest[rank - 1], squared[rank - 1]
            rank -= 1
        if rank < k:
            nearest[rank], squared[rank] = position, value
            limit = min(limit, np.float32(limit_of(squared[k - 1], scale)))
