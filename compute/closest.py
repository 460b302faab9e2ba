"""For each row, the rows that may still be among its k nearest: bounds first, measured where bounds do not decide.

A row's limit is the k-th least upper bound among its candidates: who is farther even by his lower bound is not among
the k nearest, and is dropped when room is needed. A list that stays full is settled: its candidates are measured, the
nearest first by their bounds, until the next can no longer be among the k.
Chapter: Density.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from compute.bounds import Operands, limit_of
from compute.exact import squared_distance

EASE = np.float32(1 - 2.0**-20)  # times an exact distance: a lower bound that rounding does not spoil


@dataclass
class Closest:
    """The candidates of U rows, W places each, at working positions; bounds in the units of `Operands`."""

    k: int  # neighbours wanted
    least: np.ndarray  # float32 (U, W), not above the squared distance
    other: np.ndarray  # int32 (U, W), position of the candidate
    count: np.ndarray  # int32 (U,), places taken
    most: np.ndarray  # float32 (U, k), the least upper bounds, ascending
    limit: np.ndarray  # float32 (U,), none of the k nearest is farther
    nearest: np.ndarray  # int32 (U, k), positions of the k nearest, nearest first, once a row is settled
    squared: np.ndarray  # float64 (U, k), their squared distances; infinite until then, and where there are fewer

    @classmethod
    def empty(cls, n_rows: int, k: int) -> "Closest":
        """Lists without an entry, of W = k + max(k, 76) places."""
        shape = n_rows, k + max(k, 76)
        least, other, count = np.empty(shape, np.float32), np.zeros(shape, np.int32), np.zeros(n_rows, np.int32)
        most, limit = np.full((n_rows, k), np.inf, np.float32), np.full(n_rows, np.inf, np.float32)
        nearest, squared = np.zeros((n_rows, k), np.int32), np.full((n_rows, k), np.inf)
        return cls(k, least, other, count, most, limit, nearest, squared)

    def enter(self, operands: Operands, one: np.ndarray, two: np.ndarray, least: np.ndarray, most: np.ndarray) -> None:
        """Enter pairs of working positions (P,) with their bounds, each into the lists of both of its rows."""
        known = operands.rows, operands.row_of, operands.scale
        _enter(one, two, least, most, *known, self.least, self.other, self.count, self.most, self.limit)

    def settle(self, operands: Operands, start: int, stop: int) -> None:
        """Find the k nearest at the positions start..stop, whose rows have met all others; ties to the smaller id."""
        known = operands.rows, operands.row_of, operands.scale
        _settle_all(start, stop, *known, self.least, self.other, self.count, self.limit, self.nearest, self.squared)


@njit(nogil=True, cache=True)
def _enter(
    one: np.ndarray, two: np.ndarray, low: np.ndarray, high: np.ndarray,
    rows: np.ndarray, row_of: np.ndarray, scale: float,
    least: np.ndarray, other: np.ndarray, count: np.ndarray, most: np.ndarray, limit: np.ndarray,
) -> None:  # fmt: skip
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
def _settle_all(
    start: int, stop: int, rows: np.ndarray, row_of: np.ndarray, scale: float,
    least: np.ndarray, other: np.ndarray, count: np.ndarray, limit: np.ndarray,
    nearest: np.ndarray, squared: np.ndarray,
) -> None:  # fmt: skip
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
