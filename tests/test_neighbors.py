"""The k nearest neighbours against the slow obvious way, against other people's programs, and against interruption."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from compute.distinct import distinct_rows
from compute.neighbors import Search, begin, finish, nearest, spread, sweep
from compute.scores import prepare, round_down


def by_brute_force(rows, k):
    """Every distance in float64 by direct subtraction; ties to the smaller id."""
    wide = rows.astype(np.float64)
    ids, distances = np.empty((len(rows), k), np.int64), np.empty((len(rows), k))
    for i in range(len(rows)):
        difference = wide - wide[i]
        squared = np.vecdot(difference, difference)
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


@pytest.mark.parametrize("name", PLANTED)
def test_planted_clouds_exactly(name):
    assert_exact(PLANTED[name], 20, block=256)


@pytest.mark.parametrize("k", [1, 2, 20, 63])
@pytest.mark.parametrize("n_rows", [64, 65, 200])
def test_every_k_exactly(n_rows, k):
    assert_exact(gaussian(n_rows, 7), k, block=32)


@settings(max_examples=60, deadline=None)
@given(
    rows=arrays(
        np.float32,
        some.tuples(some.integers(2, 40), some.integers(1, 5)),
        elements=some.sampled_from([0.0, -0.0, 1.0, 1.0000001, 2.0, -3.5, 1e30, 1e-30, -1e-45, 3e38]),
    ),
    k=some.integers(1, 39),
    block=some.integers(1, 50),
)
def test_awkward_rows_exactly(rows, k, block):
    assert_exact(rows, min(k, len(rows) - 1), block=block)


def test_real_tokens_exactly(smollm2):
    rows = smollm2.catalogue.rows(np.arange(0, 49152, 29))
    assert_exact(rows, 20, block=512)


def test_the_bound_is_needed(monkeypatch):
    """Without slack, neighbours in tight clusters are lost: the test above can fail."""
    honest = prepare

    def careless(*given):
        scores = honest(*given)
        scores.slack[:] = 0
        return scores

    monkeypatch.setattr("compute.neighbors.prepare", careless)
    with pytest.raises(AssertionError):
        assert_exact(in_tight_clusters(), 20, block=256)


@pytest.mark.parametrize("name", PLANTED)
def test_scores_keep_their_promise(name):
    rows = PLANTED[name][:200]
    scores = prepare(rows, np.arange(len(rows)))
    optimistic = (scores.left(0, len(rows)) @ scores.right.T).astype(np.longdouble)
    wide = rows.astype(np.longdouble) * scores.scale
    truth = -(np.square(wide[:, None] - wide[None]).sum(axis=2)) / 2  # (n, n), 64 bits of mantissa
    slack = scores.slack.astype(np.longdouble)
    assert (optimistic >= truth).all()
    assert (optimistic <= truth + slack[:, None] + slack).all()


def test_floors_of_distances_are_rounded_downwards():
    scores = prepare(gaussian(50, 5), np.arange(50))
    squared = np.random.default_rng(0).uniform(0, 50, 1000)
    floor = scores.floor_of(squared).astype(np.float64)
    assert (floor <= -squared * scores.scale**2 / 2).all()
    values = np.array([1.0, 1 + 2**-30, -1 - 2**-30, 0.0, 1e-60, -1e-60])
    assert (round_down(values) <= values).all() and round_down(values)[1] == 1.0


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
    found = spread(distinct, finish(rows, Search.from_arrays(kept)), 12)
    np.testing.assert_array_equal(found.ids, reference.ids)
    np.testing.assert_array_equal(found.distances, reference.distances)


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
    among = finish(rows, search)
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


def test_the_search_holds_no_square_matrix():
    """Beyond the rows: a copy of them, a tile, and some arrays of O(N k); an N x N matrix would be 100 MB here."""
    rows = gaussian(5000, 8)
    tracemalloc.start()
    nearest(rows, 5, block=512)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16e6
