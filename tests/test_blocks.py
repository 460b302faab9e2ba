"""The mathematics by blocks against the same in one process: other orders, failures, kills and damage included."""

import concurrent.futures
import multiprocessing
import pickle
import shutil
from typing import get_args

import numpy as np
import pytest
from conftest import plant_model
from test_neighbors import PLANTED, gaussian, with_black_holes

from compute import catalog, metric, neighbors, results, results_blocks, results_density, results_geometry, smoke
from compute.blocks import duplicates, pairs, parts, products, whereabouts
from compute.blocks import neighbors as by_blocks
from compute.blocks.shelf import shelf
from compute.blocks.whereabouts import Whereabouts, opened_array
from compute.bounds import Precision
from compute.distinct import distinct_rows
from compute.exact import squared_distances
from compute.models.weights import open_path


class Workers:
    """A `spread` in this process that completes its tasks in another order each time, and notes what it was sent."""

    def __init__(self, seed=7, dies_after=None, retries=0):
        self.random, self.dies_after, self.retries = np.random.default_rng(seed), dies_after, retries
        self.done, self.sent, self.received = [], 0, 0

    def __call__(self, function, tasks, *, label):
        tasks = list(tasks)
        for place in self.random.permutation(len(tasks)):
            if self.dies_after == len(self.done):
                raise ConnectionError("the scheduler went away")
            self.sent += len(pickle.dumps((function, tasks[place])))
            for _ in range(self.retries):  # a worker killed after it had done its work: the task is done again
                function(*tasks[place])
            result = function(*tasks[place])
            self.received += len(pickle.dumps(result))
            self.done.append((function.__name__, *tasks[place][1:]))
            yield int(place), result


class Pool:
    """A `spread` over processes of their own, as workers are."""

    def __init__(self, executor):
        self.executor = executor

    def __call__(self, function, tasks, *, label):
        running = {self.executor.submit(function, *task): place for place, task in enumerate(tasks)}
        for future in concurrent.futures.as_completed(running):
            yield running[future], future.result()


@pytest.fixture(scope="module")
def two_processes():
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
        yield Pool(executor)


def catalogue_of(rows, folder, name="rows"):
    np.save(folder / f"{name}.npy", rows)
    return opened_array(folder / f"{name}.npy", name)


def assert_same(found, rows, k):
    reference = neighbors.nearest(rows, k)
    np.testing.assert_array_equal(found.ids, reference.ids)
    np.testing.assert_array_equal(found.distances, reference.distances)


@pytest.mark.parametrize("block", [100, 256])
@pytest.mark.parametrize("name", PLANTED)
def test_neighbours_are_the_same_bits(name, block, tmp_path):
    rows = PLANTED[name]
    found = by_blocks.search(catalogue_of(rows, tmp_path), 20, tmp_path, Workers(), block)
    assert_same(found.of_all(20), rows, 20)
    np.testing.assert_array_equal(found.distinct.member_of, distinct_rows(rows).member_of)


@pytest.mark.parametrize("k", [1, 30, 398])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_order_of_completion_gives_the_same(seed, k, tmp_path):
    rows = with_black_holes()[:399]
    found = by_blocks.search(catalogue_of(rows, tmp_path), k, tmp_path, Workers(seed), 64)
    assert_same(found.of_all(k), rows, k)


def test_tiles_and_blocks_that_do_not_divide(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "TILE", 50)
    rows = np.vstack([gaussian(330, 9), with_black_holes()[280:, :9]])
    found = by_blocks.search(catalogue_of(rows, tmp_path), 12, tmp_path, Workers(), 130)
    assert_same(found.of_all(12), rows, 12)


def test_real_tokens_are_the_same_bits(smollm2, tmp_path, two_processes):
    rows = smollm2.catalogue.rows(np.arange(0, 49152, 29))
    found = by_blocks.search(catalogue_of(rows, tmp_path), 20, tmp_path, two_processes, 300)
    assert_same(found.of_all(20), rows, 20)


