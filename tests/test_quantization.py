"""Q8_0: bit for bit against the gguf package, its cells against counting, and mergers that were planted."""

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute import lattice, quantization, rounding

SEED = 42
Q8_0 = gguf.GGMLQuantizationType.Q8_0


def matrix(rows=200, width=96, spread=0.02):
    generator = np.random.default_rng(SEED)
    values = generator.normal(scale=spread, size=(rows, width)).astype(np.float32)
    values[3, :32] = 0  # a block without a scale
    values[4] *= 1e-7  # scales that float16 cannot hold
    values[5] *= 1e6
    values[6, :32] = np.linspace(-127, 127, 32, dtype=np.float32) / 2  # halves, which round away from zero
    return values


def by_gguf(values):
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return gguf.quants.quantize(values, Q8_0)


def test_quantizing_and_decoding_agree_with_gguf_bit_for_bit():
    values = matrix()
    stored = quantization.quantize(values)
    np.testing.assert_array_equal(stored, by_gguf(values))
    np.testing.assert_array_equal(quantization.decode(stored), gguf.quants.dequantize(stored, Q8_0))


@given(st.integers(0, 1 << 32), st.floats(-12, 6))
@settings(deadline=None, max_examples=50)
def test_a_value_moves_by_at_most_half_a_step(seed, power):
    values = (np.random.default_rng(seed).normal(size=(4, 64)) * 10**power).astype(np.float32)
    scales, quants = quantization.unpack(quantization.quantize(values))
    gap = np.abs(quantization.decode(quantization.quantize(values)) - values).reshape(4, 2, 32)
    # the stored scale is rounded to float16 (2^-11, or half the smallest), an error that counts |q| times
    lost = np.maximum(scales.astype(float) * 2**-11, 2.0**-25)[..., None] * np.abs(quants)
    limit = np.abs(values).reshape(4, 2, 32).max(axis=-1, keepdims=True) / 127 / 2
    assert (gap <= (limit + lost) * (1 + 1e-5)).all()


def test_damaged_rows_are_refused():
    stored = quantization.quantize(matrix(10, 64))
    with pytest.raises(ValueError, match=r"a multiple of 34 bytes\); found uint8 \(10, 67\)"):
        quantization.unpack(stored[:, :-1])
    with pytest.raises(ValueError, match="found int8"):
        quantization.unpack(stored.view(np.int8))
    bad = stored.copy()
    bad[2, 34:36] = [0xFF, 0x7C]  # a NaN
    with pytest.raises(ValueError, match="block 1 of row 2 has the scale nan"):
        quantization.unpack(bad)
    bad[2, 34:36] = [0x00, 0x80 | 0x20]
    with pytest.raises(ValueError, match="1 blocks have a negative scale"):
        quantization.step_census([bad])
    with pytest.raises(ValueError, match=r"a multiple of 32\); found \(2, 33\)"):
        quantization.quantize(np.zeros((2, 33)))
    with pytest.raises(ValueError, match="its scale no float16"):
        quantization.quantize(np.full((1, 32), 1e30))
    with pytest.raises(ValueError, match="its scale no float16"):
        quantization.quantize(np.full((1, 32), np.nan))


def test_the_census_counts_each_component_once_however_it_is_cut():
    stored = quantization.quantize(matrix())
    whole = quantization.step_census([stored])
    pieces = quantization.step_census([stored[:7], stored[7:150], stored[150:]])
    scales, quants = quantization.unpack(stored)
    assert whole.counts.sum() == quants.size
    np.testing.assert_array_equal(whole.counts, pieces.counts)
    np.testing.assert_array_equal(whole.scales, np.unique(scales).astype(float))
    for place, scale in enumerate(whole.scales[::20]):
        chosen = np.abs(quants[scales == scale].astype(int)).ravel()
        np.testing.assert_array_equal(whole.counts[20 * place], np.bincount(chosen, minlength=129))


def test_values_per_cell_against_counting():
    number_line = lattice.value(lattice.pattern(np.arange(-32639, 32640)))
    scales = np.array([2.0**-20, 3.1e-4, 0.0117])
    held = quantization.values_per_cell(scales)
    for scale, counts in zip(scales, held, strict=True):
        quants = np.floor(np.abs(number_line / scale) + 0.5)  # halves away from zero
        counted = (quants < 128) & ((number_line >= 0) | (quants == 0))
        expected = np.bincount(quants[counted].astype(int), minlength=128)
        np.testing.assert_array_equal(counts, expected)
    with pytest.raises(ValueError, match="a positive number"):
        quantization.values_per_cell([0.1, 0.0])
    with pytest.raises(ValueError, match="a positive number"):
        quantization.values_per_cell([np.nan])


