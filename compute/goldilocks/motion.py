"""How far stored weights moved in one step, in cells of their lattice and in gamma units, by torch.

The integers are those of `compute.lattice`: a weight's ordinal is its place in the order of the values, and
both zeros are one value with ordinal 0, so that -0.0 becoming +0.0 is no motion. What is measured here every
step of a training is measured in torch, on the stored bits, because that is where the weights are.
Weights are finite here: the training stops before it stores an infinity or a NaN.
Chapter: Dead-token dynamics.
"""

from typing import NamedTuple

import numpy as np
import torch
from numba import njit

from compute.goldilocks import kernels
from compute.goldilocks.lanes import F, bits_of, greater, greatest, spread, store, total
from compute.goldilocks.lanes import ordinals as ordinals_at

INTEGERS = {torch.bfloat16: torch.int16, torch.float32: torch.int32}
LARGEST_16_BIT_STEP = 65_278  # cells between the two largest bfloat16 values
EXACT_IN_FLOAT32 = 1 << 24  # integers below it are float32 values


class Steps(NamedTuple):
    """What each row's displacement reaches, in cells: one number of each kind a row."""

    l1: torch.Tensor  # sum of |d|
    l2_squared: torch.Tensor  # sum of d^2; exact as long as it decides anything (below 2^24)
    linf: torch.Tensor  # largest |d|


def bits(stored: torch.Tensor) -> torch.Tensor:
    """Return the bit patterns of bfloat16 or float32 weights as signed integers as wide, without a copy.

    Raises TypeError for weights of any other dtype.
    """
    if stored.dtype not in INTEGERS:
        raise TypeError(f"weights stored as bfloat16 or float32 asked for, {stored.dtype} found")
    return stored.view(INTEGERS[stored.dtype])


def ordinals(stored: torch.Tensor) -> torch.Tensor:
    """Return the lattice ordinals of weights: int16 for bfloat16, int32 for float32; 0 for either zero."""
    pattern = bits(stored)
    width = 8 * pattern.element_size()
    minus = pattern >> (width - 1)  # -1 under a sign bit, else 0
    return (pattern & ((1 << (width - 1)) - 1)).bitwise_xor_(minus).sub_(minus)


def steps_in_cells(before: torch.Tensor, after: torch.Tensor, room: torch.Tensor | None = None) -> Steps:
    """Return L1, L2 squared and L-infinity of each row's displacement (n, D), in cells.

    bfloat16: differences in int32, summed as float32 where any sum of D of them is exact there (D <= 257),
    else as float64. float32: differences in int64, L1 and L-infinity exact, L2 squared in float64. room: float32 (n, D)
    to work in, for who asks step after step.
    """
    if before.dtype == torch.float32:
        start, end = ordinals(before), ordinals(after)
        moved = end.to(torch.int64).sub_(start).abs_()
        return Steps(moved.sum(dim=1), moved.to(torch.float64).square_().sum(dim=1), moved.amax(dim=1))
    exact = before.shape[1] * LARGEST_16_BIT_STEP < EXACT_IN_FLOAT32
    if exact and kernels.fits(before.shape[1]):
        moved = torch.empty(before.shape) if room is None else room
        l1, linf = torch.empty(len(before)), torch.empty(len(before))
        patterns = (bits_of(rows.contiguous()) for rows in (before, after))
        _cells(*patterns, *(found.view(-1).numpy() for found in (moved, l1, linf)))
        return Steps(l1, torch.linalg.vecdot(moved, moved), linf)
    start, end = ordinals(before), ordinals(after)
    moved = end.to(torch.int32).sub_(start).to(torch.float32 if exact else torch.float64).abs_()
    return Steps(moved.sum(dim=1), torch.linalg.vecdot(moved, moved), moved.amax(dim=1))


@njit(nogil=True)
def _cells(before: np.ndarray, after: np.ndarray, moved: np.ndarray, l1: np.ndarray, linf: np.ndarray) -> None:
    """|d| in cells of bfloat16 patterns (n D,) into moved, and each row's sum and greatest, all of them exact."""
    width = len(moved) // max(1, len(l1))
    for row in range(len(l1)):
        sums, most = spread(F(0)), spread(F(0))
        for at in range(row * width, (row + 1) * width, 8):
            steps = ordinals_at(after, at) - ordinals_at(before, at)
            steps = greater(steps, spread(F(0)) - steps)
            store(moved, at, steps)
            sums, most = sums + steps, greater(most, steps)
        l1[row], linf[row] = total(sums), greatest(most)


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the cosine of two vectors (D,), or NaN where either has no direction."""
    one, other = one.to(torch.float64), other.to(torch.float64)
    length = float(one.norm() * other.norm())
    return float(one @ other) / length if length > 0 else float("nan")


def coherence(rows: torch.Tensor) -> float:
    """Return the mean cosine of the rows (n, D) that are not zero to the mean of all rows; NaN if undefined.

    1: all go one way. Chance gives about 1 / sqrt(n), for every row is a part of the mean. Lengths are float32:
    rows of components about 1e-20, whose squares keep few bits there, come out too short, so that a swarm of them
    can exceed 1 (by 0.1 % at 1e-20, 8 % at 1e-22); below 1e-23 a row counts as zero.
    """
    mean = rows.mean(dim=0)
    lengths = torch.linalg.vector_norm(rows, dim=1)
    moving = lengths > 0
    size = mean.norm()
    if not (bool(moving.any()) and float(size) > 0):
        return float("nan")
    along = (rows @ (mean / size))[moving] / lengths[moving]
    return float(along.mean(dtype=torch.float64))


def shape(cloud: torch.Tensor) -> tuple[float, float, float, float]:
    """Return the participation ratio of a centred cloud (n, D) and the shares of its three largest axes.

    With the eigenvalues l of the covariance the ratio is (sum l)^2 / sum l^2: D for a ball, 1 for a line.
    The shares are of the total variance. Four NaN for a cloud that is one point, and for one so wide (about 1e19)
    that its squares leave float32. Needs D >= 3.
    """
    products = (cloud.T @ cloud).to(torch.float64)
    if not (bool(products.isfinite().all()) and float(products.trace()) > 0):
        return (float("nan"),) * 4
    spread = torch.linalg.eigvalsh(products).clamp_(min=0)
    total = float(spread.sum())
    shares = spread.flip(0) / total
    return (1 / float(shares.square().sum()), *(float(share) for share in shares[:3]))
