"""The two softmaxes of a step, compiled: of attention's scores, and of the logits.

bfloat16 in and out, float32 between. They give the bits of the chains of torch's operations that they stand for, where
torch has AVX-512, up to signs of zero, in fewer passes over memory; what the causal mask hides is not looked at. Arrays
are flat, as `compute.goldilocks.lanes` has them; rows are multiples of 32 long.
Chapter: Goldilocks. Source: [shibata2020sleef].
"""

import numpy as np
from numba import njit

from compute.goldilocks.lanes import (
    F,
    fma,
    greater,
    greatest,
    load,
    narrow,
    nearest,
    rounded,
    scaled,
    spread,
    store,
    total,
    upto,
    wide,
)  # fmt: skip

LOG2_E = F(1.442695040888963407)
LN_2, LN_2_LEFT = F(0.693145751953125), F(1.428606765330187045e-06)  # ln 2 in few bits, and what they leave
SERIES = tuple(map(F, (
    0.000198527617612853646, 0.00139304355252534151, 0.00833336077630519867, 0.0416664853692054749,
    0.166666671633720398, 0.5,
)))  # fmt: skip
NOTHING = F(-104)  # the exponential of what is not above it is 0 in float32
LOWEST = F(-np.inf)


@njit(nogil=True, forceinline=True)
def exponential(x):
    """e^x of x not above 0, within one unit in the last place: 2^q times a polynomial in x - q ln 2."""
    x = greater(spread(NOTHING), x)
    whole = nearest(x * spread(LOG2_E))
    rest = fma(whole, spread(-LN_2_LEFT), fma(whole, spread(-LN_2), x))
    series = spread(SERIES[0])
    for factor in SERIES[1:]:
        series = fma(series, rest, spread(factor))
    return scaled(spread(F(1)) + fma(rest * rest, series, rest), whole)


@njit(nogil=True)
def attend(p, factor, context):
    """Scores p (blocks, context, context) to probabilities, in place: times factor, rounded; softmax of j <= i."""
    room, lowest = np.empty(context, F), spread(LOWEST)
    for row in range(len(p) // context):
        at, length = row * context, row % context + 1
        stop = (length + 15) // 16 * 16
        top = lowest
        for here in range(0, stop, 8):
            score = rounded(load(p, at + here) * spread(factor))
            if here + 8 > length:
                score = upto(score, length - here, lowest)
            store(room, here, score)
            top = greater(top, score)
        _shares(room, spread(greatest(top)), stop, p, at)
        for here in range(at + stop, at + context):
            p[here] = 0


@njit(nogil=True, forceinline=True)
def _shares(room, top, stop, p, at):
    """The softmax of room[:stop], whose greatest is top, into p from at on; stop is a multiple of 16."""
    one, two = spread(F(0)), spread(F(0))
    for here in range(0, stop, 16):
        power, power_two = exponential(load(room, here) - top), exponential(load(room, here + 8) - top)
        store(room, here, power)
        store(room, here + 8, power_two)
        one, two = one + power, two + power_two
    share = spread(F(1) / total(one + two))
    for here in range(0, stop, 8):
        store(p, at + here, load(room, here) * share)


@njit(nogil=True)
def attend_back(slope, p, factor, context):
    """The slope at the scores of `attend` from that at its probabilities p, in place.

    It is rounded, multiplied by factor and rounded again.
    """
    for row in range(len(p) // context):
        at, length = row * context, row % context + 1
        stop = (length + 31) // 32 * 32
        one, two, three, four = spread(F(0)), spread(F(0)), spread(F(0)), spread(F(0))
        for here in range(at, at + stop, 32):
            one = fma(load(slope, here), load(p, here), one)
            two = fma(load(slope, here + 8), load(p, here + 8), two)
            three = fma(load(slope, here + 16), load(p, here + 16), three)
            four = fma(load(slope, here + 24), load(p, here + 24), four)
        mean = spread(total((one + three) + (two + four)))
        for here in range(at, at + stop, 8):
            store(slope, here, rounded((load(slope, here) - mean) * load(p, here)) * spread(factor))
        for here in range(at + stop, at + context):
            slope[here] = 0


@njit(nogil=True)
def predict(p, n_tokens, targets, wanted):
    """Logits p (N, V') to p - y in place: softmax over the first n_tokens, zeros beyond; wanted (N,): p(target).

    Raises IndexError where a target is none of the first n_tokens.
    """
    n_rows = len(wanted)
    padded = len(p) // n_rows
    stop = (n_tokens + 15) // 16 * 16
    room, lowest = np.empty(stop, F), spread(LOWEST)
    for row in range(n_rows):
        if not 0 <= targets[row] < n_tokens:
            raise IndexError("a target that is no token of the vocabulary")
        at, top, top_too = row * padded, lowest, lowest
        for here in range(0, stop, 16):
            logit, logit_too = load(p, at + here), load(p, at + here + 8)
            if here + 16 > n_tokens:
                logit = upto(logit, n_tokens - here, lowest)
                logit_too = upto(logit_too, n_tokens - here - 8, lowest)
            store(room, here, logit)
            store(room, here + 8, logit_too)
            top, top_too = greater(top, logit), greater(top_too, logit_too)
        _shares(room, spread(greatest(greater(top, top_too))), stop, p, at)
        for here in range(at + stop, at + padded):
            p[here] = 0
        here = at + targets[row]
        wanted[row] = p[here]
        p[here] = narrow(wide(p[here]) - F(1))
