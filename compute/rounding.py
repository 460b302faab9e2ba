"""Rounding onto a lattice, and what it does to an optimiser: which steps arrive, and which never happened.

A stored weight is rounded to the nearest value after each step. A step shorter than half a cell rounds back:
the weight has not moved, and no number of such steps will move it. Chapter: The lattice.
Sources: [goldberg1991floating], [gupta2015limited], [zamirai2021bfloat16], [loshchilov2019decoupled].
"""

from typing import NamedTuple

import numpy as np

from compute.lattice import BFLOAT16, Lattice, magnitude, ordinal, pattern, ulp, value, widen

QUIET_NAN = 0x7FC0  # what every NaN is rounded to, but for its sign; a payload is not kept


def round_nearest(values, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return the patterns nearest to float64 values, ties to the even pattern; beyond the range: infinity.

    ordinal = (e - e_min) 2^m + rint(|x| / 2^(e - m)), with e the power of two of the binade of x (not below
    e_min, that of the smallest normal value) and m the mantissa bits: one rounding, whatever the format. A
    NaN becomes the quiet NaN of its sign. Source: [goldberg1991floating].
    """
    values = np.asarray(values, dtype=float)
    size = np.abs(values)
    regular = np.isfinite(size) & (size > 0)
    lowest = lattice.lowest_power + lattice.mantissa_bits
    power = np.maximum(np.where(regular, np.frexp(size)[1] - 1, lowest), lowest).astype(np.int64)
    steps = np.rint(np.ldexp(np.where(regular, size, 0.0), lattice.mantissa_bits - power)).astype(np.int64)
    absolute = np.minimum(((power - lowest) << lattice.mantissa_bits) + steps, lattice.infinity)
    absolute = np.where(np.isinf(size), lattice.infinity, absolute)
    quiet = lattice.infinity | 1 << (lattice.mantissa_bits - 1)
    absolute = np.where(np.isnan(size), quiet, absolute)
    return (absolute | np.where(np.signbit(values), lattice.sign, 0)).astype(lattice.unsigned)


def round_float32(values) -> np.ndarray:
    """Return the bfloat16 patterns (uint16) nearest to float32 values, by integer arithmetic, ties to even.

    The upper half of a float32 *is* the bfloat16 towards zero; adding 0x7FFF, and 1 more where that half is
    odd, carries into it exactly when the lower half says so. Past the largest value it carries into
    infinity. A NaN becomes the quiet NaN of its sign: cut off, one whose payload lies in the lower half
    would turn into infinity. Raises TypeError unless the values are float32: from float64 it would round
    twice. Source: [kalamkar2019bfloat16].
    """
    stored = _float32_patterns(values)
    rounded = stored + 0x7FFF + (stored >> 16 & 1)
    return _upper_half(rounded, stored)


def round_stochastic(values, generator: np.random.Generator) -> np.ndarray:
    """Return bfloat16 patterns (uint16) on either side of float32 values, the nearer one more often.

    P(away from zero) = (distance from the value towards zero) / cell, in steps of 2^-16, so that the mean
    is the value itself, short of overflow. What is representable stays. NaN and infinity as in
    `round_float32`. Sources: [gupta2015limited], [zamirai2021bfloat16].
    """
    stored = _float32_patterns(values)
    rounded = stored + generator.integers(0, 1 << 16, size=stored.shape, dtype=np.uint64)
    return _upper_half(rounded, stored)


def _float32_patterns(values) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype != np.float32:
        raise TypeError(
            f"float32 asked for, {values.dtype} found; use round_nearest, or convert first, "
            "knowing that two roundings are not one"
        )
    return values.view(np.uint32).astype(np.uint64)  # room for the carry


def _upper_half(rounded: np.ndarray, stored: np.ndarray) -> np.ndarray:
    absolute = stored & 0x7FFFFFFF
    rounded = np.where(absolute >= 0x7F800000, stored, rounded)  # infinities stay; NaNs are replaced below
    kept = np.where(absolute > 0x7F800000, QUIET_NAN | (stored >> 16 & 0x8000), rounded >> 16)
    return kept.astype(np.uint16)


class HalfCells(NamedTuple):
    """How far a weight may be pushed before it rounds to its neighbour, in the weight's unit, float64."""

    toward: np.ndarray  # towards zero: ULP/2, but ULP/4 at the foot of a binade
    away: np.ndarray  # away from zero: ULP/2


def half_cells(stored, lattice: Lattice = BFLOAT16) -> HalfCells:
    """Return the distances from finite patterns to the two midpoints that bound what rounds to them."""
    absolute = magnitude(stored, lattice)
    mantissa = absolute & ((1 << lattice.mantissa_bits) - 1)
    foot = (mantissa == 0) & (absolute >> lattice.mantissa_bits >= 2)  # below E = 1 the cells are no smaller
    half = ulp(stored, lattice) / 2
    return HalfCells(toward=np.where(foot, half / 2, half), away=half)


def is_lost(stored, update, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return where weight + update rounds to nearest back to the weight: the step never happened.

    The update (weight's unit) is compared with half the cell that it points into; nothing is added, so
    nothing is rounded. A tie stays where the pattern is even. Source: [zamirai2021bfloat16].
    """
    update = np.asarray(update, dtype=float)
    room = half_cells(stored, lattice)
    place = ordinal(stored, lattice)
    half = np.where(np.sign(update) == -np.sign(place), room.toward, room.away)
    return (np.abs(update) < half) | ((np.abs(update) == half) & (place % 2 == 0))


def decay_threshold(stored, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return the largest lr * wd, dimensionless, at which one decay w (1 - lr wd) still rounds back to w.

    (cell towards zero) / (2 |w|); an odd pattern moves at the threshold itself, an even one just beyond; a
    zero never moves (inf). In each normal binade it runs from 2^-9 at the foot over 2^-8 down to 2^-9
    again: below 2^-9 decay does nothing to any normal bfloat16 weight. Source: [loshchilov2019decoupled].
    """
    weight = np.abs(value(stored, lattice))
    toward = half_cells(stored, lattice).toward
    return np.divide(toward, weight, out=np.full(weight.shape, np.inf), where=weight > 0)


def decay_cells(stored, shrink) -> np.ndarray:
    """Return the cells towards zero that a bfloat16 weight moves in one decay step, shrink = lr * wd.

    As PyTorch does it: 1 - shrink as float32, the product in float32, rounded to nearest. Broadcasts.
    """
    factor = np.asarray(1 - np.asarray(shrink, dtype=float)).astype(np.float32)
    product = widen(stored) * factor
    return magnitude(stored) - magnitude(round_float32(product))


def adamw_step(stored, direction, learning_rate: float, decay: float) -> np.ndarray:
    """Return the bfloat16 patterns after one AdamW step, with the two roundings that PyTorch makes.

    w <- round(w (1 - lr wd)), then w <- round(w - lr direction), direction = m / (sqrt(v) + eps),
    dimensionless; arithmetic in float32. Source: [loshchilov2019decoupled].
    """
    shrunk = round_float32(widen(stored) * np.float32(1 - learning_rate * decay))
    step = np.float32(learning_rate) * np.asarray(direction, dtype=np.float32)
    return round_float32(widen(shrunk) - step)


def lost_share(spread: float, step: float) -> float:
    """Return the share of N(0, spread^2) weights in bfloat16 that a step of +step or -step leaves alone.

    spread and step in the weight's unit; both signs equally likely. Summed over all patterns with the exact
    mass of each cell, not sampled.
    """
    from scipy.special import erf

    stored = pattern(np.arange(BFLOAT16.infinity))
    room, weight = half_cells(stored), value(stored)
    width = spread * np.sqrt(2)
    below = np.where(weight > 0, weight - room.toward, 0.0)
    mass = erf((weight + room.away) / width) - erf(below / width)  # both signs of the weight together
    stays = (is_lost(stored, step).astype(float) + is_lost(stored, -step)) / 2
    return float((mass * stays).sum())


def kept_mantissas(beta2) -> np.ndarray:
    """Return where v * beta2 rounds back to v: bool (..., 128), over the mantissas of a normal bfloat16 v.

    With a zero gradient such a second moment never decays. All stay from beta2 = 1 - 2^-9 on, none below
    about 1 - 2^-8. The product is made in float32, as PyTorch makes it. Broadcasts over beta2.
    """
    stored = np.arange(128) + (127 << BFLOAT16.mantissa_bits)  # the binade [1, 2): every normal one is alike
    product = widen(stored) * np.asarray(beta2, dtype=np.float32)[..., None]
    return round_float32(product) == stored


class Path(NamedTuple):
    """One quantity followed over steps, in float64 and as bfloat16 stores it."""

    exact: np.ndarray
    stored: np.ndarray


def second_moment_path(squares, beta2: float) -> Path:
    """Return Adam's second moment v after each step of squared gradients (T, ...), from v = 0.

    v <- beta2 v + (1 - beta2) g^2. `stored` keeps v in bfloat16 and rounds twice a step, the product and
    then the sum, as PyTorch does; `exact` is float64. Unit: gradient squared. Sources: [kingma2015adam],
    [zamirai2021bfloat16].
    """
    squares = np.asarray(squares, dtype=float)
    exact, stored = np.empty_like(squares), np.empty_like(squares)
    precise, kept = np.zeros(squares.shape[1:]), np.zeros(squares.shape[1:], dtype=np.uint16)
    for step, square in enumerate(squares):
        precise = beta2 * precise + (1 - beta2) * square
        kept = round_float32(widen(kept) * np.float32(beta2))
        kept = round_float32(widen(kept) + np.float32(1 - beta2) * np.float32(square))
        exact[step], stored[step] = precise, value(kept)
    return Path(exact, stored)


class DecayPaths(NamedTuple):
    """The norm of one weight vector under decay alone, relative to its start: (steps + 1,) float64 each."""

    exact: np.ndarray  # (1 - shrink)^t
    nearest: np.ndarray  # bfloat16, rounded to nearest
    stochastic: np.ndarray  # bfloat16, rounded stochastically


def decay_paths(weights, shrink: float, steps: int, generator: np.random.Generator) -> DecayPaths:
    """Return what weight decay alone, w <- w (1 - shrink), does to the norm of float32 weights (n,)."""
    nearest = stochastic = round_float32(weights)
    norms = np.empty((2, steps + 1))
    norms[:, 0] = _norm(nearest)
    factor = np.float32(1 - shrink)
    for step in range(1, steps + 1):
        nearest = round_float32(widen(nearest) * factor)
        stochastic = round_stochastic(widen(stochastic) * factor, generator)
        norms[:, step] = _norm(nearest), _norm(stochastic)
    return DecayPaths((1 - shrink) ** np.arange(steps + 1), *norms / norms[0, 0])


def _norm(stored: np.ndarray) -> float:
    return float(np.linalg.norm(widen(stored).astype(float)))
