"""What a swarm of tokens does, read from its recorded rows: where it is, how large, how much of its motion is shared.

Pure: states in, numbers out. A state is the stored bits of n rows, (n, D) uint16, bfloat16 patterns; lengths are in
gamma units, displacements of components in cells of the lattice. Chapter: Supernova.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from compute.lattice import BFLOAT16, ordinal, value

STATE = ("centroid_norm", "radius", "to_centroid", "to_centroid_low", "to_centroid_high", "travelled", "deformation")
STEP = ("drift", "shared", "coherence", "turn", "speed", "l1", "component", "moved", "still")


def flight(states: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Follow a swarm through its states, (T + 1) of them: {name: (T + 1,) float64, "centroid": (T + 1, D)}.

    Of each state: centroid_norm; radius, the mean distance to the centroid; to_centroid, the mean cosine of a row to
    the centroid's direction, with its 5 % and 95 % quantiles; travelled, how far the centroid is from where it began;
    deformation, the root mean square of how far a row, seen from the centroid, is from where it began.
    Of each step, NaN for the first state: drift, the centroid's displacement; speed, the rows' mean displacement;
    shared, |drift|^2 over the rows' mean squared displacement (1: all move as one); coherence, the mean cosine of the
    rows that moved to their mean; turn, the cosine of the drift to the drift before; l1, cells a row; component, the
    median displacement of a component in cells; moved and still: the shares of components that moved, of rows that
    did not.
    """
    found: dict[str, list] = {name: [] for name in ("centroid", *STATE, *STEP)}
    before, start = None, None
    for bits in states:
        rows, cells = value(bits, BFLOAT16), ordinal(bits, BFLOAT16)  # (n, D) each
        centroid = rows.mean(axis=0)
        start = (centroid, rows - centroid) if start is None else start
        state = _state(rows, centroid, *start)
        step = dict.fromkeys(STEP, np.nan) if before is None else _step(before, (rows, cells))
        found["centroid"].append(centroid)
        for name, number in (state | step).items():
            found[name].append(number)
        before = (rows, cells)
    arrays = {name: np.array(series) for name, series in found.items()}
    drifts = np.diff(arrays["centroid"], axis=0)  # (T, D)
    arrays["turn"][2:] = [_cosine(late, early) for early, late in pairwise(drifts)]
    return arrays


def _state(rows: np.ndarray, centroid: np.ndarray, origin: np.ndarray, shape: np.ndarray) -> dict[str, float]:
    centred = rows - centroid
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(centroid)
    cosines = np.divide(rows @ centroid, norms, out=np.full(len(rows), np.nan), where=norms > 0)  # (n,)
    low, high = np.nanquantile(cosines, [0.05, 0.95]) if (norms > 0).any() else (np.nan, np.nan)
    return {
        "centroid_norm": float(np.linalg.norm(centroid)),
        "radius": float(np.linalg.norm(centred, axis=1).mean()),
        "to_centroid": float(cosines[norms > 0].mean()) if (norms > 0).any() else np.nan,
        "to_centroid_low": float(low),
        "to_centroid_high": float(high),
        "travelled": float(np.linalg.norm(centroid - origin)),
        "deformation": float(np.sqrt(((centred - shape) ** 2).sum(axis=1).mean())),
    }


def _step(before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    moved, cells = after[0] - before[0], np.abs(after[1].astype(np.int64) - before[1])
    lengths, drift = np.linalg.norm(moved, axis=1), moved.mean(axis=0)  # (n,), (D,)
    size, going, squares = np.linalg.norm(drift), lengths > 0, (lengths**2).mean()
    together = size > 0 and going.any()
    return {
        "drift": float(size),
        "speed": float(lengths.mean()),
        "shared": float(size**2 / squares) if squares > 0 else np.nan,
        "coherence": float((moved[going] @ drift / lengths[going]).mean() / size) if together else np.nan,
        "turn": np.nan,
        "l1": float(cells.sum(axis=1).mean()),
        "component": float(np.median(cells)),
        "moved": float((cells > 0).mean()),
        "still": float((~going).mean()),
    }


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    length = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / length) if length > 0 else np.nan


def cosines(paths: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The cosines of vectors (T, D) to others, one by one: (T,), NaN where either has no direction."""
    return np.array([_cosine(one, other) for one, other in zip(paths, others, strict=True)])


def along(start: np.ndarray, end: np.ndarray, leading: np.ndarray) -> np.ndarray:
    """How far each row went in the direction in which the centroid of some rows went: (V,), gamma units.

    start, end: (V, D) stored bits; leading: (V,) bool. NaN if that centroid stayed where it was.
    """
    ways = value(end, BFLOAT16) - value(start, BFLOAT16)  # (V, D)
    lead = ways[leading].mean(axis=0)
    size = np.linalg.norm(lead)
    return ways @ (lead / size) if size > 0 else np.full(len(ways), np.nan)


def plane(states: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first two principal axes of all rows of all states together: centre (D,), axes (2, D), shares (2,).

    The shares are of the variance of the whole. An axis points where its largest component is positive.
    """
    count, total, products = 0, 0.0, 0.0
    for bits in states:
        rows = value(bits, BFLOAT16)
        count, total, products = count + len(rows), total + rows.sum(axis=0), products + rows.T @ rows
    centre = total / count
    sizes, axes = np.linalg.eigh(products / count - np.outer(centre, centre))  # ascending
    axes = axes.T[:-3:-1]  # (2, D)
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
    return centre, axes * signs[:, None], sizes[:-3:-1] / sizes.sum()


def projected(states: Iterable[np.ndarray], centre: np.ndarray, axes: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of each state on two axes, seen from a centre: (n, 2) float64 each."""
    for bits in states:
        yield (value(bits, BFLOAT16) - centre) @ axes.T
