"""Blocks without a shared folder: parts left in a store, and a matrix of which each worker reads its rows by ranges."""

import dataclasses
import functools
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import fleet_tasks
import numpy as np
import pytest
from conftest import plant_model
from test_blocks import Workers, assert_same, catalogue_of, equal, rows_with_patterns
from test_cache_store import Sky
from test_corpus import english, thai
from test_fleet import LEAN, until
from test_neighbors import gaussian, with_black_holes

from compute import fleet, metric, paths, recipes, results, results_blocks, results_density, results_geometry, smoke
from compute.blocks import distant, duplicates, pairs, parts, products, whereabouts
from compute.blocks import neighbors as by_blocks
from compute.blocks.shelf import InStore
from compute.blocks.whereabouts import Whereabouts
from compute.cache import audit, mirror, versions
from compute.cache.remote import Store
from compute.fleet import choice
from compute.models.weights import open_path
from compute.results_experiments import lives_of

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A place for the parts of one result in a store that this process keeps in memory."""
    monkeypatch.setenv("AZIMUTH_CACHE", f"memory://{tmp_path}/cache")
    monkeypatch.setenv("AZIMUTH_CACHE_LOCAL", str(tmp_path / "mirrors"))
    return InStore.of("compute.some.result", "0" * 64)


# Parts in a store


@pytest.mark.parametrize("dies_after", [None, 3, 11, 20])
def test_neighbours_are_the_same_bits_and_nothing_is_met_twice(shelf, tmp_path, monkeypatch, dies_after):
    rows, met, honest = with_black_holes()[:500], [], pairs._met
    monkeypatch.setattr(pairs, "_met", lambda *asked: met.append(asked[1:3]) or honest(*asked))
    catalogue = catalogue_of(rows, tmp_path)
    if dies_after is not None:
        with pytest.raises(ConnectionError):
            by_blocks.search(catalogue, 12, shelf, Workers(dies_after=dies_after), 90)
    assert_same(by_blocks.search(catalogue, 12, shelf, Workers(seed=1), 90).of_all(12), rows, 12)
    assert sorted(met) == [(near, far) for near in range(6) for far in range(near, 6)]
    assert not list(tmp_path.rglob("*.npz")), "a part lies on a disk"


def test_census_and_products_are_what_a_folder_gives(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "SHARE", 333)
    monkeypatch.setattr(products, "STRIP", 10)
    monkeypatch.setattr(products, "SHARE", products.ROWS)
    holed = catalogue_of(rows_with_patterns(), tmp_path, "holed")
    equal(duplicates.census(holed, shelf, Workers()), smoke.census(holed.stored()))
    catalogue, mu = catalogue_of(gaussian(9001, 24), tmp_path), np.full(24, 0.1)
    sigma = products.covariance(catalogue, mu, shelf, Workers(), np.float64)
    np.testing.assert_array_equal(sigma, products.covariance(catalogue, mu, tmp_path, Workers(), np.float64))
    for axes in (gaussian(24, 7, seed=1), gaussian(24, 7, seed=2)):  # of the second nothing is left from the first
        found = products.projections(catalogue, axes, mu, tmp_path / "z.npy", Workers(retries=1), shelf)
        expected = metric.project(catalogue.blocks(), axes, mu, np.empty((9001, 7), np.float32))
        np.testing.assert_array_equal(found, expected)


def test_a_damaged_part_is_made_again(shelf, tmp_path):
    rows = gaussian(400, 11)
    catalogue = catalogue_of(rows, tmp_path)
    by_blocks.search(catalogue, 7, shelf, Workers(), 100)
    there = mirror.place()
    cut, flipped, *_ = sorted(name for name in there.sizes() if "/pair-" in name)
    spoilt = bytearray(there.read(flipped))
    spoilt[len(spoilt) // 2] ^= 1
    there.put(there.read(cut)[:-40], cut)
    there.put(bytes(spoilt), flipped)
    assert_same(by_blocks.search(catalogue, 7, shelf, Workers(), 100).of_all(7), rows, 7)
    there.remove(cut)
    with pytest.raises(FileNotFoundError, match=r"has finished pair-0-0, but memory://\S+ does not hold it .*Run it"):
        parts.needed(InStore(cut.rpartition("/")[0]), "pair-0-0")


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A small model of several blocks, and the large results of it as a folder's tasks make them."""
    for room, name, value in ((by_blocks, "SMALLEST_BLOCK", 64), (duplicates, "SHARE", 90), (products, "SHARE", 100)):
        monkeypatch.setattr(room, name, value)
    monkeypatch.setattr(products, "ROWS", 50)
    catalogue = open_path(plant_model(tmp_path / "models" / "planted", [str(i) for i in range(300)])).catalogue
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "alone"))
    return catalogue, large(results_blocks.ahead(catalogue, Workers()))


