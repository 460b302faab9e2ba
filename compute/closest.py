"""For each row, the rows that may still be among its k nearest: bounds first, measured where bounds do not decide.

A row's limit is the k-th least upper bound among its candidates: who is farther even by his lower bound is not among
the k nearest, and is dropped when room is needed. A list that stays full is settled: its candidates are measured, the
nearest first by their bounds, until the next can no longer be among the k.
Chapter: Density.
"""

from dataclasses import dataclass

import numpy as np

from compute.bounds import Operands
from compute.exact import enter, settle_all


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
        enter(one, two, least, most, *known, self.least, self.other, self.count, self.most, self.limit)

    def settle(self, operands: Operands, start: int, stop: int) -> None:
        """Find the k nearest at the positions start..stop, whose rows have met all others; ties to the smaller id."""
        known = operands.rows, operands.row_of, operands.scale
        settle_all(start, stop, *known, self.least, self.other, self.count, self.limit, self.nearest, self.squared)
