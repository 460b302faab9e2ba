"""Bounds on the squared distances of pairs of rows, from matrix products in low precision, with their proof.

w_i is a row, centred and scaled in float64 so that every norm is at most 1; o_i the operand, w_i rounded to bfloat16 or
to float32; p_ij the product o_i . o_j as a BLAS delivers it, rounded once more if it delivers bfloat16. With

    q_i >= max(|w_i|, |o_i|),    a_i = |w_i - o_i| + gamma q_i,    gamma = (D + 2) u / (1 - 2 (D + 2) u),

u = 2^-24, n_i = |w_i|^2, c = 2^-8 + 2^-15 for products in bfloat16 and 0 otherwise, and tau = (D + 2) 2^-122:

    | w_i . w_j - p_ij |  <=  m_ij = c |p_ij| + a_i q_j + q_i a_j + tau,

so the squared distance n_i + n_j - 2 w_i . w_j lies between n_i + n_j - 2 (p_ij + m_ij) and the same with p_ij - m_ij.

Proof:
1. w_i . w_j - o_i . o_j = (w_i - o_i) . o_j + w_i . (w_j - o_j): at most |w_i - o_i| q_j + q_i |w_j - o_j|.
   The differences are measured, not assumed: bfloat16 takes 0.0015 of a typical row's norm, and could take 0.004.
2. A sum of D products in float32 errs, in any order, fused or not, by at most gamma' |o_i| . |o_j| <= gamma' q_i q_j
   with gamma' = D v / (1 - D v), where v = u if each step is rounded to nearest, and 2 u at most in units for bfloat16
   that round otherwise: m has 2 gamma q_i q_j for it. Products of two bfloat16 numbers need no rounding. What
   underflows, or is taken for zero as such units do below 2^-126, is less than tau.
   float64 rounds too, centred components and their squares: by 2^-52 of norms, which the 2 of D + 2 and SPARE hold.
3. Rounding a sum to bfloat16 moves it by at most 2^-8 of itself, so by less than c of what comes out.

`compute.tiles` evaluates the bounds in float32, with at most ten roundings of numbers that do not exceed 4 (n_i + n_j):
for the lower one n_i is made smaller by 64 u of itself, for the upper one n_i + n_j larger by 256 u, which is more.

The proof holds for any BLAS that multiplies in the textbook way [higham2002accuracy, section 3.1]; it would not for one
that uses Strassen's products, or that shortens float32.
Chapter: Density.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numba import njit

from compute.exact import limit_of

T = TypeVar("T")
Precision = Literal["bfloat16", "float32"]  # of the operands
Tile = tuple[int, int, int, int]  # first and last row, first and last column, at working positions
UNIT_ROUNDOFF = 2.0**-24
SPARE = 64 * UNIT_ROUNDOFF  # of n_i, for the roundings of the bounds themselves
WIDEST = 2**19  # components: more, and tau outgrows what `compute.tiles` allows for; from 2^23 on, gamma is none
CHUNK_ENTRIES = 2**17  # float64 scratch that stays in the second cache


def rounded_up(value: np.ndarray) -> np.ndarray:
    """The smallest float32 that is not below each float64 value."""
    rounded = value.astype(np.float32)
    return np.where(rounded < value, np.nextafter(rounded, np.float32(np.inf)), rounded)


def in_stretches(work: Callable[[int, int], T], start: int, stop: int, pool: Executor | None) -> list[T]:
    """What `work(start, stop)` returns: for one stretch, or for eight that a pool works on."""
    bounds = np.linspace(start, stop, 2 if pool is None else 9).astype(int)
    return list((map if pool is None else pool.map)(work, bounds[:-1], bounds[1:]))


@dataclass(frozen=True)
class Operands:
    """The rows of one search in working order, ready for matrix products, with what the bounds need."""

    rows: np.ndarray  # float32 (N, D), as given
    row_of: np.ndarray  # int64 (U,), the row at each working position
    operand: np.ndarray  # o (U, D), float32, or the bits of bfloat16 as uint16
    square: np.ndarray  # n, float32 (U,), not above |w|^2 even after SPARE
    norm: np.ndarray  # q, float32 (U,)
    error: np.ndarray  # a, float32 (U,)
    scale: float  # power of two that brings every norm below 1
    rounding: float  # c

    def multiply(self, tile: Tile, room: np.ndarray) -> np.ndarray:
        """The products of a tile (rows, columns), written into `room`: the leading bits of float32 numbers.

        uint16 where they are in bfloat16, else uint32; `compute.tiles.widen` makes numbers of them.
        """
        top, bottom, near, far = tile
        left, right = self.operand[top:bottom], self.operand[near:far]
        whole = room[: len(left) * len(right)].reshape(len(left), len(right))
        if self.operand.dtype == np.float32:
            return np.matmul(left, right.T, out=whole).view(np.uint32)
        import torch  # numpy has no bfloat16

        left, right, out = (torch.from_numpy(bits).view(torch.bfloat16) for bits in (left, right, whole))
        torch.mm(left, right.T, out=out)
        return whole

    def room(self, entries: int) -> np.ndarray:
        """Room for the products of tiles of up to so many entries."""
        return np.empty(entries, self.operand.dtype)

    def limit_of(self, squared: np.ndarray) -> np.ndarray:
        """Float32 limits not below the given squared distances, in the units of the bounds."""
        with np.errstate(over="ignore"):  # beyond float32: no limit
            return limit_of(squared, self.scale).astype(np.float32)


def quickest() -> Precision:
    """The precision in which this machine multiplies faster: only the time of a search depends on it.

    bfloat16 where the processor multiplies it and torch has oneDNN, which knows how; elsewhere it is emulated.
    """
    import torch

    able = any(there for name, there in torch.cpu.get_capabilities().items() if name.endswith("bf16"))
    return "bfloat16" if able and torch.backends.mkldnn.is_available() else "float32"


def prepare(
    rows: np.ndarray, row_of: np.ndarray, precision: Precision = "float32", pool: Executor | None = None
) -> Operands:
    """Centre, scale and round the rows `row_of` of a finite float32 matrix (N, D), and measure what that loses.

    Raises ValueError where D is beyond what is proven.
    """
    n_rows, dim = len(row_of), rows.shape[1]
    if dim > WIDEST:
        raise ValueError(f"rows have {dim:,} components, and the bounds of this search are proven up to {WIDEST:,}")
    step = max(1, CHUNK_ENTRIES // dim)
    # any centre will do; the median of some rows is not led astray by a giant among them
    centre = np.median(rows[np.linspace(0, len(rows) - 1, 512).astype(int)].astype(np.float64), axis=0)
    largest = max(in_stretches(lambda start, stop: _largest(rows[start:stop], step), 0, len(rows), pool))
    # a centred component is at most 2 |x|_max, a centred norm at most 2 |x|_max sqrt(D)
    scale = float(2.0 ** -np.ceil(np.log2(2.0 * largest * np.sqrt(dim)))) if largest else 1.0
    steps, tau = (dim + 2) * UNIT_ROUNDOFF, (dim + 2) * 2.0**-122
    gamma = steps / (1 - 2 * steps)
    operand = np.empty((n_rows, dim), np.uint16 if precision == "bfloat16" else np.uint32)
    square, norm, error = np.empty((3, n_rows), np.float32)

    def stretch(start: int, stop: int) -> None:
        squared, lost = np.empty((2, stop - start))
        _round(rows, row_of[start:stop], centre, scale, operand[start:stop], squared, lost)
        gone = np.sqrt(lost) * (1 + 2.0**-30)  # their own roundings, a few times 2^-53 D, included
        longest = np.sqrt(squared) * (1 + 2.0**-30) + gone
        square[start:stop] = -rounded_up(-(squared * (1 - SPARE) - 2 * tau))
        norm[start:stop], error[start:stop] = rounded_up(longest), rounded_up(gone + gamma * longest)

    in_stretches(stretch, 0, n_rows, pool)
    if precision == "float32":
        return Operands(rows, row_of, operand.view(np.float32), square, norm, error, scale, 0.0)
    return Operands(rows, row_of, operand, square, norm, error, scale, 2.0**-8 + 2.0**-15)


@njit(nogil=True, cache=True)
def _round(
    rows: np.ndarray, row_of: np.ndarray, centre: np.ndarray, scale: float,
    operand: np.ndarray, squared: np.ndarray, lost: np.ndarray,
) -> None:  # fmt: skip
    """Write the bits of the centred and scaled rows, and the squares of their norms and of what rounding took."""
    dim, narrow = rows.shape[1], operand.itemsize == 2
    rounded, shift = np.empty(dim, np.float32), np.uint32(32 - 8 * operand.itemsize)
    bits = rounded.view(np.uint32)
    for place in range(len(row_of)):
        row = rows[row_of[place]]
        for component in range(dim):
            rounded[component] = np.float32((np.float64(row[component]) - centre[component]) * scale)
        if narrow:  # to nearest, ties to even
            for component in range(dim):
                pattern = bits[component]
                last = (pattern >> np.uint32(16)) & np.uint32(1)
                bits[component] = (pattern + np.uint32(0x7FFF) + last) & np.uint32(0xFFFF0000)
        norm, gone = 0.0, 0.0
        for component in range(dim):
            operand[place, component] = bits[component] >> shift
            exact = (np.float64(row[component]) - centre[component]) * scale
            norm += exact * exact
            gone += (exact - np.float64(rounded[component])) ** 2
        squared[place], lost[place] = norm, gone


def _largest(rows: np.ndarray, step: int) -> float:
    blocks = (rows[start : start + step] for start in range(0, len(rows), step))
    return max((max(float(block.max()), -float(block.min())) for block in blocks), default=0.0)
