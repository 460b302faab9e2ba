"""The tiles of a neighbour search: one matrix product each, which serves its rows and its columns.

A tile's products say of most of its pairs that they are too far apart to matter; the others go to the lists. Tiles may
be met side by side, by threads that share the lists: limits only shrink, so one read late merely lets more pass.
Chapter: Density.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
from numba import njit

from compute.bounds import Operands, Tile
from compute.closest import Closest

PAIRS = 2**16  # that are noted before the lists learn of them, at least
GROW, TINY = np.float32(1 + 2.0**-16), np.float32(2.0**-100)  # upper bounds: all their roundings, and what underflows
TWO = np.float32(2)


def on_diagonal(start: int, stop: int, smallest: int) -> Iterator[Tile]:
    """The tiles of a block of rows with itself: halving it saves the products below the diagonal."""
    if 1 < stop - start <= max(64, smallest):
        yield start, stop, start, stop
    elif stop - start > 1:  # a row alone meets nobody
        middle = (start + stop) // 2
        yield from on_diagonal(start, middle, smallest)
        yield from on_diagonal(middle, stop, smallest)
        yield start, middle, middle, stop


def beside(start: int, stop: int, near: int, far: int, width: int) -> Iterator[Tile]:
    """The tiles of a block of rows with the columns from `near` to `far`."""
    for column in range(near, far, width):
        yield start, stop, column, min(column + width, far)


def meet(operands: Operands, closest: Closest, tile: Tile, room: np.ndarray, lock: AbstractContextManager) -> None:
    """Multiply a tile, and enter those of its pairs that may be near enough into the lists of both of their rows.

    room: for its products, from `Operands.room`; lock: held while the lists are written to.
    """
    top, bottom, near, far = tile
    products = operands.multiply(tile, room)
    known = operands.square, operands.norm, operands.error, np.float32(operands.rounding)
    if bottom - top > closest.k and np.isinf(closest.limit[near:far]).any():
        limit = _first_limits(products, tile, closest.k, known)
        with lock:
            closest.limit[near:far] = np.minimum(closest.limit[near:far], limit)
    one, two = np.empty((2, PAIRS + far - near), np.int64)
    least, most = np.empty((2, PAIRS + far - near), np.float32)
    row = 0
    while row < bottom - top:
        found, row = _near_pairs(products, row, top, near, *known, closest.limit, one, two, least, most)
        with lock:
            closest.enter(operands, one[:found], two[:found], least[:found], most[:found])


def _first_limits(products: np.ndarray, tile: Tile, k: int, known: tuple) -> np.ndarray:
    """First limits of the columns of a tile, float32: at least as far as the k-th nearest of its rows.

    The rows are taken in groups: the nearest of k groups are k different rows, so the k-th of them will do.
    """
    top, bottom, near, far = tile
    size = max(1, (bottom - top) // (6 * k))  # rows of a group
    farthest = np.full((-(-(bottom - top) // size), far - near), np.inf, np.float32)
    _nearest_of_groups(products, top, near, *known, size, farthest)
    return np.partition(farthest, k - 1, axis=0)[k - 1]


@njit(nogil=True, cache=True)
def widen(bits: np.ndarray, room: np.ndarray) -> np.ndarray:
    """The numbers (n,) float32 of which these are the leading bits, in `room` (n,) uint32."""
    shift = np.uint32(32 - 8 * bits.itemsize)
    for place in range(len(bits)):
        room[place] = np.uint32(bits[place]) << shift
    return room.view(np.float32)


@njit(nogil=True, cache=True)
def _nearest_of_groups(
    products: np.ndarray, top: int, near: int, square: np.ndarray, norm: np.ndarray, error: np.ndarray,
    rounding: np.float32, size: int, farthest: np.ndarray,
) -> None:  # fmt: skip
    """Lower `farthest` (groups, columns) to the least upper bound among some rows of each group."""
    height, width = products.shape
    square_of, norm_of, error_of = square[near : near + width], norm[near : near + width], error[near : near + width]
    room = np.empty(width, np.uint32)
    for row in range(height):
        i, group, product = top + row, farthest[row // size], widen(products[row], room)
        square_i, norm_i, error_i = square[i], norm[i], error[i]
        for column in range(width):
            margin = rounding * abs(product[column]) + (error_i * norm_of[column] + norm_i * error_of[column])
            upper = (square_i + square_of[column]) * GROW + TINY - TWO * (product[column] - margin)
            group[column] = min(group[column], upper) if near + column != i else group[column]


@njit(nogil=True, cache=True)
def _near_pairs(
    products: np.ndarray, first: int, top: int, near: int, square: np.ndarray, norm: np.ndarray, error: np.ndarray,
    rounding: np.float32, limit: np.ndarray, one: np.ndarray, two: np.ndarray, least: np.ndarray, most: np.ndarray,
) -> tuple[int, int]:  # fmt: skip
    """Fill (one, two) with positions of pairs that may be within the limit of either, the smaller first, and bounds.

    Begins with the row `first` of the tile, ends before the one for which there may be no room, and returns how many
    pairs, and that row.
    """
    height, width = products.shape
    square_of, norm_of, error_of = square[near : near + width], norm[near : near + width], error[near : near + width]
    limit_of, found = limit[near : near + width], 0
    lower, passes = np.empty(width, np.float32), np.zeros(-(-width // 8) * 8, np.uint8)
    eights, room = passes.view(np.uint64), np.empty(width, np.uint32)
    for row in range(first, height):
        if len(one) - found < width:
            return found, row
        i, product = top + row, widen(products[row], room)
        square_i, norm_i, error_i, limit_i = square[i], norm[i], error[i], limit[i]
        for column in range(width):
            margin = rounding * abs(product[column]) + (error_i * norm_of[column] + norm_i * error_of[column])
            lower[column] = square_i + square_of[column] - TWO * (product[column] + margin)
            passes[column] = (lower[column] <= limit_i) | (lower[column] <= limit_of[column])
        for eight in range(max(0, i + 1 - near) // 8, len(eights)):
            if eights[eight]:
                for column in range(max(8 * eight, i + 1 - near), min(8 * eight + 8, width)):
                    if passes[column]:
                        margin = rounding * abs(product[column])
                        margin += error_i * norm_of[column] + norm_i * error_of[column]
                        upper = (square_i + square_of[column]) * GROW + TINY - TWO * (product[column] - margin)
                        one[found], two[found] = i, near + column
                        least[found], most[found] = lower[column], upper
                        found += 1
    return found, height
