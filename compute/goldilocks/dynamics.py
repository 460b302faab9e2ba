"""What the gradient of the cross-entropy does to a token that never occurs: the formulas, in numpy and float64.

P positions, D components, V tokens, n of them dead; hidden states h (P, D), output matrix W (V, D) with rows w_i, and
p (P, V) the softmax of h W^T. Pure: arrays in, arrays out. Chapter: Dead-token dynamics.
Sources: [gao2019degeneration], [yu2022rare], [kingma2015adam], [ba2016layernorm].
"""

from typing import NamedTuple

import numpy as np

from compute import lattice, rounding

SIZES = np.arange(-30, 0.5, 0.5)  # log10 of |g|, edges of half decades


def dead_probabilities(hidden: np.ndarray, matrix: np.ndarray, dead: np.ndarray) -> np.ndarray:
    """Return the probability of each dead token at each position, (P, n): from h (P, D), W (V, D) and dead (n,)."""
    logits = hidden.astype(np.float64) @ matrix.astype(np.float64).T  # (P, V)
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    return logits[:, dead] / logits.sum(axis=1, keepdims=True)


def gradients(p: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Return the gradient of the mean loss at each dead row: (n, D), 1/P sum over positions of p h.

    p (P, n) from `dead_probabilities`, hidden (P, D).
    """
    return p.T @ hidden.astype(np.float64) / len(hidden)


def expected_rounding(p: np.ndarray, hidden: np.ndarray, matrix: np.ndarray, dead: np.ndarray) -> np.ndarray:
    """Return the standard deviation (n, D) that a bfloat16 pass gives each component of `gradients`.

    Three roundings, each uniform in its cell (variance cell^2 / 12) and independent of the others: of the logit, which
    changes p by p times as much; of p; and of the gradient itself. Sums are held to be exact (they run in float32).
    """
    logits = hidden.astype(np.float64) @ matrix[dead].astype(np.float64).T  # (P, n)
    variance = (p * _cell(logits)) ** 2 + _cell(p) ** 2  # (P, n), in units of 1/12
    summed = variance.T @ hidden.astype(np.float64) ** 2 / len(hidden) ** 2  # (n, D)
    return np.sqrt((summed + _cell(gradients(p, hidden)) ** 2) / 12)


def _cell(values: np.ndarray) -> np.ndarray:
    """The width of the bfloat16 cell that each value lies in."""
    return lattice.ulp(rounding.round_nearest(values))


class Weighing(NamedTuple):
    """Position by position: what a dead token at the centroid of its swarm would see of the hidden states."""

    mean: np.ndarray  # m (D,): mean of h, weighted by the probability of a token at the centroid
    covariance: np.ndarray  # S (D, D): covariance of h about m, weighted likewise


def weighing(p: np.ndarray, hidden: np.ndarray, matrix: np.ndarray, dead: np.ndarray) -> Weighing:
    """Return m and S: p of row w_i is b_n exp((w_i - c) h_n), with b_n the probability at the centroid c; sum b = 1."""
    hidden = hidden.astype(np.float64)
    rows = matrix[dead].astype(np.float64)  # (n, D)
    share = p[:, 0] * np.exp(hidden @ (rows.mean(axis=0) - rows[0]))  # (P,)
    share /= share.sum()
    mean = share @ hidden
    centred = hidden - mean
    return Weighing(mean, (centred * share[:, None]).T @ centred)


def first_order(found: Weighing, rows: np.ndarray) -> np.ndarray:
    """Return directions (n, D) of the gradients to first order in w_i - c: m + S (w_i - c), for rows (n, D)."""
    rows = rows.astype(np.float64)
    return found.mean + (rows - rows.mean(axis=0)) @ found.covariance


def expected_coherence(found: Weighing, rows: np.ndarray) -> float:
    """Return the mean cosine to m that rows scattered evenly about their centroid have to first order.

    (1 + s^2 tr(S_perp^2) / |m|^2)^(-1/2), s the standard deviation of a component of the rows (n, D), and S_perp the
    part of S that turns a vector away from m.
    """
    axis = found.mean / np.linalg.norm(found.mean)
    turned = found.covariance - np.outer(axis, axis @ found.covariance)  # (D, D)
    spread = rows.astype(np.float64).std(axis=0)
    away = (spread**2 * (turned**2).sum(axis=0)).sum()
    return float((1 + away / (found.mean @ found.mean)) ** -0.5)


def cosines(rows: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the cosine of each row (n, D) to a direction (D,), or to the row of the same number (n, D); NaN for 0."""
    rows, other = rows.astype(np.float64), other.astype(np.float64)
    length = np.linalg.norm(rows, axis=-1) * np.linalg.norm(other, axis=-1)
    return np.divide((rows * other).sum(axis=-1), length, out=np.full(length.shape, np.nan), where=length > 0)


def angles(rows: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return the angle of each row (n, D) to a direction (D,), degrees; exact also where it is very small."""
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    chord = np.linalg.norm(units - direction / np.linalg.norm(direction), axis=1)
    return np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1)))


def mean_pair_cosine(rows: np.ndarray) -> float:
    """Return the mean cosine over all pairs of different rows (n, D), none of them zero."""
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    total = units.sum(axis=0)
    return float((total @ total - len(units)) / (len(units) * (len(units) - 1)))


def size_histogram(gradients: np.ndarray) -> np.ndarray:
    """Return the share of the components |g| in each half decade of `SIZES`; what is smaller counts as the first."""
    size = np.log10(np.maximum(np.abs(gradients), 10.0 ** SIZES[0]))
    return np.histogram(np.minimum(size, SIZES[-1]), SIZES)[0] / size.size


def adam_first_step(gradient: np.ndarray, eps: float) -> np.ndarray:
    """Return Adam's first step in units of the learning rate, downhill: -g / (|g| + eps), whatever the betas."""
    return -gradient / (np.abs(gradient) + eps)


def sign_cosine(vector: np.ndarray) -> float:
    """Return the cosine of a vector (D,) to its own signs: |v|_1 / (sqrt(D) |v|_2); sqrt(2 / pi) for normal noise."""
    return float(np.abs(vector).sum() / (np.sqrt(len(vector)) * np.linalg.norm(vector)))


def along_ones(vectors: np.ndarray) -> np.ndarray:
    """Return the cosine of vectors (..., D) to (1, ..., 1): 0 where the components sum to nothing."""
    return vectors.sum(axis=-1) / (np.sqrt(vectors.shape[-1]) * np.linalg.norm(vectors, axis=-1))


def adam_steps(gradients: np.ndarray, beta1: float, beta2: float, eps: float) -> np.ndarray:
    """Return the steps (T, D) that Adam in float64 makes of gradients (T, D), in units of the learning rate."""
    first, second, steps = np.zeros(gradients.shape[1]), np.zeros(gradients.shape[1]), np.empty(gradients.shape)
    for at, gradient in enumerate(gradients):
        first += (1 - beta1) * (gradient - first)
        second += (1 - beta2) * (gradient**2 - second)
        steps[at] = -(first / (1 - beta1 ** (at + 1))) / (np.sqrt(second / (1 - beta2 ** (at + 1))) + eps)
    return steps


class Agreement(NamedTuple):
    """How well predicted displacements (T, D) are those that happened."""

    cosine: np.ndarray  # (T,) of each step
    length: np.ndarray  # (T,) predicted over happened
    missed: float  # sum |happened - predicted|^2 / sum |happened|^2; 0: perfect, 1: no better than to predict nothing
    overall_cosine: float  # of the summed displacements
    overall_length: float  # of the summed displacements, predicted over happened


def agreement(happened: np.ndarray, predicted: np.ndarray) -> Agreement:
    """Return how displacements (T, D) and their prediction (T, D) compare, step by step and over all."""
    path, guess = happened.sum(axis=0), predicted.sum(axis=0)
    return Agreement(
        cosine=cosines(predicted, happened),
        length=np.linalg.norm(predicted, axis=1) / np.linalg.norm(happened, axis=1),
        missed=float(((happened - predicted) ** 2).sum() / (happened**2).sum()),
        overall_cosine=float(cosines(guess, path)),
        overall_length=float(np.linalg.norm(guess) / np.linalg.norm(path)),
    )
