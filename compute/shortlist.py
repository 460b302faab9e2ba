"""For each row, a short list of the rows that may still be among its k nearest, kept by proven bounds.

`Scores` delivers optimistic scores: the true one is never higher, and lower by at most slack_i + slack_j. A
row's floor is its k-th best pessimistic score so far; whoever stays below it even optimistically cannot be among
the k nearest and is dropped. Lists that stay full of undecided rows are settled by exact distances.
"""

from dataclasses import dataclass

import numpy as np

from compute.scores import Scores, squared_distances


@dataclass
class Shortlists:
    """The candidates of U rows, W places each, at working positions; free places hold -inf."""

    k: int  # neighbours wanted
    score: np.ndarray  # float32 (U, W), optimistic
    other: np.ndarray  # int32 (U, W), position of the candidate
    count: np.ndarray  # int32 (U,), places taken
    floor: np.ndarray  # float32 (U,), none of the k nearest scores below it

    @classmethod
    def empty(cls, n_rows: int, k: int) -> "Shortlists":
        """Lists without an entry, of W = k + max(k, 28) places."""
        shape = n_rows, k + max(k, 28)
        score, other = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.int32)
        return cls(k, score, other, np.zeros(n_rows, np.int32), np.full(n_rows, -np.inf, np.float32))

    def add(self, scores: Scores, owner: np.ndarray, other: np.ndarray, score: np.ndarray) -> None:
        """Enter the pairs (owner ascending, other, score), tightening the lists that run full."""
        width = self.score.shape[1]
        while owner.size:
            opens = np.flatnonzero(np.diff(owner, prepend=-1))  # where each owner's run begins
            length = np.diff(opens, append=owner.size)
            place = self.count[owner] + np.arange(owner.size) - np.repeat(opens, length)
            fits = place < width
            self.score[owner[fits], place[fits]] = score[fits]
            self.other[owner[fits], place[fits]] = other[fits]
            self.count[owner[opens]] = np.minimum(self.count[owner[opens]] + length, width)
            if fits.all():
                return
            owner, other, score = owner[~fits], other[~fits], score[~fits]
            self.tighten(scores, owner[np.flatnonzero(np.diff(owner, prepend=-1))])
            alive = score >= self.floor[owner]
            owner, other, score = owner[alive], other[alive], score[alive]

    def tighten(self, scores: Scores, who: np.ndarray) -> None:
        """Raise the floors of the rows `who` and drop the candidates below them; no list stays full."""
        score, other = self.score[who], self.other[who]  # (n, W)
        width = score.shape[1]
        pessimistic = score - scores.slack[other]
        kth = np.partition(pessimistic, width - self.k, axis=1)[:, width - self.k]
        self.floor[who] = np.maximum(self.floor[who], kth - scores.slack[who])
        self._keep(who, score, other, score >= self.floor[who, None])
        full = who[self.count[who] == width]
        if full.size:
            self._settle(scores, full)

    def _keep(self, who: np.ndarray, score: np.ndarray, other: np.ndarray, stays: np.ndarray) -> None:
        """Move the candidates that stay to the front of the lists of `who`, and forget the others."""
        order = np.argsort(~stays, axis=1, kind="stable")
        self.score[who] = np.take_along_axis(np.where(stays, score, np.float32(-np.inf)), order, axis=1)
        self.other[who] = np.take_along_axis(other, order, axis=1)
        self.count[who] = (stays & (score > -np.inf)).sum(axis=1)

    def _settle(self, scores: Scores, who: np.ndarray) -> None:
        """Reduce full lists to their k nearest by exact distance, ties to the smaller id."""
        score, other = self.score[who], self.other[who]  # (n, W)
        one, two = scores.row_of[np.repeat(who, score.shape[1])], scores.row_of[other.ravel()]
        squared = squared_distances(scores.rows, one, two).reshape(score.shape)
        order = np.lexsort((scores.row_of[other], squared), axis=1)[:, : self.k]  # (n, k)
        stays = np.zeros(score.shape, bool)
        np.put_along_axis(stays, order, True, axis=1)
        kth = np.take_along_axis(squared, order[:, -1:], axis=1)[:, 0]
        self.floor[who] = np.maximum(self.floor[who], scores.floor_of(kth))
        self._keep(who, score, other, stays)
