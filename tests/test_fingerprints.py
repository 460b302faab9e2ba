"""Fingerprints of tensors: of their contents alone, remembered for the very file, and never longer."""

import os
import time

import pytest
from golden.handmade import HEAD, INPUT, bits, folder, lone, plain_hash

from compute.models import weights
from compute.models.weights import open_path


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "cache"))


def _aged(path):
    """Lets a file look as if it had been left alone for a minute (ctime cannot be set, so the clock is)."""
    os.utime(path, (time.time() - 60,) * 2)
    return path


@pytest.fixture
def settled(monkeypatch):
    monkeypatch.setattr(weights.fingerprints, "SETTLED", -1.0)


def test_fingerprint_is_of_storage_shape_and_bits_and_of_nothing_else(tmp_path):
    stored = bits(100, 6)
    alone = open_path(lone(tmp_path / "a.safetensors", HEAD, "BF16", stored), label="one").catalogue
    within = folder(tmp_path / "b", {}, {"x.safetensors": {"pad": bits(3), INPUT: stored}})
    assert alone.fingerprint == open_path(within, label="two").catalogue.fingerprint == plain_hash("BF16", stored)
    others = [lone(tmp_path / "c", HEAD, "F16", stored), lone(tmp_path / "d", HEAD, "BF16", stored.reshape(200, 3))]
    stored[99, 5] ^= 1
    others.append(lone(tmp_path / "e", HEAD, "BF16", stored))
    found = {open_path(path).catalogue.fingerprint for path in others}
    assert len(found | {alone.fingerprint}) == 4


def test_fingerprint_is_remembered_and_a_damaged_memory_is_as_good_as_none(tmp_path, settled, monkeypatch):
    path = lone(tmp_path / "a.safetensors", HEAD, "BF16", bits(100, 6))
    expected = open_path(path).catalogue.fingerprint
    [memo] = (tmp_path / "cache" / "fingerprints").iterdir()
    whole = memo.read_bytes()
    for damaged in (b"", b"\0", b"[]", b"{}", whole[:-3], whole.replace(expected.encode(), b"0" * 63), b"\xff"):
        memo.write_bytes(damaged)
        assert open_path(path).catalogue.fingerprint == expected
        assert memo.read_bytes() == whole

    def refuse(self):
        raise AssertionError("hashed again")

    monkeypatch.setattr(weights.Catalogue, "_hash", refuse)
    assert open_path(path).catalogue.fingerprint == expected


def test_fingerprint_follows_the_file(tmp_path, settled):
    first, second = bits(100, 6), bits(100, 6, seed=1)
    path = lone(tmp_path / "a.safetensors", HEAD, "BF16", first)
    before = path.stat()
    opened = open_path(path).catalogue
    assert opened.fingerprint == plain_hash("BF16", first)
    time.sleep(0.02)
    changed = path.read_bytes()[: -first.nbytes] + second.tobytes()
    path.write_bytes(changed)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # the same length, inode and mtime as before
    assert open_path(path).catalogue.fingerprint == plain_hash("BF16", second)


def test_an_open_file_that_is_written_over_has_the_fingerprint_of_what_it_holds_now(tmp_path, settled):
    first, second = bits(100, 6), bits(100, 6, seed=1)
    path = lone(tmp_path / "a.safetensors", HEAD, "BF16", first)
    opened = open_path(path).catalogue
    assert opened.fingerprint == plain_hash("BF16", first)
    with path.open("r+b") as file:
        file.seek(opened.offset)
        file.write(second.tobytes())
    assert opened.fingerprint == open_path(path).catalogue.fingerprint == plain_hash("BF16", second)
    path.unlink()
    assert opened.fingerprint == plain_hash("BF16", second)


def test_a_file_put_in_the_place_of_an_open_one_does_not_get_its_fingerprint(tmp_path, settled):
    first, second = bits(100, 6), bits(100, 6, seed=1)
    path = lone(tmp_path / "a.safetensors", HEAD, "BF16", first)
    opened = open_path(path).catalogue
    os.replace(lone(tmp_path / "b.safetensors", HEAD, "BF16", second), path)
    assert opened.fingerprint == plain_hash("BF16", first)
    assert open_path(path).catalogue.fingerprint == plain_hash("BF16", second)


def test_a_file_just_written_is_not_remembered(tmp_path):
    path = lone(tmp_path / "a.safetensors", HEAD, "BF16", bits(100, 6))
    assert open_path(_aged(path)).catalogue.fingerprint  # its ctime is now, whatever its mtime says
    assert not (tmp_path / "cache").exists()
