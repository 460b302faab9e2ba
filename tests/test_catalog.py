"""The first cartography against a slow float64 computation, a hand-made example, and its own symmetries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from compute import catalog

clouds = arrays.arrays(
    np.float32,
    st.tuples(st.integers(2, 40), st.integers(1, 7)),
    elements=st.floats(-8, 8, width=16),
)


def blocks_of(gamma, rows=7):
    return [(start, gamma[start : start + rows]) for start in range(0, len(gamma), rows)]


def test_four_tokens_by_hand():
    gamma = np.array([[3, 0], [-1, 0], [1, 2], [1, -2]], dtype=np.float32)
    mu = catalog.centroid(blocks_of(gamma, 3))
    assert mu.tolist() == [1, 0]
    assert catalog.row_norms(blocks_of(gamma), mu).tolist() == [2, 2, 2, 2]
    # the four directions are east, west, north and south: of the six pairs two are opposite, four are at right angles
    assert catalog.mean_cosine(blocks_of(gamma), mu) == pytest.approx((-1 / 3, 0))
    longitude, latitude = catalog.sky(np.array([[1, 0, 0], [0, 2, 0], [0, 0, -3], [0, 0, 0]], dtype=float))
    np.testing.assert_allclose(longitude, [0, 90, 0, np.nan])
    np.testing.assert_allclose(latitude, [0, 0, -90, np.nan])


@given(clouds, st.integers(1, 50))
@settings(deadline=None)
def test_blocks_agree_with_the_whole_matrix_in_float64(gamma, rows):
    whole, blocks = gamma.astype(np.float64), blocks_of(gamma, rows)
    mu = catalog.centroid(blocks)
    np.testing.assert_allclose(mu, whole.mean(0), atol=1e-12)
    np.testing.assert_allclose(catalog.row_norms(blocks, mu), np.linalg.norm(whole - whole.mean(0), axis=1), atol=1e-12)
    axes = np.eye(gamma.shape[1])[:, ::-1]
    np.testing.assert_allclose(catalog.projections(blocks, mu, axes), (whole - mu)[:, ::-1], atol=1e-12)


@given(clouds)
@settings(deadline=None)
def test_the_mean_cosine_is_the_mean_over_all_pairs(gamma):
    whole = gamma.astype(np.float64)
    lengths = np.linalg.norm(whole, axis=1)
    units = whole[lengths > 0] / lengths[lengths > 0, None]
    if len(units) < 2:
        with pytest.raises(ValueError, match="needs two rows away from the origin"):
            catalog.mean_cosine(blocks_of(gamma), np.zeros(gamma.shape[1]))
        return
    table = units @ units.T
    mean, lost = catalog.mean_cosine(blocks_of(gamma), np.zeros(gamma.shape[1]))
    assert mean == pytest.approx(table[np.triu_indices(len(units), 1)].mean(), abs=1e-9)
    assert lost == (lengths == 0).sum()


def test_pairs_are_of_different_tokens_and_cover_all_of_them():
    pairs = catalog.random_pairs(5, 20_000, np.random.default_rng(0))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    _, counts = np.unique(pairs, axis=0, return_counts=True)
    assert len(counts) == 20 and counts.min() > 850 and counts.max() < 1150  # 1000 each; five sigma is 155


def test_pair_cosines_against_the_definition_and_at_the_origin():
    gamma = np.random.default_rng(1).normal(size=(30, 6)).astype(np.float32)
    gamma[4] = 0
    pairs = catalog.random_pairs(30, 400, np.random.default_rng(2))
    (found,) = catalog.pair_cosines(gamma.__getitem__, pairs, np.zeros((1, 6)), batch=33)
    for (left, right), cosine in zip(pairs, found, strict=True):
        if 4 in (left, right):
            assert np.isnan(cosine)
            continue
        a, b = gamma[left].astype(float), gamma[right].astype(float)
        assert cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-12)


def test_the_control_cloud_has_the_spectrum_it_was_asked_for():
    spectrum = np.array([4.0, 1.0, 0.25, -1e-18])
    cloud = np.concatenate([block for _, block in catalog.gaussian_cloud(spectrum, 40_000, np.random.default_rng(3))])
    assert cloud.shape == (40_000, 4)
    np.testing.assert_allclose(cloud.var(axis=0), [4, 1, 0.25, 0], rtol=0.05)
    again = np.concatenate([block for _, block in catalog.gaussian_cloud(spectrum, 40_000, np.random.default_rng(3))])
    assert (cloud == again).all()


def test_a_wrong_centroid_shows_in_the_residual():
    gamma = np.random.default_rng(4).normal(size=(500, 8)).astype(np.float32)
    mu = catalog.centroid(blocks_of(gamma))
    expected = catalog.expected_residual(500, float(np.abs(gamma).max()))
    assert np.abs(catalog.residual_mean(blocks_of(gamma), mu)).max() < expected
    assert np.abs(catalog.residual_mean(blocks_of(gamma), mu.astype(np.float32))).max() > expected


def test_no_rows_have_no_centroid():
    with pytest.raises(ValueError, match="at least one row"):
        catalog.centroid([])
