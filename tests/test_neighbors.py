"""The k nearest neighbours against the slow obvious way, against other people's programs, and against interruption."""

import tracemalloc
from dataclasses import replace
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from compute import bounds, tiles
from compute.bounds import Precision, prepare, rounded_up
from compute.closest import Closest
from compute.distinct import distinct_rows
from compute.exact import squared_distances
from compute.neighbors import Search, begin, finish, nearest, spread, sweep

PRECISIONS = get_args(Precision)


def folded(terms):
    """The sums (n,) of terms (n, D) float64: the last half is added to the first until one is left."""
    while (count := terms.shape[1]) > 1:
        half = count // 2
        terms = np.hstack([terms[:, :half] + terms[:, count - half :], terms[:, half : count - half]])
    return terms[:, 0]


def by_brute_force(rows, k):
    """Every distance in float64 by direct subtraction; ties to the smaller id."""
    wide = rows.astype(np.float64)
    ids, distances = np.empty((len(rows), k), np.int64), np.empty((len(rows), k))
    for i in range(len(rows)):
        squared = folded((wide - wide[i]) ** 2)
        squared[i] = np.inf
        ids[i] = np.lexsort((np.arange(len(rows)), squared))[:k]
        distances[i] = np.sqrt(squared[ids[i]])
    return ids, distances


def assert_exact(rows, k, **settings):
    found = nearest(rows, k, **settings)
    ids, distances = by_brute_force(rows, k)
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_array_equal(found.distances, distances)  # the same sums, so the same bits


def gaussian(n_rows, dim, seed=42):
    return np.random.default_rng(seed).standard_normal((n_rows, dim), dtype=np.float32)


def in_tight_clusters(n_rows=600, dim=24):
    """Three clusters whose inner distances drown in the rounding of any matrix product, far from the centre."""
    generator = np.random.default_rng(1)
    homes = generator.normal(0, 50, (3, dim))
    return (homes[generator.integers(0, 3, n_rows)] + generator.normal(0, 1e-5, (n_rows, dim))).astype(np.float32)


def of_all_sizes(n_rows=600, dim=24):
    """Rows whose norms span thirty orders of magnitude."""
    generator = np.random.default_rng(2)
    exponents = generator.uniform(-15, 15, (n_rows, 1))
    return (generator.standard_normal((n_rows, dim)) * 10**exponents).astype(np.float32)


def with_black_holes(n_rows=700, dim=16):
    """Populations of 2, 3, 30 and 300 equal rows among others, one of them at the origin, with zeros of both signs."""
    rows = gaussian(n_rows, dim, 3)
    rows[10:12], rows[20:23], rows[100:130], rows[300:600] = rows[10], rows[20], rows[100], rows[300]
    rows[650:652] = 0.0
    rows[651, ::2] = -0.0
    return rows


PLANTED = {
    "a Gaussian cloud": gaussian(900, 64),
    "a cloud far from the origin": gaussian(500, 20) * np.float32(1e-3) + np.float32(1e3),
    "a lattice full of ties": np.random.default_rng(4).integers(-1, 2, (700, 5)).astype(np.float32),
    "a line": np.arange(300, dtype=np.float32)[:, None],
    "tight clusters": in_tight_clusters(),
    "all sizes": of_all_sizes(),
    "black holes": with_black_holes(),
    "one giant": np.vstack([gaussian(400, 30), np.full((1, 30), 1e8, np.float32)]),
    "huge": gaussian(300, 12) * np.float32(1e37),
    "tiny": gaussian(300, 12) * np.float32(1e-37),
    "subnormal": gaussian(300, 12) * np.float32(1e-42),
    "wide, few rows": gaussian(40, 2000),
}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", PLANTED)
def test_planted_clouds_exactly(name, precision):
    assert_exact(PLANTED[name], 20, block=256, precision=precision)


@pytest.mark.parametrize("k", [1, 2, 20, 63])
@pytest.mark.parametrize("n_rows", [64, 65, 200])
def test_every_k_exactly(n_rows, k):
    assert_exact(gaussian(n_rows, 7), k, block=32)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["tight clusters", "all sizes", "one giant"])
@pytest.mark.parametrize("block", [1, 3, 49])
def test_tiles_of_a_single_row_or_column_exactly(block, name, precision):
    """A BLAS has other kernels for them."""
    assert_exact(PLANTED[name][-50:], 15, block=block, precision=precision)


