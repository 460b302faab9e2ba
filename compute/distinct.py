"""Which rows of a matrix are equal, so that each place is looked at once."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Distinct:
    """The U distinct rows among N: `first` (U,), the smallest id of each, ascending; `member_of` (N,) into it."""

    first: np.ndarray
    member_of: np.ndarray

    @property
    def crowd(self) -> np.ndarray:
        """How many rows share each distinct one, int64 (U,)."""
        return np.bincount(self.member_of, minlength=len(self.first))

    def align(self, coordinates: np.ndarray) -> np.ndarray:
        """Give equal rows equal coordinates (N, R), those of the first of them, in place, and return them.

        A matrix product may round the same row differently in different places of a block.
        """
        leader = self.first[self.member_of]  # (N,)
        twins = np.flatnonzero(leader != np.arange(len(leader)))
        coordinates[twins] = coordinates[leader[twins]]
        return coordinates


def distinct_rows(rows: np.ndarray, peek: int = 16) -> Distinct:
    """Group the equal rows of a float matrix (N, D); -0.0 equals +0.0.

    Rows that agree in `peek` columns, evenly spread, are compared whole; the others need not be.
    """
    columns = np.linspace(0, rows.shape[1] - 1, min(peek, rows.shape[1])).astype(int)
    group = _group(rows[:, columns])  # (N,)
    doubtful = np.flatnonzero(np.bincount(group)[group] > 1)
    if doubtful.size:
        group[doubtful] = len(rows) + _group(rows[doubtful])
    _, first, member_of = np.unique(group, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)  # number the groups by their smallest id
    rank[np.argsort(first)] = np.arange(len(first))
    return Distinct(np.sort(first), rank[member_of])


def _group(rows: np.ndarray) -> np.ndarray:
    """A number for each row (N,), the same for equal rows and for no others."""
    canonical = np.add(rows, rows.dtype.type(0.0), order="C")  # turns -0.0 into +0.0
    keys = canonical.view(np.dtype((np.void, canonical.strides[0]))).ravel()  # (N,), compared byte by byte
    order = np.argsort(keys)
    opens = np.ones(len(keys), bool)
    opens[1:] = keys[order[1:]] != keys[order[:-1]]
    group = np.empty(len(keys), np.int64)
    group[order] = np.cumsum(opens) - 1
    return group
