"""GGUF's Q8_0 as a lattice: whose step is its block's scale, and which neighbours of bfloat16 it makes one.

A row of D components is D / 32 blocks of 34 bytes: a float16 scale d, then 32 int8 q; a component is d q.
Within a block the values are evenly spaced, d apart, where a float's spacing shrinks with the value: a
large component in a block coarsens all 31 others. Two rows that were neighbours, or strangers, before
quantization may be stored as the same bytes after it. Chapter: The lattice.
"""

from typing import NamedTuple

import numpy as np

from compute.lattice import BFLOAT16, pattern, patterns, ulp, value, widen
from compute.rounding import round_nearest

BLOCK = 32  # components that share a scale
BLOCK_BYTES = 2 + BLOCK


class Blocks(NamedTuple):
    """Rows of Q8_0, taken apart."""

    scales: np.ndarray  # float16 (n, D / 32), gamma units: the lattice's step in each block
    quants: np.ndarray  # int8 (n, D / 32, 32), steps from zero


def unpack(stored) -> Blocks:
    """Return scales and quants of rows of Q8_0, uint8 (n, bytes a row), little-endian.

    Raises ValueError for a row that is no whole number of blocks and for a scale that is no number.
    """
    stored = np.asarray(stored)
    if stored.dtype != np.uint8 or stored.ndim != 2 or stored.shape[1] % BLOCK_BYTES:
        raise ValueError(
            f"rows of Q8_0 are uint8 (n, a multiple of {BLOCK_BYTES} bytes); found {stored.dtype} {stored.shape}"
        )
    blocks = np.ascontiguousarray(stored).reshape(len(stored), -1, BLOCK_BYTES)  # (n, D / 32, 34)
    scales = np.ascontiguousarray(blocks[..., :2]).view("<f2")[..., 0].astype(np.float16)  # (n, D / 32)
    if not np.isfinite(scales).all():
        bad = np.argwhere(~np.isfinite(scales))[0]
        raise ValueError(
            f"block {bad[1]} of row {bad[0]} has the scale {scales[tuple(bad)]}; the tensor is damaged or is not Q8_0"
        )
    return Blocks(scales, blocks[..., 2:].view(np.int8))


def decode(stored) -> np.ndarray:
    """Return the values of rows of Q8_0 as float32 (n, D), gamma units: d q, rounded once."""
    scales, quants = unpack(stored)
    return (scales[..., None].astype(np.float32) * quants).reshape(len(quants), -1)  # (n, D)


def quantize(values) -> np.ndarray:
    """Return float32 values (n, D) as rows of Q8_0, uint8 (n, bytes a row), bit for bit as llama.cpp does.

    d = max|x| / 127 over the block, q = x / d rounded to nearest, halves away from zero; d is rounded to
    float16 only when it is stored. Raises ValueError for D that is no multiple of 32 and for values no
    float16 scale can hold.
    """
    values = np.asarray(values, dtype=np.float32)
    if values.ndim != 2 or values.shape[1] % BLOCK:
        raise ValueError(f"Q8_0 takes (n, a multiple of {BLOCK}); found {values.shape}")
    blocks = values.reshape(len(values), -1, BLOCK)  # (n, D / 32, 32)
    scales = np.abs(blocks).max(axis=-1, initial=0) / np.float32(127)  # (n, D / 32)
    if not (scales < 65520).all():
        raise ValueError(f"the largest component is {np.abs(values).max()}, its scale no float16; Q8_0 reaches 8.3e6")
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.where(scales == 0, np.float32(0), 1 / scales)
    steps = blocks * inverse[..., None]
    floor = np.floor(np.abs(steps))
    quants = np.sign(steps) * (floor + np.floor(2 * (np.abs(steps) - floor)))
    stored = np.empty((*blocks.shape[:2], BLOCK_BYTES), dtype=np.uint8)
    stored[..., :2] = scales.astype("<f2")[..., None].view(np.uint8)
    stored[..., 2:] = quants.astype(np.int8).view(np.uint8)
    return stored.reshape(len(values), -1)  # (n, bytes a row)


class StepCensus(NamedTuple):
    """How often each size of step meets each number of steps in a Q8_0 matrix."""

    scales: np.ndarray  # float64 (S,), the different scales, rising, gamma units
    counts: np.ndarray  # int64 (S, 129): components with that scale that lie |q| = 0 .. 128 steps from zero


def step_census(row_blocks) -> StepCensus:
    """Return the census of steps over pieces of a Q8_0 matrix, an iterable of uint8 (n, bytes a row).

    Raises ValueError for a negative scale, which no quantizer writes.
    """
    counts = np.zeros((1 << 15, 129), dtype=np.int64)  # one row a non-negative float16
    for stored in row_blocks:
        scales, quants = unpack(stored)
        if np.signbit(scales).any():
            raise ValueError(
                f"{int(np.signbit(scales).sum())} blocks have a negative scale; the tensor is damaged or is not Q8_0"
            )
        place = scales.view(np.uint16).astype(np.int64)[..., None] * 129 + np.abs(quants.astype(np.int64))
        counts += np.bincount(place.ravel(), minlength=counts.size).reshape(counts.shape)
    used = counts.any(axis=1)
    return StepCensus(np.flatnonzero(used).astype(np.uint16).view(np.float16).astype(float), counts[used])


class StepRatio(NamedTuple):
    """Q8_0's step in units of bfloat16's ULP at the same weight, and how many components have which."""

    ratio: np.ndarray  # float64 (S, 128), step / ULP for |q| = 1 .. 128; 0 where the scale is 0
    weight: np.ndarray  # int64 (S, 128)


