"""The lattice: all patterns of bfloat16 and float16 against ml_dtypes and numpy, distances by counting."""

from bisect import bisect_left
from fractions import Fraction
from functools import cache

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute import lattice
from compute.lattice import BFLOAT16, FLOAT16, FLOAT32

PATTERNS = np.arange(1 << 16, dtype=np.uint16)
DTYPES = {"bfloat16": np.dtype(ml_dtypes.bfloat16), "float16": np.dtype(np.float16)}
SHORT = pytest.mark.parametrize("form", [BFLOAT16, FLOAT16], ids=lambda form: form.name)
finite_bfloat16 = st.integers(-32639, 32639).map(lambda place: int(lattice.pattern(place)))
finite_float32 = st.integers(-0x7F7FFFFF, 0x7F7FFFFF).map(lambda place: int(lattice.pattern(place, FLOAT32)))


def authority(form, stored=PATTERNS):
    """The same patterns as numbers of ml_dtypes or numpy."""
    return stored.view(DTYPES[form.name])


def finite(form):
    with np.errstate(invalid="ignore"):  # signalling NaNs are among them
        return PATTERNS[np.isfinite(authority(form))]


@SHORT
def test_every_pattern_has_its_value(form):
    with np.errstate(invalid="ignore"):
        expected = authority(form).astype(np.float64)
    found = lattice.value(PATTERNS, form)
    np.testing.assert_array_equal(found, expected)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(expected[number]))
    np.testing.assert_array_equal(lattice.is_finite(PATTERNS, form), np.isfinite(expected))


@SHORT
def test_ordinals_rise_with_the_values_without_a_gap(form):
    stored = finite(form)
    values = authority(form, stored).astype(np.float64)
    places = lattice.ordinal(stored, form)
    different, where = np.unique(values, return_inverse=True)
    np.testing.assert_array_equal(places, where - np.searchsorted(different, 0.0))
    assert len(different) == len(stored) - 1  # the two zeros are one value


@SHORT
def test_pattern_inverts_ordinal(form):
    largest = form.infinity - 1
    places = np.arange(-largest, largest + 1)
    np.testing.assert_array_equal(lattice.ordinal(lattice.pattern(places, form), form), places)
    stored = finite(form)
    back = lattice.pattern(lattice.ordinal(stored, form), form)
    assert stored[back != stored].tolist() == [form.sign]  # of all patterns only -0.0 comes back as +0.0


@SHORT
@pytest.mark.parametrize("up", [True, False])
def test_neighbours_are_nextafter_bit_for_bit(form, up):
    stored = finite(form)
    far = np.full_like(authority(form, stored), np.inf if up else -np.inf)
    with np.errstate(over="ignore"):
        expected = np.nextafter(authority(form, stored), far).view(np.uint16)
    found = (lattice.neighbour_up if up else lattice.neighbour_down)(stored, form)
    zero = (stored & 0x7FFF) == 0
    np.testing.assert_array_equal(found[~zero], expected[~zero])
    # from either zero: the smallest value of that sign
    np.testing.assert_array_equal(found[zero], [1 if up else form.sign | 1] * 2)


@SHORT
def test_ulp_is_the_spacing_and_follows_the_formula(form):
    stored = finite(form)
    with np.errstate(over="ignore", invalid="ignore"):
        # of the absolute value: at -2^e numpy measures float16 towards zero, where the cell is half as large
        spacing = np.spacing(authority(form, stored & 0x7FFF)).astype(np.float64)
    found = lattice.ulp(stored, form)
    inside = np.isfinite(spacing)  # beyond the largest value there is no next number to subtract
    np.testing.assert_array_equal(found[inside], spacing[inside])
    assert inside.sum() >= len(stored) - 2
    if form is BFLOAT16:
        exponent = (stored >> 7 & 0xFF).astype(int)
        np.testing.assert_array_equal(found, 2.0 ** (np.maximum(exponent, 1) - 134))


@pytest.mark.parametrize("form", [BFLOAT16, FLOAT16, FLOAT32], ids=lambda form: form.name)
def test_finfo_agrees(form):
    found = ml_dtypes.finfo(form.name if form is not BFLOAT16 else ml_dtypes.bfloat16)
    one = lattice.pattern(np.array([form.infinity - 1, 1, 1 << form.mantissa_bits]), form)
    largest, smallest, normal = lattice.value(one, form)
    assert largest == float(found.max)
    assert smallest == float(found.smallest_subnormal) == lattice.ulp(0, form)
    assert normal == float(found.smallest_normal)
    assert form.width == found.bits and form.mantissa_bits == found.nmant