def test_nothing_but_duplicates(tmp_path):
    rows = np.full((200, 4), 2.5, np.float32)
    found = by_blocks.search(catalogue_of(rows, tmp_path), 5, tmp_path, Workers(), 64)
    assert_same(found.of_all(5), rows, 5)


def candidates(folder):
    files = [parts.read(shelf(file.parent), file.stem) for file in folder.glob("*/pair-*.npz")]
    return sum(len(kept[name]) for kept in files for name in kept if name.startswith("ids"))


def test_what_others_have_found_spares_candidates_and_is_not_needed(tmp_path, monkeypatch):
    rows = gaussian(600, 16)
    for name in ("with", "without"):
        if name == "without":
            monkeypatch.setattr(pairs.Candidates, "reach", lambda self, k: np.full(len(self.squared), np.inf))
        (tmp_path / name).mkdir()
        found = by_blocks.search(catalogue_of(rows, tmp_path), 10, tmp_path / name, Workers(), 100)
        assert_same(found.of_all(10), rows, 10)
    assert candidates(tmp_path / "with") < 0.6 * candidates(tmp_path / "without")


def test_a_reach_too_short_is_noticed(tmp_path, monkeypatch):
    """The comparison with one process can fail: half the true reach loses neighbours."""
    honest = pairs.Candidates.reach
    monkeypatch.setattr(pairs.Candidates, "reach", lambda self, k: honest(self, k) / 2)
    rows = gaussian(300, 5)
    with pytest.raises((AssertionError, ValueError)):
        assert_same(by_blocks.search(catalogue_of(rows, tmp_path), 8, tmp_path, Workers(), 64).of_all(8), rows, 8)


@pytest.mark.parametrize("precision", get_args(Precision))
@pytest.mark.parametrize("cut", [1, 70, 150])
@pytest.mark.parametrize("name", ["a lattice full of ties", "tight clusters", "all sizes", "huge", "subnormal"])
def test_nobody_is_missed_who_is_exactly_within_reach(name, cut, precision, monkeypatch):
    """Reach is the very distance of a neighbour, tied or not: he and all who are nearer have to be there."""
    monkeypatch.setattr(pairs, "quickest", lambda: precision)
    monkeypatch.setattr(pairs, "TILE", 40)
    rows = PLANTED[name][distinct_rows(PLANTED[name]).first[:150]]
    everybody, k = np.arange(len(rows)), 9
    squared = squared_distances(rows, *np.indices((150, 150)).reshape(2, -1)).reshape(150, 150)
    beyond = everybody >= cut
    squared[(beyond[:, None] == beyond) if cut < 150 else np.eye(150, dtype=bool)] = np.inf
    reach = np.sort(squared, axis=1)[everybody, everybody % 12]
    reach[::7] = np.inf
    spaced, places = rows.repeat(2, axis=0), 2 * everybody + 1  # equal rows lie between
    others, found = pairs._searched(spaced, places, cut, k, reach)
    for row in everybody:
        nearest = np.lexsort((everybody, squared[row]))[:k]
        nearest = nearest[np.isfinite(squared[row, nearest]) & (squared[row, nearest] <= reach[row])]
        assert others[row, : len(nearest)].tolist() == nearest.tolist()
        assert found[row, : len(nearest)].tolist() == squared[row, nearest].tolist()


@pytest.mark.parametrize("dies_after", [3, 11, 20, 26])
def test_a_lost_scheduler_costs_what_was_under_way(dies_after, tmp_path):
    rows = gaussian(500, 17)
    catalogue = catalogue_of(rows, tmp_path)
    with pytest.raises(ConnectionError):
        by_blocks.search(catalogue, 12, tmp_path, Workers(dies_after=dies_after), 90)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*/pair-*.npz")}
    assert_same(by_blocks.search(catalogue, 12, tmp_path, Workers(seed=1), 90).of_all(12), rows, 12)
    assert {file: file.stat().st_mtime_ns for file in before} == before  # nothing was met twice


