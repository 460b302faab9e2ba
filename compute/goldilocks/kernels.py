"""What else a step does row by row or number by number, compiled: layer norms, sums over rows, GELU, AdamW.

bfloat16 in and out, float32 between. Each function gives the bits of the chain of torch's operations that it stands
for, as torch computes them where it has AVX-512, in fewer passes over memory; but for signs of zero, and for what torch
flushes to zero in GELU (products below 2^-126). Arrays are flat, as `compute.goldilocks.lanes` has them. Chapter:
Goldilocks. Source: [welford1962note] for the moments of a row.
"""

import numpy as np
from numba import config, njit

from compute.goldilocks.lanes import F, fma, load, look, root, rounded, spread, store, turn, wide

LENGTHS = 32  # row lengths are multiples of it: torch reads 32 bfloat16 at once, and treats what is left in other ways
TALLEST = 1 << 19  # rows of a sum: torch sums more of them in other groups
WIDEST = 256  # of the rows of a layer norm: torch merges the moments of longer ones in another order


def fits(*lengths: int) -> bool:
    """Whether rows of these lengths can be given to the compiled functions, and those can be compiled."""
    return not config.DISABLE_JIT and all(length % LENGTHS == 0 for length in lengths)


@njit(nogil=True)
def norm(x, added, weight, bias, out, mean, scale, eps):
    """Layer norm of rows x (N, D), N a multiple of 8, into out; mean and 1 / standard deviation into mean and scale.

    First, `added` is added to x in place: as many rows, or fewer, which are added over and over. Moments by
    [welford1962note]: in sixteen lanes, each over every 16th number; then the lanes are merged. D at most 256.
    """
    n_rows, width = len(mean), len(weight)
    ones, twos, zero = np.empty(64, F), np.empty(64, F), spread(F(0))
    for block in range(0, n_rows, 8):
        for row in range(8):
            at = (block + row) * width
            other = at % len(added)
            for here in range(0, width, 8):
                store(x, at + here, load(x, at + here) + load(added, other + here))
            one, two, one_too, two_too = zero, zero, zero, zero  # means and sums of squares about them
            for count in range(width // 16):
                share, here = spread(F(1) / F(count + 1)), at + 16 * count
                x_one, x_two = load(x, here), load(x, here + 8)
                off, off_too = x_one - one, x_two - one_too
                one, one_too = fma(off, share, one), fma(off_too, share, one_too)
                two, two_too = fma(off, x_one - one, two), fma(off_too, x_two - one_too, two_too)
            off = one_too - one
            half = spread(F(0.5)) * off
            store(ones, 8 * row, one + half)
            store(twos, 8 * row, fma(off * spread(F(width // 16)), half, two + two_too))
        turn(ones, 0)
        turn(twos, 0)
        one, two = zero, zero
        for count in range(8):
            share, off = spread(F(1) / F(count + 1)), load(ones, 8 * count) - one
            one = fma(share, off, one)
            two = two + fma(off * off * share, spread(F(count * (width // 8))), load(twos, 8 * count))
        scales = spread(F(1)) / root(two / spread(F(width)) + spread(eps))
        store(mean, block, one)
        store(scale, block, scales)
        store(ones, 0, scales)
        store(twos, 0, (zero - scales) * one)
        for row in range(8):
            at, factor, shift = (block + row) * width, spread(ones[row]), spread(twos[row])
            for here in range(0, width, 8):
                straight = fma(load(x, at + here), factor, shift)
                store(out, at + here, fma(straight, load(weight, here), load(bias, here)))


@njit(nogil=True)
def norm_back(slope, x, mean, scale, weight, added, out):
    """The slope at rows x (N, D), N a multiple of 8, from that at their layer norm, into out.

    It is rounded; then `added`, if not empty, is added.
    """
    n_rows, width = len(mean), len(weight)
    ones, twos, part = np.empty(64, F), np.empty(64, F), spread(F(1) / F(width))
    for block in range(0, n_rows, 8):
        for row in range(8):
            at = (block + row) * width
            slope_one, slope_two = load(slope, at), load(slope, at + 8)
            weight_one, weight_two = load(weight, 0), load(weight, 8)
            ds, ds_too = slope_one * load(x, at) * weight_one, slope_two * load(x, at + 8) * weight_two
            db, db_too = slope_one * weight_one, slope_two * weight_two
            for here in range(16, width, 16):
                slope_one, slope_two = load(slope, at + here), load(slope, at + here + 8)
                weight_one, weight_two = load(weight, here), load(weight, here + 8)
                ds = fma(slope_one * load(x, at + here), weight_one, ds)
                ds_too = fma(slope_two * load(x, at + here + 8), weight_two, ds_too)
                db, db_too = fma(slope_one, weight_one, db), fma(slope_two, weight_two, db_too)
            store(ones, 8 * row, ds + ds_too)
            store(twos, 8 * row, db + db_too)
        turn(ones, 0)
        turn(twos, 0)
        ds, db, factor, centre = _by_halves(ones), _by_halves(twos), load(scale, block), load(mean, block)
        tilt = fma(db, centre, spread(F(0)) - ds) * factor * factor * factor * part
        store(ones, 0, tilt)
        store(twos, 0, fma(spread(F(0)) - tilt, centre, spread(F(0)) - db * factor * part))
        store(ones, 8, factor)
        for row in range(8):
            at, factor, tilt, shift = (block + row) * width, spread(ones[8 + row]), spread(ones[row]), spread(twos[row])
            for here in range(0, width, 8):
                straight = factor * load(slope, at + here) * load(weight, here)
                found = fma(tilt, load(x, at + here), straight) + shift
                if len(added):
                    found = rounded(found) + load(added, at + here)
                store(out, at + here, found)


@njit(nogil=True, forceinline=True)
def _by_halves(turned):
    """The totals of eight rows of lanes that lie turned."""
    even = (load(turned, 0) + load(turned, 32)) + (load(turned, 16) + load(turned, 48))
    return even + ((load(turned, 8) + load(turned, 40)) + (load(turned, 24) + load(turned, 56)))


@njit(nogil=True)
def norm_sums(slope, x, mean, scale, weight_slope, bias_slope):
    """The slopes of a layer norm's weight and bias (D,): sums over rows, rounded to bfloat16 after each row."""
    width = len(weight_slope)
    for here in range(0, width, 16):
        weight_one, weight_two, bias_one, bias_two = spread(F(0)), spread(F(0)), spread(F(0)), spread(F(0))
        for row in range(len(mean)):
            at = row * width + here
            factor, shift = spread(wide(scale[row])), spread(-wide(scale[row]) * wide(mean[row]))
            slope_one, slope_two = load(slope, at), load(slope, at + 8)
            weight_one = rounded(fma(slope_one, fma(factor, load(x, at), shift), weight_one))
            weight_two = rounded(fma(slope_two, fma(factor, load(x, at + 8), shift), weight_two))
            bias_one, bias_two = rounded(bias_one + slope_one), rounded(bias_two + slope_two)
        store(weight_slope, here, weight_one)
        store(weight_slope, here + 8, weight_two)
        store(bias_slope, here, bias_one)
        store(bias_slope, here + 8, bias_two)


@njit(nogil=True)
def column_sums(rows, out):
    """Sums of the columns of rows (N, C) into out (C,); N a multiple of 16, at most `TALLEST`.

    Sixteen rows are summed one after another; so are sixteen such sums, sixteen of those, and all that remain.
    """
    width, zero = len(out), spread(F(0))
    n_rows = len(rows) // width
    for here in range(0, width, 16):
        one, two, three = zero, zero, zero  # sums of 16, of 256 and of 4,096 rows
        one_too, two_too, three_too = zero, zero, zero
        for first in range(0, n_rows, 16):
            few, few_too = zero, zero
            for at in range(first * width + here, (first + 16) * width, width):
                few, few_too = few + load(rows, at), few_too + load(rows, at + 8)
            one, one_too = one + few, one_too + few_too
            if (first + 16) % 256 == 0:
                two, two_too, one, one_too = two + one, two_too + one_too, zero, zero
                if (first + 16) % 4096 == 0:
                    three, three_too, two, two_too = three + two, three_too + two_too, zero, zero
        store(out, here, one + two + three)
        store(out, here + 8, one_too + two_too + three_too)


@njit(nogil=True)
def gelu(x, out, table):
    """GELU of x into out; table: uint16 (65,536,), that of each bfloat16 pattern."""
    for place in range(len(x)):
        out[place] = table[x[place]]


@njit(nogil=True)
def gelu_back(slope, x, steepness):
    """Slopes times GELU's derivative at x, in place; steepness: float32 (65,536,), that of each bfloat16 pattern."""
    for place in range(0, len(x), 8):
        store(slope, place, load(slope, place) * look(steepness, x, place))


@njit(nogil=True)
def input_sums(ids, slopes, places, room, matrix):
    """Add to the rows of matrix (V, D) the slopes (N, D) at input rows of their ids, summed in float32, rounded once.

    ids: in the vocabulary; places: int64 (V,) of -1, and so again at the end; room: float32 (N, D).
    """
    width, count = len(matrix) // len(places), 0
    for place in range(len(ids)):
        known = places[ids[place]]
        if known < 0:
            known = places[ids[place]] = count
            count += 1
            for here in range(0, width, 8):
                store(room, known * width + here, spread(F(0)))
        for here in range(0, width, 8):
            where = known * width + here
            store(room, where, load(room, where) + load(slopes, place * width + here))
    for place in range(len(ids)):
        token = ids[place]
        if places[token] >= 0:
            for here in range(0, width, 8):
                where = token * width + here
                store(matrix, where, load(matrix, where) + rounded(load(room, places[token] * width + here)))
            places[token] = -1


@njit(nogil=True)
def adam(weights, gradients, means, squares, decay, gain, fade, gain_too, bias, eps, size):
    """torch's AdamW on bfloat16 weights and moments, each of its operations rounded; all numbers are float32.

    decay multiplies the weights; gain: 1 - beta1; fade and gain_too: beta2 and 1 - beta2; bias: the root of
    1 - beta2^step; size: minus the learning rate over 1 - beta1^step.
    """
    for place in range(0, len(weights), 8):
        slope, mean = load(gradients, place), load(means, place)
        mean = rounded(fma(spread(gain), slope - mean, mean))
        square = rounded(load(squares, place) * spread(fade))
        square = rounded(fma(spread(gain_too) * slope, slope, square))
        below = rounded(rounded(rounded(root(square)) / spread(bias)) + spread(eps))
        weight = rounded(load(weights, place) * spread(decay))
        store(weights, place, weight + spread(size) * mean / below)
        store(means, place, mean)
        store(squares, place, square)
