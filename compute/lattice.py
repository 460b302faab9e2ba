"""The lattice of a floating-point format: its finite patterns as integers in the order of their values.

A weight stored in bfloat16 sits on one of 65,279 values. Counted from zero along the number line they are
the integers -32639 .. 32639, the *ordinals*; the distance of two weights in cells is the difference of
their ordinals, exact across exponents and through zero.

The two zeros are one value and two patterns. Both have ordinal 0: they are 0 cells apart, and the next
value above either is the smallest positive one. Who compares patterns (the census of black holes does) sees
two zeros; who counts cells sees one. Two values are *adjacent* if their ordinals differ by 1: nothing that
can be stored lies between them.

Patterns are unsigned integers as stored; arrays of the floating-point dtype itself (ml_dtypes.bfloat16,
float16, float32) are read as their patterns. Chapter: The lattice.
Sources: [goldberg1991floating], [kalamkar2019bfloat16].
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Lattice:
    """A binary floating-point format as in IEEE 754: sign, exponent, mantissa; subnormals and infinities."""

    name: str  # the dtype's name, as numpy and ml_dtypes print it
    exponent_bits: int
    mantissa_bits: int

    @property
    def width(self) -> int:
        """Bits in a pattern."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def unsigned(self) -> np.dtype:
        """The dtype of a pattern."""
        return np.dtype(f"uint{self.width}")

    @property
    def signed(self) -> np.dtype:
        """A dtype that holds any difference of two ordinals: twice as wide as a pattern."""
        return np.dtype(f"int{2 * self.width}")

    @property
    def sign(self) -> int:
        """The pattern of -0.0: the sign bit alone."""
        return 1 << (self.width - 1)

    @property
    def infinity(self) -> int:
        """The pattern of +inf, one past the largest finite ordinal."""
        return ((1 << self.exponent_bits) - 1) << self.mantissa_bits

    @property
    def lowest_power(self) -> int:
        """The power of two of the smallest positive value, which is ULP(0): -133 for bfloat16."""
        return 2 - 2 ** (self.exponent_bits - 1) - self.mantissa_bits


BFLOAT16 = Lattice("bfloat16", exponent_bits=8, mantissa_bits=7)
FLOAT16 = Lattice("float16", exponent_bits=5, mantissa_bits=10)
FLOAT32 = Lattice("float32", exponent_bits=8, mantissa_bits=23)

REGIMES = ("frozen", "late", "midlife", "early")  # what the codes of `regime` mean


