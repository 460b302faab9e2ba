"""The census finds all sets of bit-identical rows and nothing else, whatever order, format or hash."""

import json
import tracemalloc
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.smoke import census, row_hashes

FORMATS = (np.uint8, np.uint16, np.uint32)
PUBLISHED = Path(__file__).parents[1] / "data" / "published"
HASHES = {
    "ours": row_hashes,
    "constant": lambda words: np.zeros(len(words), dtype=np.uint64),
    "two buckets": lambda words: words[:, 0] & np.uint64(1),
    "first word": lambda words: words[:, 0],
}


def by_dictionary(stored):
    """The slow obvious census: {row bytes: ids}, holes ordered by population, then by smallest id."""
    groups = defaultdict(list)
    for i, row in enumerate(stored):
        groups[row.tobytes()].append(i)
    holes = sorted((ids for ids in groups.values() if len(ids) > 1), key=lambda ids: (-len(ids), ids[0]))
    return holes, len(groups)


def agrees(found, stored):
    holes, unique_rows = by_dictionary(stored)
    assert [list(ids) for ids in found.members] == holes
    assert found.populations.tolist() == [len(ids) for ids in holes]
    assert found.first_members.tolist() == [ids[0] for ids in holes]
    assert found.unique_rows == unique_rows
    assert found.tokens_in_holes == sum(map(len, holes))
    expected = np.full(len(stored), -1)
    for rank, ids in enumerate(holes):
        expected[ids] = rank
    assert np.array_equal(found.hole, expected)
    zero = [i for i, row in enumerate(stored) if not row.any()]
    assert found.zero_rows.tolist() == zero
    assert found.zero_hole == (expected[zero[0]] if len(zero) > 1 else None)