def large(made) -> dict[tuple[str, str], dict]:
    """Results by name, and of the coordinates the matrix itself."""
    found = {}
    for result in made:
        value = {name: np.load(part) if name == "file" else part for name, part in result.items()}
        found[result.provenance.function, result.provenance.key] = value
    return found


def assert_alike(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        for part, expected in value.items():
            np.testing.assert_array_equal(other[name][part], expected, err_msg=f"{name[0]}: {part}")


def left() -> list[str]:
    """The parts that lie in the store."""
    return sorted(mirror.place().sizes("parts"))


def test_results_made_ahead_are_the_same_and_their_parts_go(planted, shelf, tmp_path, monkeypatch):
    catalogue, alone = planted
    monkeypatch.setenv("AZIMUTH_CACHE", f"memory://{tmp_path}/cache")
    with pytest.raises(ConnectionError):
        results_blocks.ahead(catalogue, Workers(dies_after=34))
    assert any("nearest_places" in name for name in left()) and audit.sweep() == [], "a rerun needs them"
    assert_alike(alone, large(results_blocks.ahead(catalogue, Workers(seed=3))))
    assert left() == []
    workers = Workers()
    assert_alike(alone, large(results_blocks.ahead(catalogue, workers)))
    assert not workers.done
    call = results.census.call(catalogue)
    parts.keep(InStore.of(call.function, call.key).below("1" * 64), "stray", x=np.zeros(1))
    (row,) = audit.sweep(delete=True)
    assert row["kind"] == "parts" and row["removed"] and left() == []


def test_of_two_clients_the_slower_takes_what_the_quicker_has_kept(planted, shelf, tmp_path, monkeypatch):
    catalogue, alone = planted
    monkeypatch.setenv("AZIMUTH_CACHE", f"memory://{tmp_path}/cache")
    quicker = Workers(seed=5)

    def slower(function, tasks, *, label):
        yield from Workers()(function, tasks, label=label)
        if function.__name__ == "matched" and not quicker.done:
            monkeypatch.setenv("AZIMUTH_CACHE_LOCAL", str(tmp_path / "another"))
            results_blocks.ahead(catalogue, quicker, "smoke")
            monkeypatch.setenv("AZIMUTH_CACHE_LOCAL", str(tmp_path / "mirrors"))

    (made,) = results_blocks.ahead(catalogue, slower, "smoke")
    assert quicker.done and mirror.name_of(made_entry := results.census.call(catalogue).entry() / "value.json")
    assert made_entry.is_file() and left() == []


# Rows by ranges


class Elsewhere:
    """A `spread` whose workers do not see the client's disk: every path that is sent leads nowhere there."""

    def __init__(self, spread):
        self.spread = spread

    def __call__(self, function, tasks, *, label):
        yield from self.spread(function, [tuple(map(self.blind, task)) for task in tasks], label=label)

    def blind(self, sent):
        if isinstance(sent, pairs.Job):
            return dataclasses.replace(sent, where=self.blind(sent.where))
        return dataclasses.replace(sent, path="/nowhere/at/all") if isinstance(sent, Whereabouts) else sent


def nowhere(catalogue) -> Whereabouts:
    return Elsewhere(None).blind(Whereabouts.of(catalogue))


@pytest.mark.parametrize("kind", ["BF16", "F32"])
def test_a_distant_matrix_is_the_same_rows(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(distant, "GAP", 200)
    monkeypatch.setattr(distant, "KEPT", 5000)
    if kind == "F32":
        catalogue = catalogue_of(with_black_holes(), tmp_path)
    else:
        catalogue = open_path(plant_model(tmp_path / "m", [str(i) for i in range(300)])).catalogue
    monkeypatch.setenv("AZIMUTH_MATRICES", f"local://{catalogue.path.parent}")
    found = whereabouts.opened(nowhere(catalogue))
    assert isinstance(found, distant.Distant) and found.fingerprint == catalogue.fingerprint
    assert found.stored_shape == catalogue.stored_shape
    for ids in ([], [7], [3, 250, 4, 4, 299, 0, 30], range(0, 300, 2)):
        np.testing.assert_array_equal(found.rows(ids), catalogue.rows(ids))
        np.testing.assert_array_equal(found._stored[np.array(ids, int)], catalogue.stored()[np.array(ids, int)])
    np.testing.assert_array_equal(found._stored[5], catalogue.stored()[5])
    for start, stop in ((0, 300), (17, 18), (40, 40), (17, 18)):
        np.testing.assert_array_equal(found.block(start, stop), catalogue.block(start, stop))
        np.testing.assert_array_equal(found.stored(start, stop), catalogue.stored(start, stop))
    assert sum(rows.nbytes for rows in found._stored._kept.values()) <= 5000
    with pytest.raises(IndexError):
        found.block(0, catalogue.n_tokens + 1)


def test_another_matrix_behind_the_url_is_refused(tmp_path, monkeypatch):
    catalogue = catalogue_of(gaussian(3000, 24), tmp_path)
    where, honest = nowhere(catalogue), catalogue.path.read_bytes()
    (tmp_path / "shelf").mkdir()
    file = tmp_path / "shelf" / "rows.npy"
    monkeypatch.setenv("AZIMUTH_MATRICES", str(tmp_path / "shelf"))
    with pytest.raises(FileNotFoundError, match=r"set AZIMUTH_MATRICES there to .* rows.npy lies \(below the present"):
        whereabouts.opened(where)
    file.write_bytes(honest[:-4])
    with pytest.raises(ValueError, match=r"shelf/rows.npy is not the matrix of rows .*: it has 288,124 bytes, not"):
        whereabouts.opened(where)
    for at in (128, len(honest) // 7, len(honest) - 1):  # in samples: the first, one within, the last
        spoilt = bytearray(honest)
        spoilt[at] ^= 1
        file.write_bytes(spoilt)
        with pytest.raises(ValueError, match="its rows are others. Copy the very file there"):
            whereabouts.opened(where)
    file.write_bytes(honest)
    np.testing.assert_array_equal(whereabouts.opened(where).block(5, 9), catalogue.block(5, 9))


class Ranges(http.server.SimpleHTTPRequestHandler):
    """A plain server of files; `knows` whether it heeds a range."""

    knows = True

    def do_GET(self):
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not (self.knows and asked):
            return super().do_GET()
        start, last = map(int, asked.groups())
        part = Path(self.translate_path(self.path)).read_bytes()[start : last + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_said):
        pass


def test_a_web_server_will_do_if_it_knows_ranges(tmp_path, monkeypatch):
    pytest.importorskip("aiohttp")
    catalogue = catalogue_of(gaussian(300, 24), tmp_path)
    where = nowhere(catalogue)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Ranges, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AZIMUTH_MATRICES", f"http://127.0.0.1:{server.server_port}")
        np.testing.assert_array_equal(whereabouts.opened(where).block(5, 99), catalogue.block(5, 99))
        whereabouts.opened.cache_clear()
        monkeypatch.setattr(Ranges, "knows", False)
        with pytest.raises(ValueError, match="rows.npy cannot be read by ranges: more came"):
            whereabouts.opened(where)
        with pytest.raises(FileNotFoundError, match="neither /nowhere/at/all nor a model of that name"):
            whereabouts.opened(dataclasses.replace(where, copy="other.npy"))
        server.shutdown()


# On workers with a disk each, and a store that fails


class Counting(Sky):
    """The store, which notes what is read of what."""

    def __init__(self):
        self.read: list[tuple[str, str | None]] = []  # (name, the header of the range)
        super().__init__()

    def __call__(self, environ, start_response):
        if environ["REQUEST_METHOD"] == "GET":
            self.read.append((environ["PATH_INFO"], environ.get("HTTP_RANGE")))
        return super().__call__(environ, start_response)

    def of(self, end: str) -> list[int]:
        """How many bytes were asked for, each time, of what ends so; the test fails where it was read as a whole."""
        spans = [span for name, span in self.read if name.endswith(end)]
        assert None not in spans, "read as a whole"
        return [1 + int(last) - int(first) for first, last in (span[6:].split("-") for span in spans)]


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """A store in which this process has its cache, and `s3://sky/models`; a text to train on."""
    import fsspec
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    found, folder = Counting(), tmp_path_factory.mktemp("sky")
    (folder / "stars.txt").write_text(english(), "utf-8")
    (folder / "thai.txt").write_text(thai(), "utf-8")
    settings = {
        "AWS_ACCESS_KEY_ID": "fake", "AWS_SECRET_ACCESS_KEY": "fake", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": found.url, "AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(folder / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        "AZIMUTH_CORPUS": str(folder / "stars.txt"), "AZIMUTH_CORPUS_UNSEEN": str(folder / "thai.txt"),
        "AZIMUTH_MATRICES": "s3://sky/models",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        fsspec.filesystem("s3").mkdir("sky")
        yield found
    found.server.shutdown()
    found.server.server_close()
    S3FileSystem.clear_instance_cache()


@pytest.fixture
def cloud(sky, tmp_path, monkeypatch):
    """The store in fair weather, as this machine's cache."""
    sky.fails = lambda count: False
    monkeypatch.setenv("AZIMUTH_CACHE", f"s3://sky/{tmp_path.name}")
    monkeypatch.setenv("AZIMUTH_CACHE_LOCAL", str(tmp_path / "client"))
    monkeypatch.setattr("compute.cache.remote.PAUSES", (0.001,) * 4)
    return sky


@pytest.fixture
def two(cloud, tmp_path, monkeypatch):
    """Two workers by name, each a process with a mirror of its own; a scheduler's client beside them."""
    from distributed import Client, LocalCluster

    started = []
    with LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=":0", silence_logs=50) as cluster:
        monkeypatch.setenv(choice.VARIABLE, cluster.scheduler_address)
        words = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--nthreads", "1"]
        words += ["--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
        for name in ("one", "two"):
            own = {"AZIMUTH_CACHE_LOCAL": str(tmp_path / name), "OMP_NUM_THREADS": "1"}
            own["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
            silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            started.append(subprocess.Popen([*words, "--name", name], env=os.environ | own, cwd=tmp_path, **silent))
        with Client(cluster.scheduler_address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            client.run(fleet_tasks.hastens)
            yield client
        for process in started:
            process.kill()
            process.wait()


def test_a_task_reads_its_blocks_and_not_the_matrix(cloud, tmp_path):
    rows, block = gaussian(4000, 64), 400
    catalogue = catalogue_of(rows, tmp_path)
    Store("s3://sky/models").put(catalogue.path, "rows.npy")
    shelf = InStore.of("compute.some.result", "0" * 64)
    parts.keep_array(shelf, "first", np.arange(4000))
    job, samples = pairs.Job(nowhere(catalogue), shelf, 5, block), distant.SAMPLES * distant.SAMPLE
    for near, far, blocks in ((2, 2, 1), (2, 7, 2), (2, 8, 1)):  # of the last, block 2 is still held
        cloud.read.clear()
        pairs.meet(job, near, far)
        assert sum(cloud.of("rows.npy")) == blocks * block * 256 - (far == 7) * block * 256 + (near == far) * samples
    assert samples < rows.nbytes / 7


def test_large_results_on_workers_without_the_model(planted, two, cloud, tmp_path, monkeypatch):
    """One of two workers is killed, and every tenth request fails."""
    catalogue, alone = planted
    monkeypatch.setenv("AZIMUTH_CACHE", f"s3://sky/{tmp_path.name}")
    monkeypatch.setenv("AZIMUTH_MODELS", str(tmp_path / "models"))
    Store("s3://sky/models").put(catalogue.path, "planted/model.safetensors")
    two.run(functools.partial(setattr, products, "ROWS", 50))
    workers, killed, begun = two.run(os.getpid), [], len(cloud.requests)
    cloud.read.clear()
    cloud.fails = lambda count: count % 10 == 0

    def spread(function, tasks, *, label):
        for found in fleet.spread(function, tasks, label=label):
            yield found
            if function.__name__ == "meet" and not killed:
                killed.append(min(workers.values()))
                os.kill(killed[0], signal.SIGKILL)

    made = large(results_blocks.ahead(catalogue, Elsewhere(spread)))
    assert killed and (len(cloud.requests) - begun) // 10 > 20
    assert_alike(alone, made)
    assert cloud.of("planted/model.safetensors") and cloud.of("coordinates.npy"), "the workers had it from elsewhere"
    assert left() == [] and not list(tmp_path.glob("one/**/*.safetensors"))
    monkeypatch.setenv("AZIMUTH_CACHE_LOCAL", str(tmp_path / "another"))
    assert results_density.nearest_places.call(catalogue, "causal").state() == "fresh"
    file = Path(results_geometry.coordinates(catalogue)["file"])
    assert file.is_relative_to(tmp_path / "another") and mirror.name_of(file).endswith("/files/coordinates.npy")


def test_trainings_of_a_sweep_go_on_from_the_store_on_another_machine(two, cloud, tmp_path, monkeypatch):
    asked = recipes.trainings([LEAN | {"steps": 150, "seed": seed} for seed in (5, 6)])
    with monkeypatch.context() as patch:
        patch.setenv("AZIMUTH_CACHE", str(tmp_path / "alone"))
        patch.setenv(choice.VARIABLE, "local")
        alone = dict(fleet.gather(asked, label="here"))
    two.run(fleet_tasks.hurries, 0.02)
    workers, struck = two.run(os.getpid), []

    def strike() -> None:
        saved = functools.partial(versions.every, mirror.place(), shelf=versions.WORKSPACES)
        until(lambda: len({version.key for version in saved() if version.state == "whole"}) == 2)
        os.kill(min(workers.values()), signal.SIGKILL)
        struck.append(len(cloud.requests))

    striker = threading.Thread(target=strike)
    striker.start()
    found = dict(fleet.gather(asked, label="there"))
    striker.join()
    fetched = [name for name in cloud.requests[struck[0] :] if re.match("GET .*/workspace/.*/files/", name)]
    assert fetched, "it began anew: the test is blind, or what was saved was not used"
    for place, one in alone.items():
        mine, theirs = lives_of(one), lives_of(found[place])
        assert mine.keys() == theirs.keys()
        assert all(np.array_equal(mine[name], theirs[name], equal_nan=True) for name in mine)
        assert one["final_loss"] == found[place]["final_loss"]
    mirrors = {name: list((tmp_path / name).glob("*/compute.results_goldilocks.*/*")) for name in ("one", "two")}
    assert any(mirrors.values()) and paths.cache_folder().is_relative_to(tmp_path / "client")
    assert not mirror.place().sizes("workspace"), "of what is kept no workspace is needed"
