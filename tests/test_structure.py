"""Core, Oort cloud and main cloud, on galaxies whose layers were planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.smoke import census
from compute.smoke.structure import centre_of, different_rows, layers, main_cloud_edge, shells, sphere, widest_gap

WIDTH = 64
CELL = 1e-4


def galaxy(seed, core=(0.0,) * 50 + (1e-4, 3e-4, 4e-4), oort=(0.01, 0.03, 0.2, 0.9), living=20_000):
    """Points at given distances from a centre off a Gaussian cloud: (N, WIDTH), and the roles by row."""
    rng = np.random.default_rng(seed)
    cloud = rng.normal(0, 1, (living, WIDTH))
    centre = np.full(WIDTH, 0.5)  # 4 units from the middle of the cloud
    away = rng.normal(0, 1, (len(core) + len(oort), WIDTH))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    planted = centre + np.array([*core, *oort])[:, None] * away
    planted[: sum(r == 0 for r in core)] = centre
    rows = np.concatenate([planted, cloud])
    role = np.repeat([0, 1, 2], [len(core), len(oort), living])
    order = rng.permutation(len(rows))
    return rows[order], role[order]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planted_layers_are_found(seed):
    rows, role = galaxy(seed)
    holes = census(rows.view(np.uint64).view(np.uint32))
    centre = centre_of(holes)
    assert holes.populations.tolist() == [50]
    distance = np.linalg.norm(rows - rows[centre], axis=1)
    found = layers(distance, centre, CELL)
    assert set(found.core) == set(np.flatnonzero(role == 0))
    assert set(found.oort) >= set(np.flatnonzero(role == 1))
    assert (role[found.oort] == 2).sum() <= 2  # of the living, fewer than one is expected there
    assert found.core_radius == pytest.approx(4e-4, rel=1e-9)
    assert found.gap.outer == pytest.approx(0.01, rel=1e-9)
    assert found.gap.ratio == pytest.approx(25, rel=1e-9)
    assert np.all(np.diff(distance[found.ids]) >= 0)
    kinds = different_rows(found.ids, holes)
    assert kinds.population.tolist() == [50] + [1] * (len(found.ids) - 50)
    assert kinds.is_hole.tolist() == [True] + [False] * (len(found.ids) - 50)
    assert kinds.ids[0] == centre


def test_a_smoke_without_an_oort_cloud_is_all_core():
    rows, role = galaxy(4, oort=())
    distance = np.linalg.norm(rows - rows[np.flatnonzero(role == 0)[0]], axis=1)
    centre = int(np.flatnonzero(distance == 0)[0])
    found = layers(distance, centre, CELL)
    assert set(found.core) == set(np.flatnonzero(role == 0))
    assert len(found.oort) == 0


def test_a_gaussian_cloud_has_no_smoke_but_its_own_centre():
    rng = np.random.default_rng(5)
    rows = rng.normal(0, 1, (20_000, WIDTH))
    distance = np.linalg.norm(rows - rows[7], axis=1)
    found = layers(distance, 7, CELL)
    assert found.core.tolist() == [7]
    assert len(found.oort) <= 3  # fewer than one is expected
    assert found.core_radius == 0


def test_the_edge_does_not_feel_the_smoke():
    rows, role = galaxy(6, core=(0.0,) * 2000)
    distance = np.linalg.norm(rows - rows[np.flatnonzero(role == 0)[0]], axis=1)
    alone = main_cloud_edge(distance[role == 2])
    assert main_cloud_edge(distance) == pytest.approx(alone, rel=0.02)
    assert main_cloud_edge(np.full(10, 3.0)) == 3.0
    assert main_cloud_edge(np.zeros(10)) == 0.0


def test_a_hole_of_half_of_the_tokens_does_not_hide_the_main_cloud():
    rows, role = galaxy(8, core=(0.0,) * 20_000, oort=(0.01,))
    distance = np.linalg.norm(rows - rows[np.flatnonzero(role == 0)[0]], axis=1)
    assert main_cloud_edge(distance) == pytest.approx(main_cloud_edge(distance[role == 2]), rel=0.02)


def test_the_gap_is_where_the_ratio_is_largest_and_cells_are_the_smallest_step():
    radii = np.array([0, 1e-9, 2e-6, 3e-6, 3.5e-6, 9e-6, 2e-5])
    gap = widest_gap(radii, resolution=1e-6)  # 1e-9 to 2e-6 is a factor of 2,000, and two cells
    assert (gap.inner, gap.outer) == (3.5e-6, 9e-6)
    assert gap.ratio == pytest.approx(9 / 3.5)
    assert gap.runner_up == pytest.approx(20 / 9)
    first = widest_gap(np.array([0.0, 0.0, 5.0, 6.0]), resolution=0.1)
    assert (first.inner, first.outer, first.ratio) == (0.0, 5.0, pytest.approx(50))


@pytest.mark.parametrize(("count", "wide"), [(2, 0.8), (5, 0.5), (40, 0.12), (200, 0.04)])
def test_the_chance_of_a_gap_is_that_of_thrown_points(count, wide):
    rng = np.random.default_rng(42)
    points = np.sort(rng.random((20_000, count - 1)), axis=1)
    ends = np.zeros((len(points), 1))
    widest = np.diff(np.hstack([ends, points, ends + 1]), axis=1).max(axis=1)
    expected = (widest > wide).mean()
    rest = np.full(count - 1, (1 - wide) / (count - 1)).cumsum()
    logarithms = np.concatenate([[0, wide], wide + rest])
    told = widest_gap(np.exp(logarithms), resolution=1e-9).chance
    assert told == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 20_000))


def test_the_chance_stays_a_probability_where_its_terms_are_huge():
    assert widest_gap(np.exp(np.arange(3000) * 0.01), resolution=1e-9).chance == 1.0


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=30, unique=True))
@settings(deadline=None)
def test_any_list_of_distances_has_a_gap_between_two_of_them(radii):
    radii = np.array(radii)
    gap = widest_gap(radii, resolution=1e-9)
    ordered = np.sort(radii)
    assert gap.inner in ordered and gap.outer in ordered
    assert gap.ratio == pytest.approx((ordered[1:] / ordered[:-1]).max(), rel=1e-9)
    assert 0 <= gap.chance <= 1


def test_one_distance_has_no_gap():
    with pytest.raises(ValueError, match="between two distances"):
        widest_gap(np.array([0.0, 1e-9]), resolution=1e-6)


def test_without_a_hole_the_closest_company_is_the_centre():
    rows = np.arange(12, dtype=np.uint16).reshape(4, 3)
    with pytest.raises(ValueError, match="nearest neighbour"):
        centre_of(census(rows))
    assert centre_of(census(rows), np.array([3.0, 0.5, 0.5, 2.0])) == 1


def test_shells_count_every_token_and_every_different_row_once():
    rows, _ = galaxy(7)
    holes = census(rows.view(np.uint64).view(np.uint32))
    distance = np.linalg.norm(rows - rows[centre_of(holes)], axis=1)
    found = shells(distance, holes, innermost=CELL / 2)
    assert found.tokens.sum() + found.at_centre == len(rows)
    assert found.rows.sum() == len(rows) - 50
    assert found.at_centre == 50
    within = [(distance < bound).sum() for bound in found.bounds[:-1]]
    assert found.tokens[:-1].tolist() == np.diff(within).tolist()
    with pytest.raises(ValueError, match="first bound"):
        shells(distance, holes, innermost=0.0)


def test_the_sphere_keeps_distances_on_a_logarithm_and_directions_in_three_dimensions():
    rng = np.random.default_rng(42)
    turn = np.linalg.qr(rng.normal(0, 1, (20, 20)))[0]
    flat = np.zeros((6, 20))
    flat[1:, :3] = rng.normal(0, 1, (5, 3)) * [[1e-3], [0.1], [1], [3], [0]]
    centre = rng.normal(0, 1, 20)
    found = sphere(centre + flat @ turn, centre, resolution=1e-3)
    assert found.distance == pytest.approx(np.linalg.norm(flat, axis=1))
    assert np.linalg.norm(found.positions, axis=1) == pytest.approx(np.log10(1 + found.distance / 1e-3))
    far = found.distance > 0
    assert found.shown[far] == pytest.approx(1)  # all lies in three dimensions
    ours = found.positions[far] / np.linalg.norm(found.positions[far], axis=1, keepdims=True)
    theirs = flat[far] / np.linalg.norm(flat[far], axis=1, keepdims=True)
    assert ours @ ours.T == pytest.approx(theirs @ theirs.T)  # angles are kept
    assert found.positions[~far] == pytest.approx(0)


@pytest.mark.parametrize("count", [1, 2])
def test_the_sphere_of_few_rows_is_flat(count):
    rows = np.eye(2)[:count]
    found = sphere(rows, np.zeros(2), resolution=0.1)
    assert found.positions.shape == (count, 3)
    assert found.shown == pytest.approx(1)