def test_the_step_is_never_finer_than_bfloat16_in_a_block_that_uses_its_range():
    # at the largest component, |q| = 127, the ratio is (1 + m / 128) 128 / 127: between one and about two
    census = quantization.step_census([quantization.quantize(matrix(500, 64)[7:])])
    ratio, weight = quantization.step_ratio(census)
    assert ratio.shape == weight.shape == (len(census.scales), 128)
    assert 1 <= ratio[:, 126].min() and ratio[:, 126].max() < 2.02
    # each binade down doubles it
    np.testing.assert_array_equal(ratio[:, 0], 64 * ratio[:, 63])
    assert weight.sum() + census.counts[:, 0].sum() == census.counts.sum()


def test_unseen_share_against_moving_every_value_of_the_lattice():
    stored = quantization.quantize(matrix(40, 64)[7:])
    census = quantization.step_census([stored])
    scales, quants = quantization.unpack(stored)
    shares = {hop: [] for hop in (0, 1, 3, 20)}
    for scale, block in zip(scales.ravel().astype(float), quants.reshape(-1, 32), strict=True):
        for quant in np.abs(block.astype(int)):
            low, high = (quant - 0.5) * scale, (quant + 0.5) * scale
            first = np.ceil(float(lattice.ordinal(rounding.round_nearest(low))) - 1)
            around = lattice.value(
                lattice.pattern(np.arange(int(first), lattice.ordinal(rounding.round_nearest(high)) + 2))
            )
            inside = around[(around > low if quant == 0 else around >= low) & (around < high)]
            for hop, found in shares.items():
                found.append(max(0, len(inside) - hop) / max(1, len(inside)))
    expected = [np.mean(found) for found in shares.values()]
    np.testing.assert_allclose(quantization.unseen_share(census, list(shares)), expected, rtol=1e-12)


def test_the_box_of_a_row_is_the_product_of_its_cells():
    stored = quantization.quantize(matrix(12, 64)[6:])
    scales, quants = quantization.unpack(stored)
    for row, found in enumerate(quantization.box_sizes(stored)):
        held = quantization.values_per_cell(scales[row].astype(float))  # (2, 128)
        expected = sum(np.log10(held[block, abs(int(quant))]) for block in range(2) for quant in quants[row, block])
        assert found == pytest.approx(expected, rel=1e-12)
    empty = quantization.quantize(np.zeros((1, 64)))
    assert quantization.box_sizes(empty) == 0


def test_planted_neighbours_merge_and_planted_strangers_do_not():
    # one block, its largest component in [1, 2): the step is at least 1/127, so all of the binade from 2^-9
    # lies below half a step and becomes 0
    exponents = np.full(32, 118)
    exponents[1] = 127
    row = 0x3B00 + np.array([[0], [1], [127]], dtype=np.uint16)
    found = quantization.survivors(row, [0], [5, 3, 2], exponents, 20, np.random.default_rng(SEED))
    assert (found.rows == 1).all() and (found.largest == 10).all() and (found.together == 1).all()
    far = row + np.array([[0], [0], [1]], dtype=np.uint16)  # the last one is 2^-8, in the next binade
    with pytest.raises(ValueError, match="a sign or an exponent"):
        quantization.survivors(far, [0], [5, 3, 2], exponents, 1, np.random.default_rng(SEED))
    with pytest.raises(ValueError, match=r"exponents \[118\] occur more often"):
        quantization.survivors(row, [0], [5, 3, 2], np.full(32, 127), 1, np.random.default_rng(SEED))
    near = 0x3F00 + np.array([[0], [127]], dtype=np.uint16)  # 0.5 and 0.996
    exponents[0] = 126
    apart = quantization.survivors(near, [0], [4, 4], exponents, 20, np.random.default_rng(SEED))
    assert (apart.rows == 2).all() and (apart.largest == 4).all() and (apart.together == np.eye(2)).all()


def test_survivors_repeat_with_their_seed_and_never_rise_above_the_rows():
    holes = np.array([[0x3C00, 0x3B10], [0x3C01, 0x3B10], [0x3C40, 0x3B11]], dtype=np.uint16)
    exponents = np.r_[np.full(40, 118), np.full(40, 119), np.full(16, 120)]
    first, again = (
        quantization.survivors(holes, [1, 50], [2, 2, 3], exponents, 30, np.random.default_rng(SEED)) for _ in range(2)
    )
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert 1 <= first.rows.min() and first.rows.max() <= 3
    assert (np.diag(first.together) == 1).all() and (first.together == first.together.T).all()
