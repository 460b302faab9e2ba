"""The synthetic galaxy of benchmarks/scale against the published numbers, and its arithmetic of times and volumes."""

import socket
import threading

import numpy as np
import pytest

from benchmarks import _galaxy, _projection
from benchmarks._watch import Watch
from compute import catalog, metric, results, smoke
from compute.blocks import neighbors


def test_the_spectrum_has_the_published_numbers():
    record, s = results.record(_galaxy.MODEL), _galaxy.spectrum(2_560)
    ridged = 1 / (s + record["ridge added to the covariance"])
    for name, value in (
        ("largest covariance eigenvalue", s[0]),
        ("second covariance eigenvalue", s[1]),
        ("smallest covariance eigenvalue", s[-1]),
        ("trace of the covariance", s.sum()),
        ("variance explained by the first 100 components", s[:100].sum() / s.sum()),
        ("metric eigenvalue mean", ridged.mean()),
        ("metric eigenvalue median", np.median(ridged)),
    ):
        assert value == pytest.approx(record[name], rel=5e-4), name
    assert (np.diff(s) <= 0).all()
    narrow = _galaxy.spectrum(64)
    assert len(narrow) == 64 and (np.diff(narrow) < 0).all()


def test_the_galaxy_has_its_holes_and_its_spectrum(tmp_path):
    catalogue, planted = _galaxy.plant(tmp_path, 5_000, 32)
    assert (catalogue.storage, catalogue.stored_shape) == ("BF16", (5_000, 32))
    assert smoke.census(catalogue.stored()).populations.tolist() == planted
    assert sum(_galaxy.populations(_galaxy.ROWS)) == results.record(_galaxy.MODEL)["tokens in black holes"]
    mu = catalog.centroid(catalogue.blocks())
    assert np.linalg.norm(mu) == pytest.approx(results.record(_galaxy.MODEL)["centroid norm"], rel=0.1)
    spectrum = metric.eigenbasis(mu, metric.covariance(catalogue.blocks(), mu)).spectrum
    assert np.median(spectrum / _galaxy.spectrum(32)) == pytest.approx(1, abs=0.1)


def test_times_follow_the_work_and_the_whole_tasks():
    of = (100_000, 1_280)
    alone = dict.fromkeys(_projection.stages(*of), 10.0)
    assert _projection.seconds(alone, of, of, 1) == pytest.approx(alone)
    twice = _projection.seconds(alone, of, (200_000, 1_280), 1)
    assert twice["neighbours"] == pytest.approx(40) and twice["census"] == pytest.approx(20)
    assert twice["eigenbasis"] == pytest.approx(10)
    many = _projection.seconds(alone, of, of, 10**6)
    for name, stage in _projection.stages(*of).items():
        assert many[name] == pytest.approx(10 / max(stage.tasks, 1))  # no task is cut in two


def test_volumes_of_a_matrix_of_a_million_rows():
    shape = (1_000_000, 8_192)
    taken = dict.fromkeys(_projection.stages(*shape), 3_600.0)
    found = _projection.volumes(shape, taken, 8, (2_000.0, 500.0))
    matrix = 2 * shape[0] * shape[1] / 1e9
    blocks = shape[0] / neighbors.block_rows(shape[0])
    assert blocks * matrix < found["read_gigabytes"] < 2 * blocks * matrix  # each block meets every other one, once
    tasks = sum(stage.tasks for stage in _projection.stages(*shape).values())
    assert found["scheduler_megabytes"] == pytest.approx((2_000 * tasks + 500 * 8 * 6 * 3_600) / 1e6)


def test_chatter_is_told_from_tasks():
    tasks, lives = [10, 200, 0, 30], [1.0, 50.0, 20.0, 2.0]
    carried = [round(3_000 * a + 700 * b) for a, b in zip(tasks, lives, strict=True)]
    assert _projection.chatter(carried, tasks, lives) == pytest.approx((3_000, 700))


def test_a_watch_counts_what_a_connection_carries():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as near, server.accept()[0] as far:
            with Watch(port) as watch:
                sender = threading.Thread(target=near.sendall, args=(b"x" * 300_000,))
                sender.start()
                received = 0
                while received < 300_000:
                    received += len(far.recv(1 << 16))
                sender.join()
                far.sendall(b"y" * 1_000)
                assert len(near.recv(1_000)) > 0
    assert 300_000 <= watch.traffic <= 301_000
    assert watch.here > 10e6 and watch.seconds > 0