@given(st.lists(finite_float32, min_size=1, max_size=50))
@settings(deadline=None)
def test_float32_agrees_with_numpy(stored):
    stored = np.array(stored, dtype=np.uint32)
    numbers = stored.view(np.float32)
    np.testing.assert_array_equal(lattice.value(stored, FLOAT32), numbers.astype(np.float64))
    with np.errstate(over="ignore", under="ignore"):
        above = np.nextafter(numbers, np.float32(np.inf))
    off_zero = numbers != 0
    np.testing.assert_array_equal(lattice.neighbour_up(stored, FLOAT32)[off_zero], above.view(np.uint32)[off_zero])
    np.testing.assert_array_equal(lattice.ordinal(numbers, FLOAT32), lattice.ordinal(stored, FLOAT32))


@cache
def number_line():
    """All bfloat16 values as exact fractions, sorted, one zero."""
    return sorted({Fraction(float(number)) for number in authority(BFLOAT16, finite(BFLOAT16))})


@given(pairs=st.lists(st.tuples(finite_bfloat16, finite_bfloat16), min_size=1, max_size=20))
@settings(deadline=None)
def test_cells_count_the_steps_between_exact_fractions(pairs):
    for start, end in pairs:
        values = [Fraction(float(number)) for number in np.array([start, end], np.uint16).view(ml_dtypes.bfloat16)]
        steps = bisect_left(number_line(), values[1]) - bisect_left(number_line(), values[0])
        assert lattice.cells(start, end) == steps == -lattice.cells(end, start)
        assert lattice.adjacent(start, end) == (abs(steps) == 1)


@given(finite_bfloat16, finite_bfloat16)
@settings(deadline=None)
def test_record_distance_is_the_exact_quotient_rounded_once(start, end):
    numbers = np.array([start, end], np.uint16).view(ml_dtypes.bfloat16)
    before, after = (Fraction(float(number)) for number in numbers)
    assert lattice.record_distance(start, end) == float((after - before) / Fraction(float(lattice.ulp(start))))


def test_the_two_measures_agree_inside_a_binade_and_part_outside():
    for exponent in (0, 1, 120, 254):
        binade = np.arange(128, dtype=np.uint16) + (exponent << 7)
        start, end = np.meshgrid(binade, binade)
        np.testing.assert_array_equal(lattice.record_distance(start, end), lattice.cells(start, end))
        np.testing.assert_array_equal(
            lattice.record_distance(start | 0x8000, end | 0x8000), lattice.cells(start | 0x8000, end | 0x8000)
        )
    # through zero they still agree while all is subnormal or in the smallest normal binade
    small = lattice.pattern(np.arange(-255, 256))
    start, end = np.meshgrid(small, small)
    np.testing.assert_array_equal(lattice.record_distance(start, end), lattice.cells(start, end))
    # one cell down from a power of two is half a ULP of the start; from zero the record's measure explodes
    one, below, above = 0x3F80, 0x3F7F, 0x3F81
    assert lattice.cells(one, below) == -1 and lattice.record_distance(one, below) == -0.5
    assert lattice.cells(one, above) == 1 and lattice.record_distance(one, above) == 1
    assert lattice.record_distance(0, one) == 2.0**133 and lattice.cells(0, one) == one


def test_w_over_ulp_is_no_coordinate():
    # the trap of the record: across a binade W / ULP(W) falls back from 255 to 128 while W rises
    stored = np.array([0x3FFF, 0x4000], dtype=np.uint16)
    np.testing.assert_array_equal(lattice.value(stored) / lattice.ulp(stored), [255, 128])


def test_the_two_zeros():
    positive, negative = 0x0000, 0x8000
    assert lattice.ordinal(positive) == lattice.ordinal(negative) == 0
    assert lattice.cells(positive, negative) == 0 and not lattice.adjacent(positive, negative)
    assert lattice.adjacent(negative, 0x0001) and lattice.adjacent(positive, 0x8001)
    assert lattice.cells(0x8001, 0x0001) == 2
    assert np.signbit(lattice.value(negative)) and not np.signbit(lattice.value(positive))


