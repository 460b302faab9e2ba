"""Flights that were made by hand are read as what they are: carried, blown up, turned, at rest."""

import numpy as np
import pytest

from compute.goldilocks.flight import along, cosines, flight, plane, projected
from compute.rounding import round_nearest


def stored(rows: np.ndarray) -> np.ndarray:
    """Rows as bfloat16 bits."""
    return np.asarray(round_nearest(rows)).view(np.uint16)


def swarm(n: int = 400, dim: int = 16, seed: int = 42) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (n, dim))


def test_what_is_carried_as_a_whole_shares_all_its_motion():
    rows, way = swarm(), np.zeros(16)
    way[3] = 8.0  # large beside a cell
    found = flight([stored(rows + step * way) for step in range(4)])
    assert found["shared"][1:] == pytest.approx(1, abs=1e-3)
    assert found["coherence"][1:] == pytest.approx(1, abs=1e-3)
    assert found["drift"][1:] == pytest.approx(8, rel=1e-2) and found["travelled"][3] == pytest.approx(24, rel=1e-2)
    assert found["radius"] == pytest.approx(found["radius"][0], rel=1e-3)
    assert found["deformation"][0] == 0 and found["deformation"].max() < 0.1
    assert found["turn"][2:] == pytest.approx(1, abs=1e-3) and np.isnan(found["turn"][:2]).all()
    assert found["to_centroid"][3] > 0.95 > found["to_centroid_high"][0]


def test_what_is_blown_up_shares_none_of_it():
    rows = swarm()
    rows -= rows.mean(axis=0)
    found = flight([stored(rows * scale) for scale in (1.0, 2.0, 4.0)])
    assert found["shared"][1:].max() < 1e-3 and abs(found["coherence"][1:]).max() < 0.2
    assert found["radius"] / found["radius"][0] == pytest.approx([1, 2, 4])
    assert found["component"][1:] == pytest.approx(128)  # a doubling is one binade, 128 cells
    assert found["moved"][1:] == pytest.approx(1) and found["still"][1:] == pytest.approx(0)


def test_rest_is_told_from_motion():
    rows = swarm(n=4)
    after = rows.copy()
    after[0, 0] += 1.0
    found = flight([stored(rows), stored(after), stored(after)])
    assert found["still"][1:].tolist() == [0.75, 1.0] and found["moved"][1] == 1 / 64
    assert found["coherence"][1] == pytest.approx(1) and np.isnan(found["coherence"][2])
    assert found["drift"][2] == 0 and np.isnan(found["shared"][2]) and np.isnan(found["turn"][2])
    assert all(np.isnan(found[name][0]) for name in ("drift", "shared", "l1", "still"))


def test_rows_of_zeros_have_no_direction_and_give_no_warning():
    found = flight([np.zeros((3, 4), np.uint16)] * 2)
    assert np.isnan(found["to_centroid"]).all() and found["radius"].tolist() == [0, 0]


def test_the_way_along_is_that_of_the_leaders():
    start, end = np.zeros((4, 3)), np.array([[2.0, 0, 0], [4, 0, 0], [-1, 5, 0], [0, 0, 7]])
    leading = np.array([True, True, False, False])
    np.testing.assert_allclose(along(stored(start), stored(end), leading), [2, 4, -1, 0])
    assert np.isnan(along(stored(start), stored(start), leading)).all()


def test_the_plane_of_a_path_is_found_again():
    rows = np.random.default_rng(42).normal(0, 0.01, (300, 12))
    states = [rows + np.eye(12)[5] * 3 * step + np.eye(12)[9] * step**2 / 4 for step in range(8)]
    centre, axes, shares = plane(map(stored, states))
    assert set(np.abs(axes).argmax(axis=1)) <= {5, 9} and (axes[[0, 1], np.abs(axes).argmax(axis=1)] > 0).all()
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-9)
    assert shares[0] > shares[1] and shares.sum() == pytest.approx(1, abs=1e-3)
    flat = np.stack(list(projected(map(stored, states), centre, axes)))  # (8, 300, 2)
    np.testing.assert_allclose(flat.mean(axis=(0, 1)), 0, atol=1e-9)
    apart = np.linalg.norm(flat[7].mean(axis=0) - flat[0].mean(axis=0))
    assert apart == pytest.approx(np.hypot(21, 49 / 4), rel=1e-2)  # the plane holds the whole way


def test_cosines_of_what_has_no_direction():
    given = cosines(np.array([[1.0, 0], [0, 0], [1, 1]]), np.array([[2.0, 0], [1, 0], [-1, -1]]))
    assert given[[0, 2]] == pytest.approx([1, -1]) and np.isnan(given[1])