@st.composite
def catalogues(draw):
    """Few distinct rows drawn often, of patterns that differ little: 0, the sign bit alone, one ULP."""
    dtype = draw(st.sampled_from(FORMATS))
    width = draw(st.integers(1, 13))
    top = np.iinfo(dtype).max
    pattern = st.sampled_from([0, 1, 2, top // 2 + 1, top // 2, top])
    distinct = draw(st.lists(st.lists(pattern, min_size=width, max_size=width), min_size=1, max_size=6))
    picks = draw(st.lists(st.integers(0, len(distinct) - 1), min_size=1, max_size=30))
    return np.array(distinct, dtype=dtype)[picks]


@pytest.mark.parametrize("hashes", HASHES.values(), ids=HASHES.keys())
@given(stored=catalogues())
@settings(deadline=None)
def test_agrees_with_a_dictionary_of_row_bytes_under_any_hash(hashes, stored):
    agrees(census(stored, hashes), stored)


def test_our_hash_gives_equal_rows_equal_hashes_and_spreads_the_others():
    words = np.random.default_rng(42).integers(0, 2**64, (5000, 9), dtype=np.uint64)
    words[2500:] = words[:2500]
    hashed = row_hashes(words)
    assert np.array_equal(hashed[2500:], hashed[:2500])
    assert len(np.unique(hashed)) == 2500


def test_collisions_of_our_own_hash_are_told_apart():
    # Two sign bits at the top of two words cancel in a product sum modulo 2^64: the hash is blind to that.
    rows = np.random.default_rng(42).integers(0, 2**16, (40, 16), dtype=np.uint16)
    rows[20:] = rows[:20]
    rows[20:, [3, 7]] ^= 0x8000
    words = rows.view(np.uint64)
    assert np.array_equal(row_hashes(words[:20]), row_hashes(words[20:])), "the collision must be real"
    found = census(rows)
    assert (found.unique_rows, found.tokens_in_holes) == (40, 0)
    agrees(found, rows)
    thrice = np.concatenate([rows, rows, rows])
    assert census(thrice).populations.tolist() == [3] * 40
    agrees(census(thrice), thrice)


def galaxy(rng, populations, singles=3000, width=64):
    """A bf16 galaxy with planted holes and, for each hole, near misses of one ULP in one component."""
    centre = rng.normal(0, 0.02, width).astype(np.float32).view(np.uint32) >> 16
    holes = centre.astype(np.uint16) + rng.integers(0, 3, (len(populations), width)).astype(np.uint16)
    near = np.repeat(holes, 2, axis=0)  # (2 * holes, width)
    near[np.arange(len(near)), rng.integers(0, width, len(near))] ^= 1
    near[1::2, 0] += 1000  # so that the two near misses of one hole are never each other's twins
    field = rng.integers(0, 2**16, (singles, width), dtype=np.uint16)
    return np.concatenate([np.repeat(holes, populations, axis=0), near, field])


@pytest.fixture(scope="module")
def qwen_populations():
    return json.loads((PUBLISHED / "hole_populations.json").read_text())["Qwen3-4B-Instruct-2507"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planted_holes_of_qwens_populations_are_found_whatever_the_row_order(qwen_populations, seed):
    rng = np.random.default_rng(seed)
    stored = galaxy(rng, qwen_populations)
    order = rng.permutation(len(stored))
    found = census(stored[order])
    assert found.populations.tolist() == sorted(qwen_populations, reverse=True)
    assert found.tokens_in_holes == 2100
    assert found.unique_rows == len(stored) - 2100 + 13
    agrees(found, stored[order])
    # The partition does not depend on the order: carried back, the members are the same sets.
    carried = {frozenset(order[ids].tolist()) for ids in found.members}
    assert carried == {frozenset(ids.tolist()) for ids in census(stored).members}


def test_one_ulp_in_one_component_is_another_row():
    stored = np.full((3, 2560), 0x3C12, dtype=np.uint16)
    stored[2, 1234] += 1
    assert census(stored).members[0].tolist() == [0, 1]


def test_minus_zero_is_not_plus_zero_and_nan_payloads_count():
    plus, minus, quiet, other = 0x0000, 0x8000, 0x7FC0, 0x7FC1
    patterns = np.array([plus, minus, plus, minus, quiet, other, quiet], dtype=np.uint16)
    stored = np.repeat(patterns[:, None], 8, axis=1)  # (7, 8)
    found = census(stored)
    assert [ids.tolist() for ids in found.members] == [[0, 2], [1, 3], [4, 6]]
    assert found.zero_rows.tolist() == [0, 2]
    assert found.zero_hole == 0
    assert found.hole.tolist() == [0, 1, 0, 1, 2, -1, 2]


def test_a_single_zero_row_is_named_without_being_a_hole():
    stored = np.random.default_rng(42).integers(1, 2**16, (10, 5), dtype=np.uint16)
    stored[7] = 0
    found = census(stored)
    assert found.zero_rows.tolist() == [7]
    assert found.zero_hole is None and found.tokens_in_holes == 0


def test_half_of_the_rows_identical():
    stored = np.random.default_rng(42).integers(0, 2**32, (2000, 20), dtype=np.uint32)
    stored[1::2] = stored[0]
    found = census(stored)
    assert found.populations.tolist() == [1001]
    assert found.unique_rows == 1000
    agrees(found, stored)


@pytest.mark.parametrize("n_rows", [0, 1, 2, 500])
def test_no_duplicate_at_all(n_rows):
    found = census(np.arange(n_rows * 3, dtype=np.uint16).reshape(n_rows, 3))
    assert found.members == () and found.populations.tolist() == []
    assert found.first_members.tolist() == []
    assert (found.unique_rows, found.tokens_in_holes) == (n_rows, 0)
    assert found.hole.tolist() == [-1] * n_rows


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("offset", [0, 1, 4], ids=lambda offset: f"offset {offset}")
def test_reads_a_read_only_memory_map_at_any_offset(tmp_path, dtype, offset):
    stored = np.random.default_rng(42).integers(0, 3, (300, 5)).astype(dtype)
    path = tmp_path / "rows.bin"
    path.write_bytes(b"x" * offset + stored.tobytes())
    mapped = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=stored.shape)
    agrees(census(mapped), stored)


def test_reads_rows_that_do_not_lie_side_by_side():
    stored = np.random.default_rng(42).integers(0, 2, (6, 400)).astype(np.uint16).T
    agrees(census(stored), np.ascontiguousarray(stored))
    agrees(census(stored[::3]), np.ascontiguousarray(stored[::3]))


def test_makes_no_second_copy_of_the_matrix():
    stored = np.random.default_rng(42).integers(0, 2**16, (8000, 2560), dtype=np.uint16)  # 41 MB
    stored[4000:] = stored[:4000]
    for hashes in (row_hashes, HASHES["two buckets"]):
        tracemalloc.start()
        assert census(stored, hashes).unique_rows == 4000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < stored.nbytes / 10


@pytest.mark.parametrize("values", [np.zeros((2, 2), np.float32), np.zeros((2, 2), np.int16)])
def test_refuses_values_where_bits_are_asked(values):
    with pytest.raises(TypeError, match="stored bits"):
        census(values)


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2), (3, 0)])
def test_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="one row a token"):
        census(np.zeros(shape, np.uint16))