@pytest.mark.parametrize(
    "function",
    [
        lattice.ordinal,
        lattice.ulp,
        lattice.magnitude,
        lattice.neighbour_up,
        lambda bad: lattice.cells(0, bad),
        lambda bad: lattice.record_distance(0, bad),
        lambda bad: lattice.record_distance(bad, 0),
    ],
)
@pytest.mark.parametrize("bad", [0x7F80, 0xFF80, 0x7FC0, 0x7F81, 0xFFFF])
def test_infinities_and_nan_payloads_are_refused_by_name(function, bad):
    with pytest.raises(ValueError, match=rf"1 of 3 .* {bad:#x} at \(1,\)"):
        function(np.array([0, bad, 1], dtype=np.uint16))


def test_what_is_no_pattern_is_refused():
    with pytest.raises(TypeError, match="float64 found; round to bfloat16 first"):
        lattice.ordinal(np.array([0.5]))
    with pytest.raises(TypeError, match="float16 found"):
        lattice.ordinal(np.array([0.5], dtype=np.float16))
    with pytest.raises(OverflowError, match="0 .. 65535; found -1 .. 3"):
        lattice.ordinal(np.array([-1, 3]))
    with pytest.raises(OverflowError, match="-32639 .. 32639; found 32640"):
        lattice.pattern(32640)
    with pytest.raises(TypeError, match="an ordinal is an integer"):
        lattice.pattern(1.0)
    with pytest.raises(TypeError, match="whole cells; found float64"):
        lattice.extent(np.zeros((2, 3)))


def test_numbers_are_read_as_their_patterns_and_shapes_are_kept():
    numbers = np.array([[0.5, -0.5], [0.0, 3.0]], dtype=ml_dtypes.bfloat16)
    stored = numbers.view(np.uint16)
    for function in (lattice.ordinal, lattice.ulp, lattice.value, lattice.neighbour_down):
        np.testing.assert_array_equal(function(numbers), function(stored))
        assert function(stored).shape == (2, 2) and function(stored[0, 0]).shape == ()
        assert function(stored[:0]).shape == (0, 2)
    np.testing.assert_array_equal(lattice.widen(numbers), numbers.astype(np.float32))
    assert lattice.ordinal(stored.astype(">u2")).tolist() == lattice.ordinal(stored).tolist()


displacements = st.lists(st.integers(-65278, 65278), min_size=1, max_size=40)


@given(displacements)
@settings(deadline=None)
def test_extent_and_regime_against_the_definitions(moves):
    reach = lattice.extent(np.array(moves, dtype=np.int32))
    squares = sum(move * move for move in moves)
    assert reach.l1 == sum(map(abs, moves)) and reach.linf == max(map(abs, moves))
    assert reach.l2 == pytest.approx(squares**0.5, rel=1e-15)
    if squares > len(moves):
        expected = "early"
    elif max(map(abs, moves)) > 1:
        expected = "midlife"
    else:
        expected = "late" if any(moves) else "frozen"
    assert lattice.REGIMES[lattice.regime(np.array(moves))] == expected


def test_the_regimes_are_nested_and_the_corner_of_the_cube_is_late():
    width = 128
    corner = np.ones(width, dtype=int)
    alone = np.zeros((13, width), dtype=int)
    alone[:, 0] = np.arange(13)
    assert lattice.regime(corner) == 1  # L2 is exactly sqrt(D)
    # 11 cells are below sqrt(128) = 11.3, 12 above
    assert lattice.regime(alone).tolist() == [0, 1] + [2] * 10 + [3]
    assert lattice.regime(alone[:0]).shape == (0,)


def test_published_linf_distances_follow_from_the_published_patterns():
    from compute.paths import published_folder

    table = np.genfromtxt(published_folder() / "qwen3_4b_constellation.csv", delimiter=",", dtype=int, skip_header=1)
    published = np.genfromtxt(
        published_folder() / "qwen3_4b_linf_published.csv", delimiter=",", dtype=int, skip_header=1
    )[:, 1:]
    holes = table[:, 3:]
    found = lattice.extent(lattice.cells(holes[:, None], holes[None])).linf
    np.testing.assert_array_equal(found, published)
    assert found.max() == 11
