"""What can be said of any catalogue, so that many can stand side by side: its inner group, its spare tokens, its shape.

Chapter: Other galaxies.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compute.smoke.formation import dependence
from compute.smoke.structure import widest_gap

# Names by which vocabularies say that a row stands for nothing: BERT's, Gemma's, Llama's, Qwen's, fairseq's.
SPARE = re.compile(rb"\[unused\d+\]|<unused\d+>|<\|reserved[^>]*\|>|<\|extra_\d+\|>|\[PAD\d+\]|madeupword\d+")
BINS, REACH = 120, 2.5  # of the histogram of norms; in medians of the catalogue


def spare(tokens: Sequence[bytes | None]) -> np.ndarray:
    """Which rows their own names call unused, (N,) bool."""
    return np.array([token is not None and SPARE.fullmatch(token) is not None for token in tokens], dtype=bool)


@dataclass(frozen=True, eq=False)
class InnerGroup:
    """The tokens around a centre up to the widest gap in their distances, whatever the main cloud looks like."""

    ids: np.ndarray  # (n,) by rising distance, the centre first; the centre alone where nobody is near
    radius: float  # of the outermost of them
    outer: float  # the first distance behind the gap
    ratio: float
    chance: float  # how often distances scattered evenly in their logarithm leave one so wide


def inner_group(distance: np.ndarray, hop: float) -> InnerGroup:
    """Finds the widest jump, as a factor, among the distances (N,) from a centre, over the nearer half of all tokens.

    Distances below `hop`, one cell there, count as one. Unlike `structure.layers` it asks for no edge of the main
    cloud, which a cloud that reaches down to the centre does not have; so it always finds a gap, and whether it means
    anything is for ratio and chance to say. Where more than half of all tokens are within a hop, the first one outside
    closes the list; where all are, all are the group, with no gap behind it (a ratio and a chance of 1).
    """
    order = np.argsort(distance, kind="stable")  # (N,)
    within = int((distance <= hop).sum())
    if within == len(order):
        farthest = float(distance.max())
        return InnerGroup(order, farthest, farthest, 1.0, 1.0)
    near = distance[order[: max(within + 1, (len(order) + 1) // 2)]]
    found = widest_gap(near, hop)
    ids = order[: int(np.searchsorted(near, found.inner, side="right"))]  # the centre, at 0, is always among them
    return InnerGroup(ids, float(distance[ids].max()), found.outer, found.ratio, found.chance)


def dealt(places: np.ndarray, populations: np.ndarray, shuffles: int, generator: np.random.Generator) -> dict:
    """What a group would look like had its components been scattered independently, whatever the point and the spread.

    places (n, D), in cells, of populations (n,). Every component is dealt anew to the tokens, `shuffles` times. found:
    different places, holes, tokens in holes and the largest hole, as they are; low, high: between which each lies in
    99 % of the shuffles; chance: of the information that the components share, see `smoke.formation.dependence`.
    """
    tokens = np.repeat(places[:, (places != places[:1]).any(axis=0)], populations, axis=0)  # (tokens, varying)
    counted = np.array([_counts(generator.permuted(tokens, axis=0)) for _ in range(shuffles)])  # (shuffles, 4)
    low, high = np.quantile(counted, [0.005, 0.995], axis=0).round().astype(int)
    shared = dependence(places, populations, shuffles, generator)
    return {"found": _counts(tokens), "low": low.tolist(), "high": high.tolist(), "chance": shared.chance}


def _counts(rows: np.ndarray) -> list[int]:
    populations = np.unique(rows, axis=0, return_counts=True)[1]
    shared = populations[populations > 1]
    return [len(populations), len(shared), int(shared.sum()), int(populations.max())]


def norm_histogram(norms: np.ndarray, marked: np.ndarray) -> dict[str, np.ndarray]:
    """How many tokens, and how many of those marked (N,) bool, lie at which norm: edges in medians of all norms."""
    scaled = norms / np.median(norms)
    edges = np.linspace(0, REACH, BINS + 1)
    clipped = np.minimum(scaled, REACH)  # what lies farther out counts in the last bin
    tokens, some = (np.histogram(values, edges)[0] for values in (clipped, clipped[marked]))
    return {"edges": edges, "tokens": tokens, "marked": some}


@dataclass(frozen=True)
class Separation:
    """Whether one number tells the catalogues with a property from those without."""

    name: str
    having: tuple[float, float]  # smallest and largest value of those with the property
    others: tuple[float, float]  # the same of those without
    known: tuple[int, int]  # how many of each have the number at all
    chance: float  # how often a number that means nothing separates as many

    @property
    def separates(self) -> bool:
        """Whether the two ranges have no value in common."""
        return self.having[1] < self.others[0] or self.others[1] < self.having[0]


def separations(rows: Sequence[Mapping], having: Sequence[bool], names: Sequence[str]) -> list[Separation]:
    """For each named number the ranges of the rows with and without a property, and what chance makes of it.

    Of a + b values in random order, the a first ones are all on one side with probability 2 / C(a + b, a). A number
    that either side does not have at all is left out. No correction is made for asking many names: with k of them,
    k times the chance separate by luck.
    """
    found = []
    for name in names:
        sides = [[row[name] for row, has in zip(rows, having, strict=True) if has is side and row[name] is not None]
                 for side in (True, False)]  # fmt: skip
        if all(sides):
            (a, b), spans = map(len, sides), [(min(side), max(side)) for side in sides]
            found.append(Separation(name, *spans, (a, b), 2 / math.comb(a + b, a)))
    return found
