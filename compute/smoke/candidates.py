"""Candidates for dead tokens, found without being told which they are, and others' indicators beside them.

Three things speak for a dead token: it is clustered, sharing its bits or the core of the smoke with others;
it is far, away from the main cloud on the side of the smoke; it is unreachable, as no text is encoded to it.
The first two make a candidate, from the matrix alone; the third is heard where there is a tokenizer. Chapter:
The frozen smoke.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from compute.smoke import Census
from compute.smoke.structure import Layers


@dataclass(frozen=True, eq=False)
class Candidates:
    """Tokens with geometric evidence of being dead: most evidence first, then nearest to the centre."""

    ids: np.ndarray  # (n,) int64
    clustered: np.ndarray  # (n,) bool: in a black hole, or in the core of the smoke
    far: np.ndarray  # (n,) bool: nearer to the centre of the smoke than the main cloud comes
    unreachable: np.ndarray | None  # (n,) bool; None where there is no tokenizer to ask
    distance: np.ndarray  # (n,) float64 from the centre

    @property
    def evidence(self) -> np.ndarray:
        """How many of the things that were asked speak for each token, (n,) int64."""
        asked = [self.clustered, self.far] + ([] if self.unreachable is None else [self.unreachable])
        return np.sum(asked, axis=0)


def candidates(
    found: Layers, census: Census, distance: np.ndarray, reachable: np.ndarray | None = None
) -> Candidates:
    """Collects the tokens of the smoke and the members of all black holes, with what speaks for each.

    distance: (N,) from the centre of the smoke; reachable: (N,) bool, or None without a tokenizer.
    """
    n_tokens = len(census.hole)
    far, clustered = np.zeros(n_tokens, dtype=bool), census.hole >= 0  # (N,)
    if found.gap is not None:
        far[found.ids] = True
        clustered[found.core] = True
    ids = np.flatnonzero(far | clustered)
    unreachable = None if reachable is None else ~reachable
    flags = [clustered, far] + ([] if unreachable is None else [unreachable])
    order = np.lexsort((ids, distance[ids], -np.sum([flag[ids] for flag in flags], axis=0)))
    ids = ids[order]
    return Candidates(
        ids, clustered[ids], far[ids], None if unreachable is None else unreachable[ids], distance[ids]
    )


@dataclass(frozen=True, eq=False)
class Indicators:
    """The indicators of under-training of Land and Bartolo (2024), one a token; small is suspicious."""

    cosine: np.ndarray  # (N,) 1 - cos(gamma_i, u), u the mean of the rows taken as unused
    cosine_without_component: np.ndarray  # (N,) the same with the first principal component taken out of both
    cosine_without_mean: np.ndarray  # (N,) the same with mu taken out of both
    distance: np.ndarray  # (N,) |gamma_i - u|, gamma units
    norm: np.ndarray  # (N,) |gamma_i|, gamma units


def indicators(
    blocks: Iterable[tuple[int, np.ndarray]], unused: np.ndarray, component: np.ndarray, mu: np.ndarray
) -> Indicators:
    """Computes the indicators of all tokens in one pass, in float64 [land2024magikarp].

    blocks: (start, rows float32 (n, D)) over the whole catalogue; unused: (k, D), the rows of the tokens
    taken as unused; component: (D,), the first principal axis of the centred cloud, of length 1; mu: (D,) the
    centroid. The component is projected out of the rows as they are, not out of the centred ones, as in the
    authors' program. A row of zeros has no direction: its cosine counts as 0. Raises ValueError where no row
    is taken as unused.
    """
    if not len(unused):
        raise ValueError("the mean of the unused tokens was asked for, and no token is taken as unused")
    u = unused.mean(axis=0, dtype=np.float64)  # (D,)
    columns: list[list[np.ndarray]] = [[] for _ in range(5)]
    for _, block in blocks:
        rows = block.astype(np.float64)  # (n, D)
        without = rows - np.outer(rows @ component, component)
        for column, values in zip(
            columns,
            (
                1 - _cosines(rows, u),
                1 - _cosines(without, u - (u @ component) * component),
                1 - _cosines(rows - mu, u - mu),
                np.linalg.norm(rows - u, axis=1),
                np.linalg.norm(rows, axis=1),
            ),
            strict=True,
        ):
            column.append(values)
    return Indicators(*(np.concatenate(column) for column in columns))


def _cosines(rows: np.ndarray, direction: np.ndarray) -> np.ndarray:
    sizes = np.linalg.norm(rows, axis=1) * np.linalg.norm(direction)
    return np.divide(rows @ direction, sizes, out=np.zeros(len(rows)), where=sizes > 0)


@dataclass(frozen=True)
class Agreement:
    """How well an indicator, small where suspicious, picks out a set of tokens."""

    among_lowest: float  # share of the k tokens that the k lowest values point to
    area: float  # probability that a token of the set has a lower value than one outside it; ties count half


def agreement(indicator: np.ndarray, ids: np.ndarray) -> Agreement:
    """Compares an indicator (N,) with a set of token ids; ValueError for an empty set and for all tokens."""
    from scipy.stats import rankdata

    inside = np.zeros(len(indicator), dtype=bool)
    inside[ids] = True
    count, rest = int(inside.sum()), int((~inside).sum())
    if not count or not rest:
        raise ValueError(
            f"an indicator is compared with some of the tokens; found {count} of {len(indicator)}"
        )
    lowest = np.argsort(indicator, kind="stable")[:count]
    ranks = rankdata(indicator)[inside]  # (count,) from 1, the average rank where values tie
    below = (ranks.sum() - count * (count + 1) / 2) / (count * rest)  # Mann and Whitney's U, as a share
    return Agreement(float(inside[lowest].mean()), float(1 - below))
