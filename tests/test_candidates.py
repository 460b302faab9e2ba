"""The rule finds planted dead tokens unaided; the indicators are those of a slow, separate computation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.smoke import census
from compute.smoke.candidates import agreement, candidates, indicators
from compute.smoke.structure import centre_of, layers

WIDTH = 48


@pytest.fixture(scope="module")
def planted():
    """A cloud of 8,000 and 30 dead tokens: a hole of 20, 5 beside it, a hole of 2, and 3 Oort tokens."""
    rng = np.random.default_rng(42)
    cloud = rng.normal(0, 1, (8000, WIDTH)).astype(np.float32)
    centre = np.full(WIDTH, 0.5, dtype=np.float32)
    dead = np.tile(centre, (30, 1))
    for row in range(20, 25):
        dead[row, row] = np.nextafter(np.float32(0.5), np.float32(1 + row))
        dead[row, 0] = np.float32(0.5) + np.float32(1e-6) * (row - 19)
    dead[25:27, 3] += np.float32(2e-6)
    dead[27:, 7] += np.float32([0.01, 0.05, 0.4])
    rows = np.concatenate([dead, cloud])
    order = rng.permutation(len(rows))
    roles = np.concatenate([np.arange(30), np.full(8000, -1)])[order]
    twins = np.flatnonzero(roles == -1)[:2]
    rows = rows[order]
    rows[twins[1]] = rows[twins[0]]  # two living tokens that share a row: clustered, and not far
    return rows, roles, twins


def found_in(rows, reachable=None):
    holes = census(rows.view(np.uint32))
    centre = centre_of(holes)
    distance = np.linalg.norm(rows.astype(float) - rows[centre], axis=1)
    return candidates(layers(distance, centre, 1e-7), holes, distance, reachable)


def test_planted_dead_tokens_are_found_unaided(planted):
    rows, roles, twins = planted
    found = found_in(rows)
    both = found.clustered & found.far
    assert set(roles[found.ids[both]]) == set(range(27))
    assert set(roles[found.ids[found.far & ~found.clustered]]) >= {27, 28, 29}
    assert set(found.ids[found.clustered & ~found.far]) == set(twins)
    assert found.unreachable is None
    assert found.evidence.max() == 2
    assert np.all(np.diff(found.evidence) <= 0)
    for level in (1, 2):
        assert np.all(np.diff(found.distance[found.evidence == level]) >= 0)


def test_a_tokenizer_adds_a_third_witness_and_loses_none(planted):
    rows, roles, _ = planted
    reachable = np.ones(len(rows), dtype=bool)
    reachable[roles == 5] = reachable[roles == 28] = False
    reachable[np.flatnonzero(roles == -1)[100:150]] = (
        False  # unreachable and alive in the matrix: no candidates
    )
    found = found_in(rows, reachable)
    assert set(found.ids) == set(found_in(rows).ids)
    assert roles[found.ids[0]] == 5 and found.evidence[0] == 3
    assert found.evidence[np.flatnonzero(roles[found.ids] == 28)[0]] == 2


def test_a_cloud_without_smoke_gives_no_candidate():
    rows = np.random.default_rng(1).normal(0, 1, (5000, WIDTH)).astype(np.float32)
    holes = census(rows.view(np.uint32))
    distance = np.linalg.norm(rows.astype(float) - rows[3], axis=1)
    found = candidates(layers(distance, 3, 1e-7), holes, distance)
    assert len(found.ids) <= 3
    assert not (found.clustered & ~found.far).any()


def test_indicators_are_those_of_a_loop_over_tokens():
    rng = np.random.default_rng(42)
    rows = rng.normal(0.3, 1, (60, 7)).astype(np.float32)
    rows[11] = 0
    unused = [3, 5, 8]
    mu = rows.mean(axis=0, dtype=float)
    component = np.linalg.svd(rows - mu, full_matrices=False)[2][0]
    found = indicators([(0, rows[:25]), (25, rows[25:])], rows[unused], component, mu)
    exact = rows.astype(float)
    flat = exact - np.outer(exact @ component, component)
    for i in range(60):
        for values, matrix in ((found.cosine, exact), (found.cosine_without_component, flat),
                               (found.cosine_without_mean, exact - mu)):  # fmt: skip
            a, b = matrix[i], matrix[unused].mean(axis=0)
            size = np.sqrt((a @ a) * (b @ b))
            assert values[i] == pytest.approx(1 - (a @ b) / size if size else 1.0, abs=1e-12)
        away = exact[i] - exact[unused].mean(axis=0)
        assert found.distance[i] == pytest.approx(np.sqrt(away @ away))
        assert found.norm[i] == pytest.approx(np.sqrt(exact[i] @ exact[i]))
    assert found.cosine[11] == 1.0


def test_the_indicators_need_an_unused_token():
    with pytest.raises(ValueError, match="no token is taken as unused"):
        indicators([(0, np.ones((2, 2)))], np.ones((0, 2)), np.ones(2), np.ones(2))


def test_the_indicators_point_at_the_planted_dead(planted):
    rows, roles, _ = planted
    dead = np.flatnonzero(roles >= 0)
    mu = rows.mean(axis=0, dtype=float)
    component = np.linalg.svd(rows - mu, full_matrices=False)[2][0]
    found = indicators([(0, rows)], rows[np.isin(roles, [0, 1, 2])], component, mu)
    for values in (found.cosine, found.cosine_without_component, found.distance):
        assert agreement(values, dead).area > 0.99
    assert agreement(found.distance, dead) == agreement(-1 / (found.distance + 1), dead)


@given(st.lists(st.integers(0, 9), min_size=3, max_size=25), st.data())
def test_the_area_is_the_share_of_pairs_in_order(values, data):
    values = np.array(values, dtype=float)
    ids = data.draw(
        st.lists(st.integers(0, len(values) - 1), min_size=1, max_size=len(values) - 1, unique=True)
    )
    outside = np.setdiff1d(np.arange(len(values)), ids)
    pairs = [(values[i] < values[j]) + 0.5 * (values[i] == values[j]) for i in ids for j in outside]
    assert agreement(values, np.array(ids)).area == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("ids", [[], [0, 1, 2]])
def test_a_set_of_none_or_all_is_no_comparison(ids):
    with pytest.raises(ValueError, match="some of the tokens"):
        agreement(np.arange(3.0), np.array(ids, dtype=int))
