"""Rounding against ml_dtypes over whole domains and against exact fractions; the steps that never arrive."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute import lattice, rounding
from compute.lattice import FLOAT16, FLOAT32

SEED = 42
FINITE = lattice.pattern(np.arange(-32639, 32640))
weights = st.integers(-32639, 32639).map(lambda place: int(lattice.pattern(place)))
NORMAL = lattice.pattern(np.arange(128, 32640))


def by_ml_dtypes(values):
    with np.errstate(invalid="ignore", over="ignore"):
        return values.astype(ml_dtypes.bfloat16).view(np.uint16)


def around_every_midpoint():
    """Each bfloat16 pattern with the lower halves at which rounding turns, (65536, 8) float32.

    All ties are among them, and subnormals, overflow, infinities, and NaNs of many payloads.
    """
    lower = np.array([0x0000, 0x0001, 0x7FFE, 0x7FFF, 0x8000, 0x8001, 0xFFFE, 0xFFFF], dtype=np.uint32)
    upper = np.arange(1 << 16, dtype=np.uint32)[:, None] << 16
    return (upper | lower).view(np.float32)


def test_float32_rounds_as_ml_dtypes_does_at_every_tie():
    values = around_every_midpoint()
    np.testing.assert_array_equal(rounding.round_float32(values), by_ml_dtypes(values))


def test_float32_rounds_as_ml_dtypes_does_at_random_patterns():
    values = np.random.default_rng(SEED).integers(0, 1 << 32, 1 << 20, dtype=np.uint32).view(np.float32)
    np.testing.assert_array_equal(rounding.round_float32(values), by_ml_dtypes(values))


def test_what_is_on_the_lattice_stays_and_what_is_past_it_is_infinite():
    np.testing.assert_array_equal(rounding.round_float32(lattice.widen(FINITE)), FINITE)
    half = 2.0**119  # half a ULP of the largest value
    largest = float(lattice.value(0x7F7F))
    ends = np.array([largest + half * (1 - 2**-10), largest + half, -largest - half], dtype=np.float32)
    assert rounding.round_float32(ends).tolist() == [0x7F7F, 0x7F80, 0xFF80]
    assert rounding.round_nearest(ends).tolist() == [0x7F7F, 0x7F80, 0xFF80]
    assert rounding.round_nearest([np.finfo(float).max, np.inf, -np.inf]).tolist() == [0x7F80, 0x7F80, 0xFF80]


def test_a_nan_never_becomes_an_infinity():
    low_payload = np.array([0x7F800001, 0xFF80FFFF, 0x7FFFFFFF], dtype=np.uint32).view(np.float32)
    assert rounding.round_float32(low_payload).tolist() == [0x7FC0, 0xFFC0, 0x7FC0]
    drawn = rounding.round_stochastic(low_payload, np.random.default_rng(SEED))
    assert drawn.tolist() == [0x7FC0, 0xFFC0, 0x7FC0]
    assert rounding.round_nearest([np.nan]).tolist() == [0x7FC0]
    assert rounding.round_nearest([np.nan], FLOAT32).tolist() == [0x7FC00000]


def test_both_roundings_agree_on_float32():
    values = around_every_midpoint()
    values = values[~np.isnan(values)]
    np.testing.assert_array_equal(rounding.round_nearest(values), rounding.round_float32(values))


@pytest.mark.parametrize("form", [FLOAT16, FLOAT32], ids=lambda form: form.name)
def test_float64_rounds_as_numpy_does(form):
    generator = np.random.default_rng(SEED)
    values = np.concatenate(
        [
            generator.integers(0, 1 << 64, 200_000, dtype=np.uint64).view(float),  # all magnitudes there are
            generator.normal(size=100_000) * 10.0 ** generator.uniform(-50, 40, 100_000),
            *(
                sign * lattice.value(lattice.pattern(np.arange(0, 31744, 3), FLOAT16), FLOAT16) * factor
                for sign in (1, -1)
                for factor in (1, 1 + 2**-11, 1 + 2**-12, 1 - 2**-12)
            ),  # ties of float16 among them
            [0.0, -0.0, np.inf, -np.inf],
        ]
    )
    values = values[~np.isnan(values)]
    with np.errstate(over="ignore", under="ignore"):
        expected = values.astype(form.name).view(form.unsigned)
    np.testing.assert_array_equal(rounding.round_nearest(values, form), expected)


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None)
def test_float64_goes_to_the_nearest_bfloat16_in_one_rounding(number):
    # through float32 it would take two roundings, and sometimes land on the wrong side
    found = int(rounding.round_nearest(number))
    if not lattice.is_finite(found):
        assert abs(Fraction(number)) >= Fraction(2) ** 128 - Fraction(2) ** 119
        return
    gap = abs(Fraction(number) - Fraction(float(lattice.value(found))))
    for other in (lattice.neighbour_up(found), lattice.neighbour_down(found)):
        if lattice.is_finite(other):
            beside = abs(Fraction(number) - Fraction(float(lattice.value(other))))
            assert gap < beside or (gap == beside and found % 2 == 0)


def test_rounding_twice_is_told_apart():
    just_past_the_tie = 1 + 2**-8 + 2**-40
    assert rounding.round_nearest(just_past_the_tie) == 0x3F81
    assert rounding.round_float32(np.float32(just_past_the_tie)) == 0x3F80
    with pytest.raises(TypeError, match="float64 found"):
        rounding.round_float32(np.array([just_past_the_tie]))


@pytest.mark.parametrize("number", [1 + 2**-9, -0.02, 2.0**-130 * 1.3, 3.0e38])
def test_stochastic_rounding_is_right_on_average(number):
    number = np.float32(number)
    draws = 40_000
    stored = rounding.round_stochastic(np.full(draws, number), np.random.default_rng(SEED))
    low, high = np.unique(stored)
    assert lattice.adjacent(low, high)
    inside = abs(float(number)) - abs(float(lattice.value(low)))
    chance = inside / abs(float(lattice.value(high) - lattice.value(low)))
    error = 5 * (chance * (1 - chance) / draws) ** 0.5
    assert (stored == high).mean() == pytest.approx(chance, abs=error)


def test_stochastic_rounding_keeps_what_is_representable_and_follows_its_generator():
    edge = np.append(FINITE, [0x7F80, 0xFF80]).astype(np.uint16)
    np.testing.assert_array_equal(rounding.round_stochastic(lattice.widen(edge), np.random.default_rng(1)), edge)
    values = np.random.default_rng(SEED).normal(size=1000).astype(np.float32)
    first, again, other = (rounding.round_stochastic(values, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


@given(weights, st.integers(1, 40), st.booleans(), st.sampled_from([-1, 0, 1]))
@settings(deadline=None)
def test_lost_is_what_rounds_back_even_a_hair_from_the_midpoint(stored, bits, up, side):
    # updates at the exact midpoint and a hair to either side, where adding in float64 could not tell
    beside = lattice.neighbour_up(stored) if up else lattice.neighbour_down(stored)
    if not lattice.is_finite(beside):
        return
    half = (Fraction(float(lattice.value(beside))) - Fraction(float(lattice.value(stored)))) / 2
    update = float(half * (1 + Fraction(side, 2**bits)))
    if not np.isfinite(update) or update == 0:
        return
    stays = abs(Fraction(update)) < abs(half) or (Fraction(update) == half and stored % 2 == 0)
    assert rounding.is_lost(stored, update) == stays


def test_half_cells_are_half_the_way_to_the_neighbours():
    stored = lattice.pattern(np.arange(-32638, 32639))
    outward = np.where(stored >= 0x8000, lattice.neighbour_down(stored), lattice.neighbour_up(stored))
    inward = np.where(stored >= 0x8000, lattice.neighbour_up(stored), lattice.neighbour_down(stored))
    room, here = rounding.half_cells(stored), lattice.value(stored)
    np.testing.assert_array_equal(room.away, np.abs(lattice.value(outward) - here) / 2)
    np.testing.assert_array_equal(room.toward, np.abs(lattice.value(inward) - here) / 2)


def test_decay_threshold_is_where_decay_begins():
    stored = np.concatenate([NORMAL, NORMAL | 0x8000, lattice.pattern(np.arange(1, 128))]).astype(np.uint16)
    threshold = rounding.decay_threshold(stored)
    weight = lattice.value(stored)
    assert (rounding.round_nearest(weight * (1 - threshold * (1 - 1e-9))) == stored).all()
    assert (
        rounding.round_nearest(weight * (1 - threshold * (1 + 1e-9)))
        == lattice.pattern(lattice.ordinal(stored) - np.sign(lattice.ordinal(stored)))
    ).all()
    assert rounding.decay_threshold(np.array([0, 0x8000])).tolist() == [np.inf, np.inf]


def test_weight_decay_below_two_to_the_minus_nine_moves_no_normal_weight():
    assert rounding.decay_threshold(NORMAL[1:]).min() == 2**-9  # at the foot of each binade but the lowest
    assert (rounding.decay_cells(NORMAL, 2**-9) == 0).all()
    assert (rounding.decay_cells(NORMAL, 1e-5) == 0).all()  # the published recipe: lr 1e-3, decay .01
    assert (rounding.decay_cells(NORMAL, 2**-9 * 1.001) > 0).sum() == 253  # the feet, but for the smallest normal
    assert (rounding.decay_cells(NORMAL[1:], 2**-8) > 0).all()  # the smallest normal sits on its tie, evenly


def test_for_which_mantissas_the_second_moment_cannot_decay():
    kept = rounding.kept_mantissas([0.999, 0.99, 0.95, 0.9])
    assert kept.shape == (4, 128) and kept.sum(axis=1).tolist() == [128, 0, 0, 0]
    # against all normal patterns and ml_dtypes' own multiplication
    for beta2 in (0.999, 0.998, 0.9975, 0.997, 0.9965, 0.99):
        product = lattice.widen(NORMAL) * np.float32(beta2)
        stays = (by_ml_dtypes(product) == NORMAL)[128:]  # above the lowest binade, whose products are subnormal
        np.testing.assert_array_equal(stays.reshape(-1, 128), np.tile(rounding.kept_mantissas(beta2), (253, 1)))
    ends = rounding.kept_mantissas([1 - 2**-9, 1 - 2**-9 - 1e-6, 1 - 2**-8]).sum(axis=1)
    assert ends.tolist() == [128, 127, 0]


def test_a_second_moment_in_bfloat16_keeps_what_float64_forgets():
    squares = np.r_[np.full(3000, 1.0), np.zeros(3000)]
    path = rounding.second_moment_path(squares, 0.999)
    assert path.exact[2999] == pytest.approx(1 - 0.999**3000)
    assert path.exact[-1] < 0.05
    assert (path.stored[2999:] == path.stored[2999]).all()  # not one step down
    assert 0.25 < path.stored[2999] <= 0.512  # and it never came up to the gradient's square
    faster = rounding.second_moment_path(squares, 0.95)
    assert faster.stored[-1] < 1e-3


def test_adamw_step_by_hand():
    one = 0x3F80
    assert rounding.adamw_step(one, 1.0, 1e-3, 0.01) == one  # half a cell below 1 is 2^-9: the full first step is lost
    assert rounding.adamw_step(one, 1.0, 2.5e-3, 0.01) == 0x3F7F
    assert rounding.adamw_step(one, -1.0, 2.5e-3, 0.01) == one  # half a cell above 1 is 2^-8
    assert rounding.adamw_step(one, -1.0, 4e-3, 0.01) == 0x3F81
    small = by_ml_dtypes(np.float32([0.02]))
    moved = rounding.adamw_step(small, 1.0, 1e-3, 0.01)
    assert lattice.cells(small, moved).tolist() == [-8]  # 1e-3 / 2^-13


def test_lost_share_against_sampling():
    generator = np.random.default_rng(SEED)
    for spread, step in ((1.0, 1e-3), (0.02, 1e-3), (0.02, 1e-5)):
        stored = rounding.round_nearest(generator.normal(scale=spread, size=200_000))
        sampled = (rounding.is_lost(stored, step).mean() + rounding.is_lost(stored, -step).mean()) / 2
        assert rounding.lost_share(spread, step) == pytest.approx(sampled, abs=0.006)
    assert rounding.lost_share(1.0, 0.0) == pytest.approx(1.0)
    assert rounding.lost_share(0.02, 1.0) == pytest.approx(0.0, abs=1e-12)


def test_decay_alone_under_three_roundings():
    start = np.random.default_rng(SEED).normal(scale=0.02, size=500).astype(np.float32)
    paths = rounding.decay_paths(start, 1e-3, 500, np.random.default_rng(SEED))
    assert (paths.nearest == 1).all()
    assert paths.exact[-1] == pytest.approx(np.exp(-0.5), rel=1e-3)
    assert paths.stochastic[-1] == pytest.approx(paths.exact[-1], abs=0.01)
