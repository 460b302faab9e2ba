"""Optimistic scores of pairs of rows from float32 matrix products, with a proven slack, and exact distances.

The score of a pair is t = -d^2 / 2, with d the distance in units that bring every norm below 1: the nearer
pair scores higher. One matrix product over two extra columns gives, for a whole tile,

    s_ij = w_i . w_j - h_i - h_j,    h_i = (1 - beta) n_i / 2 - tau,    beta = 2 gamma + 8 u,

where w is the centred and scaled row rounded to float32, n_i the squared norm before that rounding (float64),
u = 2^-24, m = D + 2, gamma = m u / (1 - m u) and tau = m 2^-124. Claim:

    t_ij <= s_ij <= t_ij + slack_i + slack_j,    slack_i = (2 gamma + 16 u) n_i + 2 tau.

Proof, to first order in u and in units of n_i + n_j:
1. A float32 sum of m products, in any order, fused or not, errs by at most gamma times the sum of the
   magnitudes of its terms, plus what underflows (less than tau). Here the magnitudes sum to
   |w_i| . |w_j| + |h_i| + |h_j| <= n_i + n_j: the product errs by at most gamma.
2. Rounding moves a row by at most u |w_i|, so d by at most u (|w_i| + |w_j|). Since d <= |w_i| + |w_j| too,
   d^2 moves by at most 4 u, t by 2 u; n_i stands for |w_i|^2 with an error of 2 u n_i, which moves t by u.
3. But for 1 and 2, s is t + beta / 2 + 2 tau; h is rounded downwards, which adds at most u more. The gain
   beta / 2 = gamma + 4 u outweighs gamma + 3 u: s >= t.
4. From above, s - t <= (gamma + 4 u) + gamma + 3 u + u and 3 tau. The 8 u that the slack has to spare cover
   the second orders and the float32 subtractions in which the slack itself is used.

At D = 2,560 the slack is 3e-4 of a squared norm: a candidate or two more than the k that are wanted. It holds
for any BLAS that multiplies float32 in the textbook way [higham2002accuracy, section 3.1]; it would not for one
that uses Strassen's products or shortens its input.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

T = TypeVar("T")
UNIT_ROUNDOFF = 2.0**-24
CHUNK_ENTRIES = 2**17  # float64 scratch that stays in the second cache
CACHED_BYTES = 2**24  # rows that stay in the third


def round_down(value: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above each float64 value."""
    rounded = value.astype(np.float32)
    return np.where(rounded > value, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def squared_distances(rows: np.ndarray, one: np.ndarray, two: np.ndarray, pool: Executor | None = None) -> np.ndarray:
    """Squared distances (P,) of the pairs of rows (one, two), subtracted, squared and summed in float64."""
    dim = rows.shape[1]
    step = max(1, CHUNK_ENTRIES // dim)
    squared = np.empty(len(one))

    def stretch(start: int, stop: int) -> None:
        first, second = np.empty((2, step, dim), np.float32)
        difference = np.empty((step, dim))
        for low in range(start, stop, step):
            high = min(low + step, stop)
            part = slice(0, high - low)
            np.take(rows, one[low:high], axis=0, out=first[part], mode="clip")  # "clip" spares a buffer
            np.take(rows, two[low:high], axis=0, out=second[part], mode="clip")
            np.subtract(first[part], second[part], out=difference[part], dtype=np.float64)
            np.vecdot(difference[part], difference[part], out=squared[low:high])

    in_stretches(stretch, len(one), pool)
    return squared


def each_once(rows: np.ndarray, one: np.ndarray, two: np.ndarray, pool: Executor | None = None) -> np.ndarray:
    """Squared distances as `squared_distances`, of pairs that may stand there twice, either way round.

    Each is measured once, in an order in which one of its rows has just been read: fetching rows takes the time here.
    """
    near, far = np.minimum(one, two), np.maximum(one, two)
    group = max(1, CACHED_BYTES // rows[:1].nbytes)  # rows that are kept at hand
    whole = len(rows) * group
    pair, back = np.unique(far // group * whole + near * group + far % group, return_inverse=True)
    near, far = pair % whole // group, pair // whole * group + pair % group
    return squared_distances(rows, near, far, pool)[back]


def in_stretches(work: Callable[[int, int], T], count: int, pool: Executor | None) -> list[T]:
    """What `work(start, stop)` returns for 0 .. count: in one stretch, or in eight that a pool works on."""
    bounds = np.linspace(0, count, 2 if pool is None else 9).astype(int)
    return list((map if pool is None else pool.map)(work, bounds[:-1], bounds[1:]))


@dataclass(frozen=True)
class Scores:
    """The rows of one search in working order, ready for the matrix product."""

    rows: np.ndarray  # float32 (N, D), as given
    row_of: np.ndarray  # int64 (U,), the row at each working position
    right: np.ndarray  # float32 (U, D + 2): w, -1, -h
    slack: np.ndarray  # float32 (U,)
    scale: float  # power of two that brings every norm below 1

    def left(self, start: int, stop: int) -> np.ndarray:
        """The positions start..stop as left operands: w, h, 1; float32 (stop - start, D + 2)."""
        left = self.right[start:stop].copy()
        left[:, -2], left[:, -1] = -left[:, -1], 1.0
        return left

    def floor_of(self, squared: np.ndarray) -> np.ndarray:
        """Float32 scores not above those of the given squared distances, their own rounding included."""
        safe = 1.0 + self.rows.shape[1] * 2.0**-50
        return round_down(-0.5 * safe * squared * self.scale**2)


def prepare(rows: np.ndarray, row_of: np.ndarray, pool: Executor | None = None) -> Scores:
    """Centre, scale and round the rows `row_of` of a finite float32 matrix (N, D), and attach their bounds."""
    n_rows, dim = len(row_of), rows.shape[1]
    step = max(1, CHUNK_ENTRIES // dim)
    # any centre will do; the median of some rows is not led astray by a giant among them
    centre = np.median(rows[np.linspace(0, len(rows) - 1, 512).astype(int)].astype(np.float64), axis=0)
    largest = max(in_stretches(lambda start, stop: _largest(rows[start:stop], step), len(rows), pool))
    # a centred component is at most 2 |x|_max, a centred norm at most 2 |x|_max sqrt(D)
    scale = 2.0 ** -np.ceil(np.log2(2.0 * largest * np.sqrt(dim))) if largest else 1.0
    gamma = (dim + 2) * UNIT_ROUNDOFF / (1 - (dim + 2) * UNIT_ROUNDOFF)
    tau = (dim + 2) * 2.0**-124
    right = np.empty((n_rows, dim + 2), np.float32)
    slack = np.empty(n_rows, np.float32)

    def stretch(first: int, last: int) -> None:
        gathered, centred = np.empty((step, dim), np.float32), np.empty((step, dim))
        for start in range(first, last, step):
            stop = min(start + step, last)
            part = slice(0, stop - start)
            np.take(rows, row_of[start:stop], axis=0, out=gathered[part], mode="clip")
            np.subtract(gathered[part], centre, out=centred[part])
            centred[part] *= scale
            right[start:stop, :dim] = centred[part]
            squared_norm = np.vecdot(centred[part], centred[part])  # (step,)
            half = round_down((1 - 2 * gamma - 8 * UNIT_ROUNDOFF) * squared_norm / 2 - tau)
            right[start:stop, dim], right[start:stop, dim + 1] = -1.0, -half
            slack[start:stop] = (2 * gamma + 16 * UNIT_ROUNDOFF) * squared_norm + 2 * tau

    in_stretches(stretch, n_rows, pool)
    return Scores(rows, row_of, right, slack, float(scale))


def _largest(rows: np.ndarray, step: int) -> float:
    blocks = (rows[start : start + step] for start in range(0, len(rows), step))
    return max((max(float(block.max()), -float(block.min())) for block in blocks), default=0.0)