def step_ratio(census: StepCensus) -> StepRatio:
    """Return step / ULP(w) with w = d q rounded to bfloat16, for components off zero.

    At zero bfloat16's ULP is 2^-133 and the ratio says nothing: those components are counted in the
    census's first column.
    """
    weights = census.scales[:, None] * np.arange(1, 129)  # (S, 128)
    return StepRatio(census.scales[:, None] / ulp(round_nearest(weights)), census.counts[:, 1:])


def values_per_cell(scales) -> np.ndarray:
    """Return how many bfloat16 values each Q8_0 cell holds: int64 (S, 128), scales by |q| = 0 .. 127.

    The cell of q holds (|q| - 1/2) d <= |w| < (|q| + 1/2) d, both signs together for q = 0, where the zeros
    count as one value. Raises ValueError for a scale that is no positive number.
    """
    scales = np.asarray(scales, dtype=float)
    if not (np.isfinite(scales) & (scales > 0)).all():
        raise ValueError(f"a step is a positive number; found {scales.min()} .. {scales.max()}")
    number_line = value(pattern(np.arange(BFLOAT16.infinity)))  # (32640,) rising from 0
    edges = (np.arange(128) + 0.5) * scales[:, None]  # (S, 128), the upper ones
    below = np.searchsorted(number_line, edges)
    counts = np.diff(below, axis=1, prepend=0)
    counts[:, 0] = 2 * counts[:, 0] - 1
    return counts


def box_sizes(stored) -> np.ndarray:
    """Return log10 of how many bfloat16 vectors share each row's bytes, (n,), were its scales held still.

    A row of Q8_0 is a box; this is the product of `values_per_cell` over its components. Components of a
    block whose scale is 0 count one value each.
    """
    scales, quants = unpack(stored)
    different, place = np.unique(scales.astype(float), return_inverse=True)
    held = np.ones((len(different), 129))
    held[different > 0, :128] = values_per_cell(different[different > 0])
    chosen = held[place.reshape(scales.shape)[..., None], np.abs(quants.astype(int))]  # (n, D / 32, 32)
    return np.log10(chosen).sum(axis=(1, 2))


def unseen_share(census: StepCensus, hops) -> np.ndarray:
    """Return the share of components whose Q8_0 bytes do not see a move of so many bfloat16 cells: (K,).

    Of the n bfloat16 values in a cell, n - k are still in it after k cells upwards: max(0, n - k) / n,
    averaged over the components. Any of the n is taken as equally likely to be the original, the block's
    scale as unmoved.
    """
    used = census.scales > 0
    held = values_per_cell(census.scales[used])  # (S, 128)
    counts = census.counts[used, :128]
    hops = np.asarray(hops)
    stays = [np.maximum(held - hop, 0) / np.maximum(held, 1) for hop in hops.ravel()]  # each (S, 128)
    return np.array([(stay * counts).sum() for stay in stays]).reshape(hops.shape) / counts.sum()


class Survivors(NamedTuple):
    """What Q8_0 leaves of several rows that differ in few components, over trials."""

    rows: np.ndarray  # int64 (trials,), different rows left
    largest: np.ndarray  # int64 (trials,), the largest population after merging
    together: np.ndarray  # float64 (R, R), share of trials in which two rows have become one


def survivors(stored, components, populations, exponents, trials: int, generator: np.random.Generator) -> Survivors:
    """Return how many bfloat16 rows stay apart in Q8_0, what they share being drawn anew each trial.

    stored (R, K) are the patterns of the K components in which the rows differ, at the indices `components`
    of a row; `exponents` (D,) the biased exponents of all D components, in any order, those K among them.
    The other D - K exponents are dealt at random over the places, mantissas are drawn uniformly; signs do
    not matter. A simulation: the true places are not known. Raises ValueError where rows and exponents
    cannot belong together.
    """
    stored, components = patterns(stored), np.asarray(components)
    if (stored >> 7 != stored[0] >> 7).any():
        raise ValueError("the rows differ in a sign or an exponent: what they share cannot be told from a list")
    pool = _without(exponents, (stored[0] >> 7) & 0xFF)
    # only blocks with a component of interest are quantized: in the others the rows agree before and after
    touched = np.flatnonzero(np.isin(np.arange(len(exponents)) // BLOCK, components // BLOCK))
    place = np.searchsorted(touched, components)
    shared = np.setdiff1d(np.arange(len(touched)), place)
    rows, largest = np.empty(trials, dtype=np.int64), np.empty(trials, dtype=np.int64)
    together = np.zeros((len(stored), len(stored)))
    bits = np.empty((len(stored), len(touched)), dtype=np.uint16)  # (R, K')
    bits[:, place] = stored
    for trial in range(trials):
        mantissas = generator.integers(0, 128, size=len(shared), dtype=np.uint16)
        bits[:, shared] = generator.permutation(pool)[: len(shared)] << 7 | mantissas
        bytes_of = quantize(widen(bits))
        same = (bytes_of[:, None] == bytes_of).all(axis=-1)  # (R, R)
        rows[trial] = (same.argmax(axis=1) == np.arange(len(stored))).sum()  # each row's first twin is itself
        largest[trial] = (same @ np.asarray(populations)).max()
        together += same
    return Survivors(rows, largest, together / trials)


def _without(exponents, taken) -> np.ndarray:
    left = np.bincount(exponents, minlength=256) - np.bincount(taken, minlength=256)
    if (left < 0).any():
        raise ValueError(
            f"exponents {np.flatnonzero(left < 0).tolist()} occur more often in the rows than "
            "in the list of all components"
        )
    return np.repeat(np.arange(256, dtype=np.uint16), left)