def patterns(stored, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return what is stored as unsigned patterns of the lattice, without a copy where the dtype allows it.

    Raises TypeError for floats of another format, OverflowError for integers that are no pattern.
    """
    stored = np.asarray(stored)
    if stored.dtype == lattice.unsigned:
        return stored
    if stored.dtype.name == lattice.name and stored.dtype.isnative:
        return stored.view(lattice.unsigned)
    if stored.dtype.kind not in "iu":
        raise TypeError(
            f"patterns of {lattice.name} asked for, {stored.dtype} found; "
            f"round to {lattice.name} first (compute.rounding), or name the lattice"
        )
    if stored.size and not 0 <= stored.min() <= stored.max() < 1 << lattice.width:
        raise OverflowError(
            f"a pattern of {lattice.name} is 0 .. {(1 << lattice.width) - 1}; found {stored.min()} .. {stored.max()}"
        )
    return stored.astype(lattice.unsigned)


def is_finite(stored, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return where a pattern is a number: no infinity, and no NaN of whatever payload."""
    return _without_sign(patterns(stored, lattice), lattice) < lattice.infinity


def _without_sign(found: np.ndarray, lattice: Lattice) -> np.ndarray:
    return found & lattice.unsigned.type(lattice.sign - 1)


def magnitude(stored, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return the absolute values of the ordinals, dtype lattice.signed.

    Raises ValueError where a pattern is an infinity or a NaN, and says where the first one is.
    """
    found = patterns(stored, lattice)
    outside = ~is_finite(found, lattice)
    if outside.any():
        first = tuple(int(axis) for axis in np.argwhere(outside)[0])
        raise ValueError(
            f"{int(outside.sum())} of {found.size} {lattice.name} patterns are infinite or NaN, "
            f"with no place on the lattice; the first is {int(found[first]):#x} at {first}. "
            "Leave them out: is_finite says where they are"
        )
    return _without_sign(found, lattice).astype(lattice.signed)


def ordinal(stored, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return the place of each finite pattern in the order of the values; both zeros have ordinal 0.

    A pattern without its sign bit, read as an integer, already rises with the value; the sign turns it
    round. dtype lattice.signed. Raises ValueError for an infinity or a NaN. Source: [goldberg1991floating].
    """
    found = patterns(stored, lattice)
    absolute = magnitude(found, lattice)
    return np.where(found >= lattice.sign, -absolute, absolute)


def pattern(ordinals, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return the pattern at each ordinal, the inverse of `ordinal`; ordinal 0 gives +0.0.

    Raises TypeError for anything but integers, OverflowError beyond the largest finite value.
    """
    ordinals = np.asarray(ordinals)
    if ordinals.dtype.kind not in "iu":
        raise TypeError(f"an ordinal is an integer; found {ordinals.dtype}")
    largest = lattice.infinity - 1
    if ordinals.size and not -largest <= ordinals.min() <= ordinals.max() <= largest:
        raise OverflowError(
            f"{lattice.name} has the ordinals -{largest} .. {largest}; found {ordinals.min()} .. {ordinals.max()}"
        )
    ordinals = ordinals.astype(lattice.signed)
    return np.where(ordinals < 0, lattice.sign - ordinals, ordinals).astype(lattice.unsigned)


def value(stored, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return the values of the patterns, exact in float64; infinity and NaN stay, -0.0 keeps its sign."""
    found = patterns(stored, lattice)
    absolute = _without_sign(found, lattice).astype(np.int64)
    exponent, mantissa = np.divmod(absolute, 1 << lattice.mantissa_bits)
    hidden = np.where(exponent > 0, 1 << lattice.mantissa_bits, 0)
    size = np.ldexp((mantissa + hidden).astype(float), np.maximum(exponent, 1) - 1 + lattice.lowest_power)
    size = np.where(absolute == lattice.infinity, np.inf, size)
    size = np.where(absolute > lattice.infinity, np.nan, size)
    return np.where(found >= lattice.sign, -size, size)


def widen(stored) -> np.ndarray:
    """Return bfloat16 patterns as float32, exact: sixteen zero bits are appended."""
    return (patterns(stored).astype(np.uint32) << 16).view(np.float32)


def ulp(stored, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return the unit in the last place in the weight's unit, float64: 2^(max(E, 1) - 134) for bfloat16.

    It is the distance to the next value *away from zero*. At a power of two the next value towards zero is
    only half as far, unless that power is the smallest normal value. Raises ValueError for an infinity or a
    NaN.
    """
    exponent = magnitude(stored, lattice) >> lattice.mantissa_bits
    return np.ldexp(1.0, np.maximum(exponent, 1) - 1 + lattice.lowest_power)


def neighbour_up(stored, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return the pattern of the next larger value, as nextUp of IEEE 754 does.

    Above the largest value that is +inf, above the smallest negative -0.0, above either zero the smallest
    positive. Raises ValueError for an infinity or a NaN.
    """
    return _neighbour(stored, lattice, +1)


def neighbour_down(stored, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return the pattern of the next smaller value, nextDown: the mirror image of `neighbour_up`."""
    return _neighbour(stored, lattice, -1)


def _neighbour(stored, lattice: Lattice, direction: int) -> np.ndarray:
    found = patterns(stored, lattice)
    beside = ordinal(found, lattice) + direction
    # a step that ends on zero keeps the sign it came with, as nextUp and nextDown do
    negative = (beside < 0) | ((beside == 0) & (found >= lattice.sign))
    return (np.abs(beside) | np.where(negative, lattice.sign, 0)).astype(lattice.unsigned)


def cells(start, end, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return the signed distance from start to end in cells, ordinal(end) - ordinal(start): exact."""
    return ordinal(end, lattice) - ordinal(start, lattice)


def adjacent(start, end, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return where two values are neighbours: one cell apart, whatever sign a zero among them carries."""
    return np.abs(cells(start, end, lattice)) == 1


def record_distance(start, end, lattice: Lattice = BFLOAT16) -> np.ndarray:
    """Return the published record's measure dW / ULP(start), in ULP of the start; float64, rounded once.

    It equals `cells` where both ends share a binade (the subnormals and the smallest normal binade, on both
    sides of zero, count as one); elsewhere it is fractional, or, from near zero, astronomical.
    Raises ValueError for an infinity or a NaN. Source: [harrell2025azimuth].
    """
    magnitude(end, lattice)  # refuses an end that is no number; ulp refuses such a start
    return (value(end, lattice) - value(start, lattice)) / ulp(start, lattice)


class Extent(NamedTuple):
    """How far displacements reach, in cells: one number of each kind for each vector."""

    l1: np.ndarray  # cells moved in all, int64; 0 frozen, 1 a single hop
    l2: np.ndarray  # root of the sum of squares, float64
    linf: np.ndarray  # farthest in one component, int64; 1 the neighbouring cell


def extent(displacement) -> Extent:
    """Return L1, L2 and L-infinity of displacements in whole cells (..., D), along their last axis.

    The squares are summed in float64: exact before the root for 16-bit formats up to D = 2^20.
    Raises TypeError for displacements that are no integers.
    """
    size = np.abs(np.asarray(displacement))
    if size.dtype.kind not in "iu":
        raise TypeError(f"a displacement counts whole cells; found {size.dtype}: use cells(start, end)")
    return Extent(
        l1=size.sum(axis=-1, dtype=np.int64),
        l2=np.sqrt((size.astype(float) ** 2).sum(axis=-1)),
        linf=size.max(axis=-1, initial=0).astype(np.int64),
    )


def regime(displacement) -> np.ndarray:
    """Return the published phase of displacements (..., D) as a code into REGIMES.

    3 early: L2 > sqrt(D); else 2 midlife: L-infinity > 1; else 1 late: something moved; 0 frozen: L1 = 0.
    L2 > sqrt(D) says that the root mean square over the components exceeds one cell. It implies L-infinity
    > 1, for the ball of radius sqrt(D) holds the cube of the neighbouring cells and meets it at its
    corners. Source: [harrell2025azimuth].
    """
    reach = extent(displacement)
    # squares are compared, not roots: the boundary is an integer and is met exactly
    squares = (np.asarray(displacement, dtype=float) ** 2).sum(axis=-1)
    return np.where(squares > np.shape(displacement)[-1], 3, np.minimum(reach.linf, 2))