def test_a_task_that_is_done_again_changes_nothing(tmp_path):
    rows = with_black_holes()
    found = by_blocks.search(catalogue_of(rows, tmp_path), 9, tmp_path, Workers(retries=2), 200)
    assert_same(found.of_all(9), rows, 9)


def test_a_damaged_part_is_made_again(tmp_path):
    rows = gaussian(400, 11)
    catalogue = catalogue_of(rows, tmp_path)
    reference = by_blocks.search(catalogue, 7, tmp_path, Workers(), 100)
    one, two, *_ = sorted(tmp_path.glob("*/pair-*.npz"))
    one.write_bytes(one.read_bytes()[:-40])
    spoilt = bytearray(two.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    two.write_bytes(spoilt)
    again = by_blocks.search(catalogue, 7, tmp_path, Workers(), 100)
    np.testing.assert_array_equal(again.among.ids, reference.among.ids)
    np.testing.assert_array_equal(again.among.distances, reference.among.distances)


def test_a_folder_that_is_not_shared_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PATIENCE", 0.3)
    rows = gaussian(200, 3)

    def elsewhere(function, tasks, *, label):
        for place, result in Workers()(function, tasks, label=label):
            shutil.rmtree(tmp_path / "parts")
            (tmp_path / "parts").mkdir()
            yield place, result

    (tmp_path / "parts").mkdir()
    with pytest.raises(FileNotFoundError, match="one mounted folder for all workers"):
        by_blocks.search(catalogue_of(rows, tmp_path), 4, tmp_path / "parts", elsewhere)


def test_bad_asks_are_named(tmp_path):
    rows = gaussian(200, 3)
    with pytest.raises(ValueError, match="between 1 and 199"):
        by_blocks.search(catalogue_of(rows, tmp_path), 200, tmp_path, Workers())
    rows[117, 1] = np.nan
    with pytest.raises(ValueError, match="row 117 is not finite"):
        by_blocks.search(catalogue_of(rows, tmp_path, "bad"), 2, tmp_path, Workers())


def test_another_matrix_at_the_same_path_is_refused(tmp_path):
    where = Whereabouts.of(catalogue_of(gaussian(50, 3), tmp_path))
    np.save(tmp_path / "rows.npy", gaussian(50, 3, seed=1))
    with pytest.raises(ValueError, match="is not the matrix that was asked for"):
        whereabouts.opened(where)
    (tmp_path / "rows.npy").unlink()
    with pytest.raises(FileNotFoundError, match="Mount the folder there, or fetch the model"):
        whereabouts.opened(where)
    np.save(tmp_path / "wide.npy", np.zeros((3, 3)))
    with pytest.raises(ValueError, match="C-ordered float32 matrix"):
        opened_array(tmp_path / "wide.npy", "wide")


def test_blocks_are_neither_too_few_nor_too_large():
    sizes = {n_rows: by_blocks.block_rows(n_rows) for n_rows in (300, 16_384, 49_152, 151_936, 1_000_000)}
    assert sizes == {300: 4096, 16_384: 4096, 49_152: 12_288, 151_936: 12_288, 1_000_000: 12_288}


def test_little_travels(tmp_path):
    """Names, numbers and receipts: no row, no list of candidates, whatever the size of the rows."""
    rows, workers = gaussian(2000, 64), Workers()
    by_blocks.search(catalogue_of(rows, tmp_path), 20, tmp_path, workers, 350)
    tasks = len(workers.done)
    assert tasks < 40
    assert workers.sent < 700 * tasks and workers.received < 50 * tasks


def equal(one, other):
    assert one.populations.tolist() == other.populations.tolist()
    assert [ids.tolist() for ids in one.members] == [ids.tolist() for ids in other.members]
    for name in ("hole", "populations", "zero_rows"):
        left, right = getattr(one, name), getattr(other, name)
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    assert (one.unique_rows, one.tokens_in_holes) == (other.unique_rows, other.tokens_in_holes)


def rows_with_patterns():
    rows = with_black_holes()
    rows[5, 0] = np.uint32(0x7FC00001).view(np.float32)  # two NaNs of different payload, and one of them twice
    rows[6] = rows[5]
    rows[7] = rows[5]
    rows[7, 0] = np.uint32(0x7FC00002).view(np.float32)
    rows[660:663] = 0.0
    return rows


@pytest.mark.parametrize("share", [50, 333, 5000])
def test_the_census_is_the_same(share, tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "SHARE", share)
    catalogue = catalogue_of(rows_with_patterns(), tmp_path)
    equal(duplicates.census(catalogue, tmp_path, Workers()), smoke.census(catalogue.stored()))


@pytest.mark.parametrize("kept_bits", [0, 2])
def test_hashes_that_collide_change_nothing(kept_bits, tmp_path, monkeypatch):
    honest, shift = smoke.row_hashes, np.uint64(64 - kept_bits)
    weak = (lambda words: honest(words) >> shift << shift) if kept_bits else lambda words: np.zeros(len(words), "u8")
    monkeypatch.setattr(smoke, "row_hashes", weak)
    monkeypatch.setattr(duplicates, "SHARE", 100)
    rows = with_black_holes()
    catalogue = catalogue_of(rows, tmp_path)
    equal(duplicates.census(catalogue, tmp_path, Workers()), smoke.census(catalogue.stored()))
    first, _ = duplicates.firsts(Whereabouts.of(catalogue), len(rows), shelf(tmp_path), "values", Workers())
    np.testing.assert_array_equal(duplicates.distinct(first).member_of, distinct_rows(rows).member_of)


def test_a_census_without_holes_and_of_a_real_matrix(smollm2, tmp_path, two_processes):
    catalogue = catalogue_of(gaussian(300, 4), tmp_path)
    equal(duplicates.census(catalogue, tmp_path, Workers()), smoke.census(catalogue.stored()))
    equal(duplicates.census(smollm2.catalogue, tmp_path, two_processes), smoke.census(smollm2.catalogue.stored()))


@pytest.mark.parametrize("strip", [7, 24, 640])
def test_covariance_within_its_tolerance(strip, tmp_path, monkeypatch):
    monkeypatch.setattr(products, "STRIP", strip)
    monkeypatch.setattr(products, "SHARE", 2 * products.ROWS)
    rows = gaussian(9000, 24) * np.geomspace(1, 1e-3, 24, dtype=np.float32) + np.float32(0.3)
    catalogue = catalogue_of(rows, tmp_path)
    mu = products.centroid(catalogue, Workers())
    np.testing.assert_array_equal(mu, catalog.centroid(catalogue.blocks()))
    for dtype, tolerance in ((np.float64, 6e-13), (np.float32, 6e-13 * 2**29)):
        (tmp_path / dtype.__name__).mkdir()
        found = products.covariance(catalogue, mu, tmp_path / dtype.__name__, Workers(), dtype)
        reference = metric.covariance(catalogue.blocks(), mu, dtype)
        size = np.sqrt(np.outer(np.diag(reference), np.diag(reference)))
        assert (np.abs(found - reference) <= tolerance * size).all()
        np.testing.assert_array_equal(found, found.T)
        again = products.covariance(catalogue, mu, tmp_path / f"{dtype.__name__}", Workers(3), dtype)
        np.testing.assert_array_equal(again, found)


def test_a_covariance_does_not_depend_on_order_or_workers(tmp_path, monkeypatch, two_processes):
    monkeypatch.setattr(products, "STRIP", 10)
    catalogue, mu, found = catalogue_of(gaussian(5000, 24), tmp_path), np.zeros(24), []
    for name, spread in (("a", Workers(0)), ("b", Workers(1)), ("c", two_processes)):
        (tmp_path / name).mkdir()
        found.append(products.covariance(catalogue, mu, tmp_path / name, spread))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_quantized_rows_have_no_columns_but_a_covariance(tmp_path):
    stored = np.random.default_rng(0).integers(0, 2, (50, 2 * 34), np.uint8)  # two blocks of Q8_0 a row, scales tiny
    stored[:, [0, 34]], stored[:, [1, 35]] = 0, 60  # a scale of 1
    (tmp_path / "q.npy").write_bytes(b"")
    whole = catalogue_of(gaussian(2, 2), tmp_path)
    fields = vars(whole) | {"storage": "Q8_0", "n_tokens": 50, "dim": 64, "_stored": stored}
    quantized = type(whole)(**fields)
    part = products._centred(quantized, 3, 40, (5, 60), np.ones(64), np.float64)
    np.testing.assert_array_equal(part, quantized.block(3, 40)[:, 5:60].astype(np.float64) - 1)


def test_projections_are_the_same_bits(tmp_path, monkeypatch, two_processes):
    monkeypatch.setattr(products, "SHARE", products.ROWS)
    rows, axes = gaussian(9001, 24), gaussian(24, 7, seed=1).astype(np.float64)
    catalogue, origin = catalogue_of(rows, tmp_path), np.full(24, 0.25)
    reference = metric.project(catalogue.blocks(), axes, origin, np.empty((9001, 7), np.float32))
    for name, spread in (("scrambled", Workers(retries=1)), ("pool", two_processes)):
        found = products.projections(catalogue, axes, origin, tmp_path / f"{name}.npy", spread)
        np.testing.assert_array_equal(found, reference)


def test_a_centroid_of_what_is_not_finite(tmp_path):
    rows = gaussian(100, 3)
    rows[40] = np.inf
    with pytest.raises(ValueError, match="row 40 is not finite"):
        products.centroid(catalogue_of(rows, tmp_path), Workers())


@pytest.fixture
def planted(tmp_path, monkeypatch):
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "cache"))
    return open_path(plant_model(tmp_path / "planted", [str(i) for i in range(300)])).catalogue


