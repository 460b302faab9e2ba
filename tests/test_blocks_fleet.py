"""The mathematics by blocks on real workers of a Dask cluster on loopback, one of which is killed."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from conftest import plant_model
from test_blocks import assert_same, catalogue_of
from test_neighbors import with_black_holes

from compute import results_blocks, results_density, smoke, survey
from compute.blocks import duplicates, products
from compute.blocks import neighbors as by_blocks
from compute.metric import covariance
from compute.models.weights import open_path

fleet = pytest.importorskip("compute.fleet")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two workers of one thread who share a cache with this process."""
    from distributed import LocalCluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AZIMUTH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PYTHONPATH", str(ROOT))
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=":0",
            memory_limit=700_000_000, silence_logs=50,
        ) as cluster:  # fmt: skip
            patch.setenv("AZIMUTH_SCHEDULER", cluster.scheduler_address)
            yield cluster


def test_neighbours_although_a_worker_is_killed(two, tmp_path):
    rows, killed = with_black_holes(), []

    def spread(function, tasks, *, label):
        for found in fleet.spread(function, tasks, label=label):
            yield found
            if function.__name__ == "meet" and not killed:
                killed.append(two.workers[0].pid)
                os.kill(killed[0], signal.SIGKILL)

    found = by_blocks.search(catalogue_of(rows, tmp_path), 20, tmp_path, spread, 64)
    assert killed
    assert_same(found.of_all(20), rows, 20)


def test_census_and_sums(two, tmp_path):
    rows = with_black_holes()
    catalogue = catalogue_of(rows, tmp_path)
    holes = duplicates.census(catalogue, tmp_path, fleet.spread)
    np.testing.assert_array_equal(holes.hole, smoke.census(catalogue.stored()).hole)
    mu = products.centroid(catalogue, fleet.spread)
    sigma = products.covariance(catalogue, mu, tmp_path, fleet.spread, np.float64)
    np.testing.assert_allclose(sigma, covariance(catalogue.blocks(), mu, np.float64), rtol=1e-9, atol=1e-15)


def test_results_made_ahead_on_workers(two, tmp_path):
    planted = open_path(plant_model(tmp_path / "planted", [str(i) for i in range(300)])).catalogue
    assert len(results_blocks.ahead(planted, fleet.spread)) == 5
    assert results_density.nearest_places.call(planted, "causal").state() == "fresh"


def test_a_survey_of_one_model_takes_all_workers(two, tmp_path, monkeypatch):
    model = str(plant_model(tmp_path / "planted", [str(i) for i in range(300)], seed=3))
    taken, honest = [], fleet.spread

    def spread(function, tasks, *, label):
        taken.append(function.__name__)
        yield from honest(function, tasks, label=label)

    monkeypatch.setattr(survey.fleet, "spread", spread)
    on_workers = survey.numbers(model, "density")
    assert {"hashed", "tile", "projected", "meet", "settle"} <= set(taken)
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "alone"))
    monkeypatch.setattr(survey.fleet, "active", lambda: False)
    alone = survey.numbers(model, "density")
    assert on_workers["black_holes"] == alone["black_holes"] and on_workers["unique_rows"] == alone["unique_rows"]
    assert on_workers["knn"]["density_median"] == pytest.approx(alone["knn"]["density_median"], rel=1e-5)
    assert on_workers["covariance_eigenvalues"] == pytest.approx(alone["covariance_eigenvalues"], rel=1e-11)


def test_a_matrix_that_no_worker_has_is_named(two, tmp_path):
    catalogue = catalogue_of(with_black_holes(), tmp_path, "gone")
    catalogue.fingerprint  # noqa: B018  known here before the file goes
    where = duplicates.Whereabouts.of(catalogue)
    (tmp_path / "gone.npy").unlink()
    with pytest.raises(FileNotFoundError, match="neither .*gone.npy nor a model of that name"):
        list(fleet.spread(products.sums, [(where, 0, 10)], label="sums of a matrix that went away"))
