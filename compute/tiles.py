"""The tiles of a neighbour search: one matrix product each, which serves its rows and its columns.

Tiles may be met side by side, by threads that share the lists: what a tile needs of them may be older than what they
hold by then, and floors only rise, so an old one merely lets more pass. Chapter: Density.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np

from compute.scores import Scores
from compute.shortlist import Shortlists

STRIP_ENTRIES = 2**16  # scores that are compared at a time, which with their masks stay in the second cache
Tile = tuple[int, int, int, int]  # first and last row, first and last column, at working positions


def on_diagonal(start: int, stop: int, smallest: int) -> Iterator[Tile]:
    """The tiles of a block of rows with itself: halving it saves the products below the diagonal."""
    if stop - start <= max(64, smallest):
        yield start, stop, start, stop
    else:
        middle = (start + stop) // 2
        yield from on_diagonal(start, middle, smallest)
        yield from on_diagonal(middle, stop, smallest)
        yield start, middle, middle, stop


def beside(start: int, stop: int, near: int, far: int, width: int) -> Iterator[Tile]:
    """The tiles of a block of rows with the columns from `near` to `far`."""
    for column in range(near, far, width):
        yield start, stop, column, min(column + width, far)


def meet(
    scores: Scores, lists: Shortlists, tile: Tile, left: np.ndarray, buffer: np.ndarray, lock: AbstractContextManager
) -> None:
    """Multiply a tile, and enter those of its pairs that may belong into the lists of its rows and of its columns.

    left: the operand of its rows, from `Scores.left`; buffer: room for its scores, float32; lock: held while the lists
    are written to.
    """
    top, bottom, near, far = tile
    score = buffer[: (bottom - top) * (far - near)].reshape(bottom - top, far - near)
    np.matmul(left, scores.right[near:far].T, out=score)
    diagonal = top == near
    if diagonal:
        np.fill_diagonal(score, -np.inf)
    if bottom - top > lists.k > 0 and np.isneginf(lists.floor[near:far]).any():
        floor = _first_floors(scores, lists.k, tile, score)
        with lock:
            lists.floor[near:far] = np.maximum(lists.floor[near:far], floor)
    row, column = _survivors(score, lists.floor[top:bottom], lists.floor[near:far])
    value = score[row, column]
    with lock:
        for_row = np.flatnonzero(value >= lists.floor[top + row])
        lists.add(scores, top + row[for_row], near + column[for_row], value[for_row])
        if not diagonal:
            for_column = np.flatnonzero(value >= lists.floor[near + column])
            by_column = column[for_column].astype(np.min_scalar_type(far - near))  # 16 bits sort by radix
            for_column = for_column[np.argsort(by_column, kind="stable")]
            lists.add(scores, near + column[for_column], top + row[for_column], value[for_column])


def _first_floors(scores: Scores, k: int, tile: Tile, score: np.ndarray) -> np.ndarray:
    """First floors of the columns of a tile, at most the k-th best pessimistic score among its rows.

    The rows are taken in groups: the best of k groups are k different rows, so the k-th best of them will do.
    """
    top, bottom, near, far = tile
    opens = np.arange(0, bottom - top, max(1, (bottom - top) // (6 * k)))
    best = np.stack([part.max(axis=0) for part in np.split(score, opens[1:])], axis=1)  # (width, groups)
    best -= np.maximum.reduceat(scores.slack[top:bottom], opens)
    best.partition(len(opens) - k, axis=1)
    return best[:, len(opens) - k] - scores.slack[near:far]


def _survivors(score: np.ndarray, row_floor: np.ndarray, column_floor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the scores in a tile that reach the floor of their row or of their column."""
    height, width = score.shape
    step = max(1, STRIP_ENTRIES // width)
    reached, too = np.empty((2, step, width), bool)
    found = []
    for low in range(0, height, step):
        high = min(low + step, height)
        part = slice(0, high - low)
        np.greater_equal(score[low:high], row_floor[low:high, None], out=reached[part])
        np.greater_equal(score[low:high], column_floor, out=too[part])
        np.logical_or(reached[part], too[part], out=reached[part])
        found.append(np.flatnonzero(reached[part]) + low * width)
    return np.divmod(np.concatenate(found), width)