def test_results_made_ahead_are_those_that_chapters_find(planted, tmp_path, monkeypatch):
    expected = {}
    for call in (
        results.census.call(planted),
        results.eigenbasis.call(planted),
        results_density.nearest_places.call(planted, "gamma"),
    ):
        expected[call.function, call.key] = call.run()
    z = np.array(results_geometry.mapped(results_geometry.coordinates(planted)))
    causal = results_density.nearest_places(planted, "causal")["places"]

    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "other"))
    made = results_blocks.ahead(planted, Workers())
    assert len(made) == 5
    by_key = {(result.provenance.function, result.provenance.key): result for result in made}
    for name, result in expected.items():
        assert list(by_key[name]) == list(result)
        for part, value in result.items():
            np.testing.assert_allclose(by_key[name][part], value, rtol=1e-11, atol=1e-13) if part in (
                "spectrum", "axes", "trace", "participation_ratio", "condition_number", "floor"
            ) else assert_equal(by_key[name][part], value)  # fmt: skip
    np.testing.assert_allclose(results_geometry.mapped(results_geometry.coordinates(planted)), z, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(results_density.nearest_places(planted, "causal")["places"], causal)
    assert results_density.nearest_places.call(planted, "causal").state() == "fresh"
    workers = Workers()
    assert len(results_blocks.ahead(planted, workers)) == 5 and not workers.done  # all of it was kept
    assert not list((tmp_path / "other" / "workspace").glob("*/*"))


def assert_equal(one, other):
    if isinstance(other, np.ndarray):
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


def test_depth(planted):
    assert [made.provenance.function for made in results_blocks.ahead(planted, Workers(), "metric")] == [
        "compute.results.census", "compute.results.eigenbasis", "compute.results_geometry.coordinates"
    ]  # fmt: skip