@settings(max_examples=60, deadline=None)
@given(
    rows=arrays(
        np.float32,
        some.tuples(some.integers(2, 40), some.integers(1, 5)),
        elements=some.sampled_from([0.0, -0.0, 1.0, 1.0000001, 2.0, -3.5, 1e30, 1e-30, -1e-45, 3e38]),
    ),
    k=some.integers(1, 39),
    block=some.integers(1, 50),
    precision=some.sampled_from(PRECISIONS),
)
def test_awkward_rows_exactly(rows, k, block, precision):
    assert_exact(rows, min(k, len(rows) - 1), block=block, precision=precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_real_tokens_exactly(smollm2, precision):
    rows = smollm2.catalogue.rows(np.arange(0, 49152, 29))
    assert_exact(rows, 20, block=512, precision=precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_bound_is_needed(monkeypatch, precision):
    """With no allowance for rounding, neighbours in tight clusters are lost: the tests above can fail."""
    honest = prepare

    def careless(*given):
        operands = replace(honest(*given), rounding=0.0)
        operands.error[:] = 0
        operands.square[:] = operands.square / (1 - np.float32(bounds.SPARE))
        return operands

    monkeypatch.setattr("compute.neighbors.prepare", careless)
    with pytest.raises(AssertionError):
        assert_exact(in_tight_clusters(), 20, block=256, precision=precision)


def products_of(operands, rows):
    """The products of all rows with all, in float64, as the search sees them."""
    bits = operands.multiply((0, len(rows), 0, len(rows)), operands.room(len(rows) ** 2))
    return np.stack([tiles.widen(row, np.empty(len(rows), np.uint32)) for row in bits]).astype(np.longdouble)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", PLANTED)
def test_bounds_keep_their_promise(name, precision):
    rows = PLANTED[name][:200]
    operands = prepare(rows, np.arange(len(rows)), precision)
    product = products_of(operands, rows)
    norm, error = operands.norm.astype(np.longdouble), operands.error.astype(np.longdouble)
    wide = rows.astype(np.longdouble) * operands.scale
    truth = np.square(wide[:, None] - wide[None]).sum(axis=2)  # (n, n), 64 bits of mantissa
    square = operands.square.astype(np.longdouble)
    margin = operands.rounding * abs(product) + np.outer(error, norm) + np.outer(norm, error)
    apart = ~np.eye(len(rows), dtype=bool)
    assert (square[:, None] + square - 2 * (product + margin) <= truth)[apart].all()
    loose = (square[:, None] + square) * tiles.GROW + tiles.TINY - 2 * (product - margin)
    assert (loose >= truth)[apart].all()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", PLANTED)
def test_no_pair_within_a_limit_is_dismissed(name, precision):
    """The compiled comparison, pair by pair, with limits at the very distance of a neighbour."""
    rows = PLANTED[name][:150]
    operands = prepare(rows, np.arange(len(rows)), precision)
    n_rows = len(rows)
    squared = squared_distances(rows, *np.indices((n_rows, n_rows)).reshape(2, -1)).reshape(n_rows, n_rows)
    np.fill_diagonal(squared, np.inf)
    tile = 0, n_rows, 0, n_rows
    products = operands.multiply(tile, operands.room(n_rows**2))
    known = operands.square, operands.norm, operands.error, np.float32(operands.rounding)
    first = tiles._first_limits(products, tile, 5, known)
    fifth = np.sort(squared, axis=1)[:, 4]
    assert (first >= fifth * operands.scale**2).all()
    limit = operands.limit_of(fifth)
    one, two, least, most = room_for(n_rows**2)
    found, end = tiles._near_pairs(products, 0, 0, 0, *known, limit, one, two, least, most)
    one, two = one[:found], two[:found]
    passed = np.zeros((n_rows, n_rows), bool)
    passed[one, two] = True
    wanted = np.triu((squared <= fifth[:, None]) | (squared <= fifth), 1)
    assert end == n_rows and wanted.any() and passed[wanted].all() and not np.tril(passed).any()
    truth = squared[one, two] * operands.scale**2
    assert (least[:found] <= truth).all() and (most[:found] >= truth).all()


def room_for(pairs):
    """Room for the positions and the bounds of some pairs."""
    return *np.empty((2, pairs), np.int64), *np.empty((2, pairs), np.float32)


def test_pairs_beyond_the_room_come_with_the_next_call():
    rows = gaussian(70, 5)
    operands = prepare(rows, np.arange(70))
    known = operands.square, operands.norm, operands.error, np.float32(0)
    no_limit, room = np.full(70, np.inf, np.float32), room_for(150)
    products = operands.multiply((0, 70, 0, 70), operands.room(4900))
    row, seen = 0, []
    while row < 70:
        found, row = tiles._near_pairs(products, row, 0, 0, *known, no_limit, *room)
        seen += zip(*(side[:found].tolist() for side in room[:2]), strict=True)
    assert seen == [(i, j) for i in range(70) for j in range(i + 1, 70)]


def test_distances_are_folded_sums_and_exact_to_the_last_bits():
    generator = np.random.default_rng(5)
    for dim in (1, 2, 3, 5, 8, 17, 100):
        rows = (generator.standard_normal((9, dim)) * 10 ** generator.uniform(-8, 8, (9, 1))).astype(np.float32)
        one, two = np.indices((9, 9)).reshape(2, -1)
        found = squared_distances(rows, one, two)
        np.testing.assert_array_equal(found, folded((rows[one].astype(np.float64) - rows[two]) ** 2))
        for squared, i, j in zip(found, one, two, strict=True):
            truth = sum((Fraction(float(a)) - Fraction(float(b))) ** 2 for a, b in zip(rows[i], rows[j], strict=True))
            assert abs(Fraction(float(squared)) - truth) <= truth * Fraction(3 + len(bin(dim)), 2**53)


@pytest.mark.parametrize("blur", [0.0, 0.01, 0.5, 10.0])
def test_lists_end_with_the_nearest_and_the_smaller_id(blur):
    """Whatever the bounds are worth: exact ones decide alone, those of the last kind decide nothing."""
    rows = np.random.default_rng(6).integers(-2, 3, (300, 3)).astype(np.float32)  # full of ties
    row_of = np.random.default_rng(7).permutation(np.unique(rows, axis=0, return_index=True)[1])
    operands, count = prepare(rows, row_of), len(row_of)
    one, two = np.triu_indices(count, 1)
    squared = squared_distances(rows, row_of[one], row_of[two])
    units, generator = squared * operands.scale**2, np.random.default_rng(8)
    least = (units * (1 - blur * generator.random(len(one))) - 1e-6).astype(np.float32)
    most = (units * (1 + blur * generator.random(len(one))) + 1e-6).astype(np.float32)
    closest = Closest.empty(count, 6)
    for part in np.array_split(generator.permutation(len(one)), 9):
        closest.enter(operands, one[part], two[part], least[part], most[part])
    closest.settle(operands, 0, count)
    for place in range(count):
        mine = (one == place) | (two == place)
        ids = row_of[(one + two)[mine] - place]
        expected = sorted(zip(squared[mine], ids, strict=True))[:6]
        assert list(zip(closest.squared[place], row_of[closest.nearest[place]], strict=True)) == expected
        assert closest.limit[place] >= expected[-1][0] * operands.scale**2


def test_limits_are_rounded_upwards():
    operands = prepare(gaussian(50, 5), np.arange(50))
    squared = np.r_[np.random.default_rng(0).uniform(0, 50, 1000), 0.0, 1e-320, 1e-60, 1e300, np.inf]
    assert (operands.limit_of(squared).astype(np.longdouble) >= squared * np.longdouble(operands.scale) ** 2).all()
    values = np.array([1.0, 1 + 2**-30, -1 - 2**-30, 0.0, 1e-60, -1e-60])
    assert (rounded_up(values) >= values).all() and rounded_up(values)[0] == 1.0


@pytest.mark.parametrize(
    ("capabilities", "onednn", "precision"),
    [
        ({"avx2": True, "avx512_bf16": False}, True, "float32"),
        ({"avx512_bf16": True}, True, "bfloat16"),
        ({"avx512_bf16": False, "amx_bf16": True}, True, "bfloat16"),
        ({"bf16": True}, False, "float32"),
    ],
)
def test_the_quicker_precision(monkeypatch, capabilities, onednn, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: onednn)
    assert bounds.quickest() == precision


@pytest.mark.parametrize("block, threads", [(64, 1), (100, 2), (333, 3), (5000, 2)])
def test_block_and_threads_change_no_bit(block, threads):
    rows = np.vstack([gaussian(500, 33), with_black_holes()[:200, :].repeat(3, axis=1)[:, :33]])
    reference = nearest(rows, 20)
    found = nearest(rows, 20, block=block, threads=threads)
    np.testing.assert_array_equal(found.ids, reference.ids)
    np.testing.assert_array_equal(found.distances, reference.distances)


@pytest.mark.parametrize("stops", [1, 2, 4])
def test_an_interrupted_search_ends_the_same(stops):
    rows = gaussian(500, 17)
    reference = nearest(rows, 12, block=90)
    distinct = distinct_rows(rows)
    kept = begin(distinct.first, 12, block=90).arrays()
    for _ in range(20):
        search = Search.from_arrays(kept)
        for blocks, state in enumerate(sweep(rows, search), start=1):
            kept = {name: array.copy() for name, array in state.arrays().items()}
            if blocks == stops:
                break
        if search.progress == 1.0:
            break
    found = spread(distinct, finish(Search.from_arrays(kept)), 12)
    np.testing.assert_array_equal(found.ids, reference.ids)
    np.testing.assert_array_equal(found.distances, reference.distances)


@pytest.mark.parametrize("name", ["a Gaussian cloud", "a lattice full of ties", "tight clusters", "all sizes"])
def test_a_search_that_changes_machines_after_every_block_ends_the_same(name):
    """Bounds from one precision hold for the other, and for another number of threads."""
    rows = PLANTED[name][:400]
    distinct = distinct_rows(rows)
    kept, blocks = begin(distinct.first, 30, block=110).arrays(), 0
    while (search := Search.from_arrays(kept)).progress < 1.0:
        state = next(sweep(rows, search, 1 + blocks % 3, PRECISIONS[blocks % 2]))
        kept, blocks = {name: array.copy() for name, array in state.arrays().items()}, blocks + 1
    found = spread(distinct, finish(Search.from_arrays(kept)), 30)
    ids, distances = by_brute_force(rows, 30)
    assert blocks > 1
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_array_equal(found.distances, distances)


def test_progress_rises_to_one_with_the_pairs():
    seen = []
    nearest(gaussian(400, 3), 5, block=100, progress=seen.append)
    assert seen == [1 - (3 / 4) ** 2, 1 - (1 / 2) ** 2, 1 - (1 / 4) ** 2, 1.0]


def test_nothing_but_duplicates():
    found = nearest(np.full((30, 4), 2.5, np.float32), 5)
    assert (found.distances == 0).all()
    assert found.ids[0].tolist() == [1, 2, 3, 4, 5] and found.ids[29].tolist() == [0, 1, 2, 3, 4]


def test_ties_go_to_the_smaller_id_across_duplicates():
    rows = np.array([[0.0], [1.0], [-1.0], [1.0], [-1.0], [5.0]], np.float32)
    assert nearest(rows, 3).ids[0].tolist() == [1, 2, 3]
    assert nearest(rows, 3).ids[1].tolist() == [3, 0, 2]


def test_distinct_neighbours_count_each_place_once():
    rows = np.array([[0.0], [0.0], [0.0], [1.0], [3.0], [3.0]], np.float32)
    distinct = distinct_rows(rows)
    search = begin(distinct.first, 2)
    for _ in sweep(rows, search):
        pass
    among = finish(search)
    assert distinct.first.tolist() == [0, 3, 4] and distinct.crowd.tolist() == [3, 1, 2]
    assert among.ids.tolist() == [[3, 4], [0, 4], [3, 0]]
    assert among.distances.tolist() == [[1, 3], [1, 2], [2, 3]]


def test_distinct_rows_against_numpy():
    rows = with_black_holes()
    unique, inverse = np.unique(rows, axis=0, return_inverse=True)
    found = distinct_rows(rows)
    assert len(found.first) == len(unique) == found.member_of.max() + 1
    assert len({*zip(inverse.tolist(), found.member_of.tolist(), strict=True)}) == len(unique)
    assert (found.first[found.member_of] <= np.arange(len(rows))).all()
    np.testing.assert_array_equal(rows[found.first[found.member_of]], rows)
    same_where_it_peeks = np.zeros((50, 40), np.float32)
    same_where_it_peeks[:, 1] = np.arange(50) // 2
    assert len(distinct_rows(same_where_it_peeks, peek=2).first) == 25


def test_equal_rows_stay_equal_in_other_coordinates():
    rows = with_black_holes()
    coordinates = gaussian(len(rows), 4)
    aligned = distinct_rows(rows).align(coordinates.copy())
    np.testing.assert_array_equal(distinct_rows(aligned).member_of, distinct_rows(rows).member_of)
    np.testing.assert_array_equal(aligned[distinct_rows(rows).first], coordinates[distinct_rows(rows).first])


def assert_same_sets(found, ids, gap):
    """Who the k nearest are, wherever the k-th is not tied with the next: `gap` (N,), between those two."""
    clear = gap > 1e-9
    assert clear.mean() > 0.9
    mine, theirs = np.sort(found.ids[clear], axis=1), np.sort(ids[clear], axis=1)
    np.testing.assert_array_equal(mine, theirs)


def test_medium_clouds_against_the_ball_tree():
    from sklearn.neighbors import BallTree

    rows = gaussian(4000, 12)
    rows[1000:1020] = rows[999]
    rows[2000:2003] = rows[1999]
    tree = BallTree(rows.astype(np.float64))
    distances, ids = tree.query(rows.astype(np.float64), 22)
    order = np.argsort(ids != np.arange(4000)[:, None], axis=1, kind="stable")  # itself first, also among its equals
    distances, ids = np.take_along_axis(distances, order, 1)[:, 1:], np.take_along_axis(ids, order, 1)[:, 1:]
    found = nearest(rows, 20)
    np.testing.assert_allclose(found.distances, distances[:, :20], rtol=1e-12, atol=1e-12)
    assert_same_sets(found, ids[:, :20], distances[:, 20] - distances[:, 19])
    assert (found.distances[999:1020] == 0).all() and (found.distances[1999:2003, :3] == 0).all()


def test_medium_clouds_against_faiss():
    import faiss

    rows = gaussian(6000, 128)
    rows[3000:3010] = rows[2999]
    index = faiss.IndexFlatL2(128)
    index.add(rows)
    squared, ids = index.search(rows, 22)
    order = np.argsort(ids != np.arange(6000)[:, None], axis=1, kind="stable")
    squared, ids = np.take_along_axis(squared, order, 1)[:, 1:], np.take_along_axis(ids, order, 1)[:, 1:]
    found = nearest(rows, 20)
    # faiss subtracts squares: what should be 0 is a rounding of |x|^2
    rounding = np.sqrt(1e-5 * np.square(rows).sum(axis=1).max())
    np.testing.assert_allclose(found.distances, np.sqrt(np.maximum(squared[:, :20], 0)), rtol=1e-5, atol=rounding)
    single = np.r_[0:2999, 3010:6000]
    np.testing.assert_allclose(found.distances[single, :10], np.sqrt(squared[single, :10]), rtol=1e-5)
    assert_same_sets(found, ids[:, :20], (squared[:, 20] - squared[:, 19]) / squared[:, 19] / 1e5)


@pytest.mark.parametrize("k", [0, -1, 10, 11])
def test_k_outside_its_range(k):
    with pytest.raises(ValueError, match="between 1 and 9"):
        nearest(gaussian(10, 3), k)


def test_bad_rows_are_named():
    rows = gaussian(10, 3)
    rows[7, 1] = np.inf
    with pytest.raises(ValueError, match="row 7 is not finite"):
        nearest(rows, 2)
    with pytest.raises(TypeError, match="float64"):
        nearest(rows.astype(np.float64), 2)
    with pytest.raises(TypeError, match="C-ordered"):
        nearest(np.asfortranarray(gaussian(10, 3)), 2)
    with pytest.raises(ValueError, match="among 1 rows"):
        nearest(gaussian(1, 3), 1)


def test_rows_that_are_wider_than_the_proof():
    with pytest.raises(ValueError, match="proven up to 524,288"):
        nearest(np.zeros((3, bounds.WIDEST + 1), np.float32) + np.arange(3, dtype=np.float32)[:, None], 1)


def test_the_search_holds_no_square_matrix():
    """Beyond the rows: a copy of them, a tile, and some arrays of O(N k); an N x N matrix would be 100 MB here."""
    rows = gaussian(5000, 8)
    tracemalloc.start()
    nearest(rows, 5, block=512)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16e6
