"""The cache in a store behind a URL: what others see, when requests fail, when writers meet, die, or lie."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import planets
import pytest
from planets import child, same, wait_for

from compute import integrity, paths
from compute.cache import DamageWarning, audit, mirror, remote, shipping, store, versions

planet = planets.planet
SECRET = "wJalrXUtnFEMIfakefakefake"


class Sky:
    """A server of S3 on loopback: moto's, behind weather of the test's making."""

    def __init__(self):
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._serve = DomainDispatcherApplication(create_backend_app)
        self.requests: list[str] = []
        self.fails = lambda count: False  # of a request's number: whether it fails
        self.status, self.code = "503 Service Unavailable", "SlowDown"
        self.server = make_server("127.0.0.1", 0, self, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __call__(self, environ, start_response):
        self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if self.fails(len(self.requests)):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(self.status, [("Content-Type", "application/xml")])
            return [f"<Error><Code>{self.code}</Code><Message>not now</Message></Error>".encode()]
        return self._serve(environ, start_response)


@pytest.fixture(scope="module")
def sky():
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()  # fsspec keeps its clients, and with them the address of an earlier server
    found = Sky()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def cloud(sky, planet, tmp_path, monkeypatch):
    """The planet, with its cache in a bucket of its own."""
    import fsspec

    sky.fails = lambda count: False
    settings = {
        "AWS_ACCESS_KEY_ID": "fake", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": sky.url, "AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AZIMUTH_CACHE": f"s3://{tmp_path.name.replace('_', '-')}/deep/prefix",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(remote, "PAUSES", (0.001,) * 4)
    monkeypatch.setattr(versions, "RECENT", 0.0)
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    fsspec.filesystem("s3").mkdir(tmp_path.name.replace("_", "-"))
    machine(monkeypatch, tmp_path, "here")
    return planet


def machine(monkeypatch, tmp_path: Path, name: str) -> None:
    """Goes to another machine: one with a mirror of its own."""
    monkeypatch.setenv("AZIMUTH_CACHE_LOCAL", str(tmp_path / name))


def there() -> dict[str, int]:
    """What the store holds, by name."""
    return mirror.place().sizes()


def harm(name: str, how: str) -> None:
    """Damages one thing in the store."""
    place = mirror.place()
    content = bytearray(place.read(name))
    if how == "flipped":
        content[len(content) // 2] ^= 4
    if how == "gone":
        place.remove(name)
    else:
        place.put(bytes(content[:-3] if how == "cut" else content), name)


# The life of a result


def test_what_one_machine_computes_the_others_read(cloud, tmp_path, monkeypatch, sky):
    module = cloud.load()
    f, files = module.f, module.files
    assert f.call().state() == "missing"
    right, written = f(), files(4)
    assert paths.cache_folder().is_relative_to(tmp_path / "here") and f.call().state() == "fresh"
    machine(monkeypatch, tmp_path, "elsewhere")
    begun = len(sky.requests)
    assert f.call().state() == "fresh" and not f.call().entry().exists(), "to look is not to fetch"
    assert audit.status([("f", f.call())])[0]["bytes"] > 1000 and f.call().read().provenance.layer == "cache"
    assert same(f(), right) and f().provenance == right.provenance
    assert files(4)["numbers"].read_text() == "0 1 2 3" and files(4)["numbers"].is_relative_to(tmp_path / "elsewhere")
    assert cloud.runs() == 1 and cloud.runs("files") == 1 and written["n"] == 4
    assert {name.rpartition("/")[2] for name in there()} >= {store.SUMS, store.RECORD, store.TENSORS, "numbers.txt"}
    assert not [request for request in sky.requests[begun:] if not request.startswith(("GET", "HEAD"))]
    before = len(sky.requests)
    f(), files(4)
    assert len(sky.requests) == before, "what is here already asks the store for nothing"


def test_to_list_hundreds_of_results_takes_few_requests(cloud, tmp_path, monkeypatch, sky):
    f = cloud.load().f
    f(3)
    machine(monkeypatch, tmp_path, "elsewhere")
    monkeypatch.setattr(versions, "RECENT", 60.0)
    begun = len(sky.requests)
    assert [f.call(n).state() for n in range(200)] == ["missing"] * 3 + ["fresh"] + ["missing"] * 196
    assert len(sky.requests) - begun == 2, "one listing, one record"
    assert f(3)["x"] == 3 and f(4)["x"] == 4 and f.call(4).state() == "fresh", "results themselves never rest on it"


def test_the_marker_is_put_last(cloud, sky):
    begun = len(sky.requests)
    cloud.load().files(3)
    put = [name for name in sky.requests[begun:] if name.startswith("PUT")]
    assert len(put) == 4 and put[-1].endswith(f"/{store.SUMS}") and sum(store.SUMS in name for name in put) == 1


def test_an_entry_without_its_marker_is_not_there(cloud, tmp_path, monkeypatch):
    f = cloud.load().f
    f()
    (marker,) = [name for name in there() if name.endswith(store.SUMS)]
    mirror.place().remove(marker)
    machine(monkeypatch, tmp_path, "elsewhere")
    assert f.call().state() == "missing" and f.call().read() is None
    f()
    assert cloud.runs() == 2
    assert audit.sweep() == [], "it may still be on its way"
    monkeypatch.setattr("compute.cache.stock.ABANDONED", -1)
    (row,) = audit.sweep(delete=True)
    assert row["kind"] == "unfinished" and row["path"].startswith("s3://") and row["removed"] and audit.sweep() == []


def test_other_code_is_stale_and_its_entries_can_go(cloud, tmp_path, monkeypatch):
    cloud.load().f()
    machine(monkeypatch, tmp_path, "elsewhere")
    cloud.edit("return x + 1", "return x + 2")
    call = cloud.load().f.call()
    told = audit.why("f", call)
    assert told["state"] == "stale" and told["entry"].startswith("s3://")
    assert told["differs"]["changed"] == ["planet.a.helper"]
    call.run()
    (row,) = audit.sweep()
    assert row["kind"] == "other code" and row["function"] == "planet.a.f" and not row["removed"]
    assert audit.sweep(older_than=1) == [] and len(audit.sweep(delete=True)) == 1 and audit.sweep() == []
    assert call.state() == "fresh" and audit.why("f", call)["origin"]["threads"] >= 1


def test_what_lies_in_a_store_can_be_shipped(cloud, tmp_path, monkeypatch):
    cloud.load().f()
    machine(monkeypatch, tmp_path, "elsewhere")
    (tmp_path / "results").mkdir()
    call = cloud.load().f.call()
    assert shipping.ship("f", call)["key"] == call.key
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "empty"))
    assert call.state() == "shipped" and call.run().provenance.layer == "shipped" and cloud.runs() == 1


# Requests that fail


def test_a_store_that_fails_every_tenth_request_costs_nothing_but_time(cloud, tmp_path, monkeypatch, sky):
    begun = len(sky.requests)
    sky.fails = lambda count: count % 10 == 0
    module = cloud.load()
    right = [module.f(n) for n in range(5)]
    machine(monkeypatch, tmp_path, "elsewhere")
    assert all(same(module.f(n), right[n]) for n in range(5)) and cloud.runs() == 5
    assert [row["damage"] for row in audit.verify()] == [None] * 10
    assert (len(sky.requests) - begun) // 10 >= 5, "too few requests failed for this to prove anything"


@pytest.mark.parametrize(
    ("status", "code", "tries"),
    [("503 Service Unavailable", "SlowDown", 5), ("403 Forbidden", "AccessDenied", 1)],
)
def test_a_store_that_always_fails_is_one_clear_error(cloud, monkeypatch, sky, status, code, tries):
    f = cloud.load().f
    monkeypatch.setattr(sky, "status", status)
    monkeypatch.setattr(sky, "code", code)
    wait = len(sky.requests)
    sky.fails = lambda count: True
    with pytest.raises(OSError, match=r"the store s3://\S+ failed at listing planet.a.f/\w+, ") as caught:
        f()
    said = str(caught.value)
    assert f"{tries} time" in said and "not now" in said and "run this again" in said
    assert str(paths.cache_folder()) in said
    assert SECRET not in said and caught.value.__cause__ is None and caught.value.__suppress_context__
    assert len(sky.requests) - wait == tries and cloud.runs() == 0, "it is asked before anything is computed"


def test_what_could_not_be_sent_is_kept_and_sent_the_next_time(cloud, tmp_path, monkeypatch, sky):
    files = cloud.load().files
    sky.fails = lambda count: sky.requests[-1].startswith("PUT") and sky.requests[-1].endswith(store.SUMS)
    with pytest.raises(OSError, match=r"failed at writing planet.a.files/\S+/SHA256SUMS, 5 times"):
        files(3)
    assert files.call(3).state() == "fresh"
    with pytest.raises(OSError, match="failed at writing"):
        files(3)
    sky.fails = lambda count: False
    assert files(3)["n"] == 3 and cloud.runs("files") == 1
    machine(monkeypatch, tmp_path, "elsewhere")
    assert files(3)["n"] == 3 and cloud.runs("files") == 1


def test_a_store_that_is_not_there_at_all(cloud, monkeypatch):
    from s3fs import S3FileSystem

    f = cloud.load().f
    monkeypatch.setenv("AZIMUTH_CACHE", "s3://no-such-bucket/x")
    with pytest.raises(OSError, match="1 time: FileNotFoundError: The specified bucket does not exist"):
        f()
    S3FileSystem.clear_instance_cache()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and nobody listens
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(OSError, match="2 times: EndpointConnectionError: Could not connect"):
            f()
    S3FileSystem.clear_instance_cache()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(OSError, match="1 time: NoCredentialsError.*AWS_PROFILE"):
        f()
    S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("kind", ["unheard", "lacking"])
def test_a_url_that_nothing_here_understands_is_refused(planet, monkeypatch, kind):
    from fsspec.registry import known_implementations

    lacking = {"class": "no_such_package.FileSystem", "err": "Install no_such_package"}
    monkeypatch.setitem(known_implementations, "lacking", lacking)
    monkeypatch.setenv("AZIMUTH_CACHE", f"{kind}://user:hunter2@host/x")
    why = {"unheard": "Protocol not known: unheard", "lacking": "Install no_such_package"}[kind]
    shown = rf"AZIMUTH_CACHE is {kind}://user:\.\.\.@host/x, and no such store can be reached from here: {why}"
    with pytest.raises(ValueError, match=shown) as caught:
        planet.load().f()
    assert "hunter2" not in str(caught.value) and caught.value.__suppress_context__


# Writers that meet, and writers that die


def test_two_machines_that_publish_one_entry_at_once_leave_two_whole_versions(cloud, tmp_path, monkeypatch):
    waiting = 'noted("f"); import time\n    while not Path(__file__).with_name("go").exists(): time.sleep(0.01)'
    cloud.edit('noted("f")', waiting)
    code = "from planet.a import f; print(f(7)['values'].tolist())"
    both = []
    for name in ("one", "two"):
        machine(monkeypatch, tmp_path, name)
        both.append(child(code, tmp_path))
    wait_for(lambda: cloud.runs() == 2)
    cloud.file.with_name("go").touch()
    assert [process.communicate(timeout=60)[0] for process in both] == ["[0, 8, 16, 24, 32]\n"] * 2
    machine(monkeypatch, tmp_path, "three")
    assert {len(name.split("/")) for name in there()} == {4}, "no file lies outside of a version"
    assert [row["damage"] for row in audit.verify()] == [None, None]
    first, second = versions.every(mirror.place(), "planet.a.f")
    assert (first.state, second.state) == ("whole", "whole") and first.digest < second.digest
    call = cloud.load().f.call(7)
    assert call.run()["x"] == 7 and cloud.runs() == 2
    assert integrity.sha256_of(call.entry() / store.SUMS) == first.digest, "all take the first by name"
    (row,) = audit.sweep(delete=True)
    assert row["kind"] == "duplicate" and row["path"] == str(second) and audit.sweep() == []
    machine(monkeypatch, tmp_path, "four")
    assert call.run()["x"] == 7 and cloud.runs() == 2


def test_of_two_processes_on_one_machine_one_computes(cloud, tmp_path):
    cloud.edit('noted("f")', 'noted("f"); import time; time.sleep(0.5)')
    code = "from planet.a import f; print(f(7)['x'])"
    both = [child(code, tmp_path), child(code, tmp_path)]
    assert [process.communicate(timeout=60)[0] for process in both] == ["7\n"] * 2 and cloud.runs() == 1
    assert len(versions.every(mirror.place())) == 1


# One process imports everything, then forks a writer for each instant; f(n) is killed at its n-th put, f(4) after all.
KILLED = """
import os, signal
from planet.a import f
from compute.cache import remote
real = remote.Store.put
for n in range(5):
    if (writer := os.fork()) == 0:
        puts = []
        def put(self, source, name):
            if len(puts) == n:
                os.kill(os.getpid(), signal.SIGKILL)
            puts.append(name)
            real(self, source, name)
            if len(puts) == 4:
                os.kill(os.getpid(), signal.SIGKILL)
        remote.Store.put = put
        f(n)
        os._exit(1)
    assert os.waitpid(writer, 0)[1] == signal.SIGKILL
"""


def test_a_writer_killed_while_it_publishes_leaves_nothing_half_visible(cloud, tmp_path, monkeypatch):
    process = child(KILLED, tmp_path)
    process.communicate(timeout=60)
    assert process.returncode == 0 and cloud.runs() == 5
    f = cloud.load().f
    machine(monkeypatch, tmp_path, "elsewhere")
    assert [f.call(n).state() for n in range(5)] == ["missing"] * 4 + ["fresh"]
    assert len([version for version in versions.every(mirror.place()) if version.state == "unfinished"]) == 3
    assert f.call(3).read() is None and f(4)["x"] == 4 and cloud.runs() == 5
    machine(monkeypatch, tmp_path, "here")
    assert [f(n)["x"] for n in range(5)] == list(range(5)) and cloud.runs() == 5, "they are sent, not computed again"
    machine(monkeypatch, tmp_path, "elsewhere")
    assert [f(n)["x"] for n in range(5)] == list(range(5)) and cloud.runs() == 5
    assert not [row for row in audit.verify() if row["damage"]]


# Damage


@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_damage_in_the_store_is_noticed_told_of_and_computed_again(cloud, tmp_path, monkeypatch, how):
    f = cloud.load().f
    right = f()
    names = sorted(there())
    for count, name in enumerate(names[1:] if how == "gone" else names, 1):  # without its marker it is not there
        (version,) = versions.every(mirror.place())
        harm(f"{version.path}/{name.rpartition('/')[2]}", how)
        machine(monkeypatch, tmp_path, f"machine {count}")
        (row,) = [row for row in audit.verify() if row["layer"] == "store" and row["damage"]]
        assert f.call().state() == "fresh", "nobody has looked at it yet"
        with pytest.warns(DamageWarning, match=r"s3://.* is damaged: .*marked as damaged there") as caught:
            assert same(f(), right)
        assert name.rpartition("/")[2] in str(caught[0].message), "it says what"
        assert len(caught) == 1 and cloud.runs() == count + 1
        machine(monkeypatch, tmp_path, f"machine {count}, another")
        assert same(f(), right) and cloud.runs() == count + 1, "the others read the new version, and are not told"
        (gone,) = audit.sweep(delete=True)
        assert gone["kind"] == "damaged" and row["damage"] in str(caught[0].message)
    assert not [row for row in audit.verify() if row["damage"]] and len(names) == 4


def version_of(name: str) -> versions.Version:
    (found,) = [one for one in versions.every(mirror.place()) if name.startswith(one.path)]
    return found


def test_a_damaged_version_is_passed_over_for_a_whole_one(cloud, tmp_path, monkeypatch):
    f = cloud.load().f
    f()
    first = f.call().entry()
    for other in ("b", "c"):  # the same result, computed elsewhere at other times
        machine(monkeypatch, tmp_path, other)
        record = store.glance(first / store.RECORD)
        store.copy(first, f.call().entry())
        store.rewrite_record(f.call().entry(), record | {"seconds": 3.0 + ord(other)})
        assert mirror.owes("planet.a.f", f.call().key)
        f()
    one, two, three = versions.every(mirror.place())
    harm(f"{one.path}/{store.VALUE}", "flipped")
    harm(f"{two.path}/{store.SUMS}", "cut")
    machine(monkeypatch, tmp_path, "d")
    with pytest.warns(DamageWarning) as caught:
        f()
    assert cloud.runs() == 1 and len(caught) == 2 and "value.json has SHA-256" in str(caught[0].message)
    assert integrity.sha256_of(f.call().entry() / store.SUMS) == three.digest


def test_a_damaged_mirror_is_mended_from_the_store(cloud):
    f = cloud.load().f
    right = f()
    planets.flip(f.call().entry() / store.TENSORS, 90)
    with pytest.warns(DamageWarning, match="put aside as .*fetched again, or computed"):
        assert same(f(), right)
    assert cloud.runs() == 1 and [row["kind"] for row in audit.sweep()] == ["damaged"]


def test_an_entry_under_another_name_is_damaged(cloud, tmp_path, monkeypatch):
    f = cloud.load().f
    f(1)
    entry = f.call(1).entry()
    versions.publish(mirror.place(), "planet.a.f", f.call(2).key, versions.of_entry(entry))
    machine(monkeypatch, tmp_path, "elsewhere")
    with pytest.warns(DamageWarning, match="it is the entry of planet.a.f .*, under another name"):
        assert f(2)["x"] == 2


def test_a_version_that_names_a_file_outside_of_itself_writes_nothing_there(cloud, tmp_path, monkeypatch):
    f = cloud.load().f
    sums = store.listing({"../../../../stray": "0" * 64})
    versions.publish(mirror.place(), "planet.a.f", f.call().key, {store.SUMS: sums})
    with pytest.warns(DamageWarning, match="stray is missing"):
        f()
    assert not list(tmp_path.rglob("stray"))


def test_a_version_that_goes_away_while_it_is_read_is_a_miss(cloud, tmp_path, monkeypatch):
    f = cloud.load().f
    f()
    machine(monkeypatch, tmp_path, "elsewhere")
    real = remote.Store.get

    def get(self, name, target):
        version_of(name).remove()
        monkeypatch.setattr(remote.Store, "get", real)
        real(self, name, target)

    monkeypatch.setattr(remote.Store, "get", get)
    f()
    assert cloud.runs() == 2 and len(versions.every(mirror.place())) == 1


# Workspaces

CLIMB = """
@cached(workspace=True)
def climb(n, workspace) -> dict:
    import os, signal
    from compute.integrity import write_whole
    file = workspace / "deep" / "steps.txt"
    file.parent.mkdir(exist_ok=True)
    done = file.read_text().split() if file.exists() else []
    resumed_at = len(done)
    for step in range(resumed_at, n):
        noted(f"step{step}")
        done.append(str(step))
        write_whole(file, [" ".join(done).encode()])
        if step == 2 and not Path(__file__).with_name("go").exists():
            os.kill(os.getpid(), signal.SIGKILL)
    return {"file": file, "resumed_at": resumed_at}
"""


@pytest.mark.parametrize(("every", "resumed_at"), [(0, 3), (60, 1)])
def test_a_run_whose_machine_is_lost_goes_on_elsewhere(cloud, tmp_path, monkeypatch, every, resumed_at):
    cloud.write(cloud.file.read_text() + CLIMB)
    killed = child(
        f"from planet.a import climb; from compute.cache import workspaces; workspaces.EVERY = {every}; climb(6)",
        tmp_path,
    )
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert len(versions.every(mirror.place(), shelf=versions.WORKSPACES)) == 1, "the older ones are gone"
    climb = cloud.load().climb
    assert audit.sweep() == [], "what could be resumed stays"
    cloud.file.with_name("go").touch()
    machine(monkeypatch, tmp_path, "elsewhere")
    assert climb.call(6).state() == "missing"
    found = climb(6)
    assert found["resumed_at"] == resumed_at and found["file"].read_text() == "0 1 2 3 4 5" and cloud.runs("step5") == 1
    assert cloud.runs("step0") == 1 and not [name for name in there() if name.startswith("workspace/")]
    assert not climb.call(6).workspace().exists()


def test_a_saved_workspace_that_is_damaged_or_of_other_code_is_not_used(cloud, tmp_path, monkeypatch):
    cloud.write(cloud.file.read_text() + CLIMB)
    child("from planet.a import climb; climb(6)", tmp_path).communicate(timeout=60)
    cloud.file.with_name("go").touch()
    (name,) = [name for name in there() if name.endswith("steps.txt")]
    harm(name, "flipped")
    machine(monkeypatch, tmp_path, "elsewhere")
    with pytest.warns(DamageWarning, match="the saved workspace s3://.*/workspace/.* is damaged: .*steps.txt has SHA"):
        found = cloud.load().climb(6)
    assert found["resumed_at"] == 0 and cloud.runs("step0") == 2
    machine(monkeypatch, tmp_path, "here")
    cloud.edit("resumed_at = len(done)", "resumed_at = 0 + len(done)")
    cloud.load()
    assert [row["kind"] for row in audit.sweep()] == ["workspace", "other code"], "of here, and in the store"


def test_a_workspace_that_cannot_be_saved_is_a_warning(cloud, monkeypatch, sky):
    cloud.write(cloud.file.read_text() + CLIMB)
    cloud.file.with_name("go").touch()
    sky.fails = lambda count: "/workspace/" in sky.requests[-1] and sky.requests[-1].startswith("PUT")
    with pytest.warns(RuntimeWarning, match="could not be saved for others: the store s3://.* The run goes on"):
        assert cloud.load().climb(6)["file"].read_text() == "0 1 2 3 4 5"
    assert not integrity.watchers


def test_checkpoints_and_half_done_searches_are_what_saves_a_workspace(tmp_path, monkeypatch):
    """They appear whole, by `write_whole`, and whoever writes them otherwise has to save the workspace otherwise."""
    import torch

    from compute import searches
    from compute.goldilocks import checkpoints
    from compute.neighbors import begin

    seen = []
    monkeypatch.setattr(integrity, "watchers", [lambda path: seen.append((path.name, path.stat().st_size > 0))])
    checkpoints.save(tmp_path, 1, {}, {"weights": torch.zeros(3)})
    searches._keep(tmp_path / "search.npz", begin(np.arange(4), 1, 2), np.zeros(32, np.uint8))
    assert seen == [("checkpoint.safetensors", True), ("search.npz", True)]


# Other stores, and none


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_other_kinds_of_stores_serve_as_well(planet, tmp_path, monkeypatch, kind):
    monkeypatch.setenv("AZIMUTH_CACHE", f"{kind}://{tmp_path}/shelf/")
    machine(monkeypatch, tmp_path, "here")
    module = planet.load()
    right = module.f(), module.files(3)
    machine(monkeypatch, tmp_path, "elsewhere")
    assert same(module.f(), right[0]) and module.files(3)["numbers"].read_text() == "0 1 2"
    assert planet.runs() == planet.runs("files") == 1 and len(list(audit.verify())) == 4
    assert all(version.age() < 60 for version in versions.every(mirror.place()))
    planet.edit("return x + 1", "return x + 2")
    planet.load()
    assert [row["kind"] for row in audit.sweep(delete=True)] == ["other code"] * 2


def test_a_password_in_a_url_is_never_shown():
    place = remote.Store("sftp://user:hunter2@host/x")
    assert place.shown == "sftp://user:...@host/x" and remote.Store("s3://bucket/x").shown == "s3://bucket/x"
    assert "hunter2" not in place._told("listing it", 1, OSError("cannot reach sftp://user:hunter2@host/x"))


def test_a_full_disk_is_ours_and_not_the_stores(cloud, tmp_path, monkeypatch):
    f = cloud.load().f
    f()
    machine(monkeypatch, tmp_path, "elsewhere")

    def get(self, name, target):
        self._ask("reading", lambda files, root: os.open("/dev/full", os.O_WRONLY) and os.write(full, b"x"))

    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(remote.Store, "get", get)
    try:
        with pytest.raises(OSError, match=r"planet.a.f could not be written to .*No space left on device.*Make room"):
            f()
    finally:
        os.close(full)


ALONE = """
import sys
sys.modules["fsspec"] = sys.modules["s3fs"] = None  # as where they are not installed
from planet.a import f, files
from compute.cache import audit
f(), files(2), f.call(5).state(), list(audit.verify()), audit.sweep()
sys.exit(bool({"botocore", "aiohttp"} & set(sys.modules)))
"""


@pytest.mark.parametrize("how", ["{}", "file://{}"])
def test_a_folder_needs_no_fsspec(planet, tmp_path, monkeypatch, how):
    monkeypatch.setenv("AZIMUTH_CACHE", how.format(tmp_path / "a folder"))
    process = child(ALONE, tmp_path)
    process.communicate(timeout=60)
    assert process.returncode == 0 and len(list((tmp_path / "a folder").glob("planet.*/*"))) == 2
    assert not (tmp_path / "a folder" / "sent").exists() and paths.cache_url() is None


def test_each_url_has_a_mirror_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("AZIMUTH_CACHE", "s3://a/b")
    monkeypatch.delenv("AZIMUTH_CACHE_LOCAL", raising=False)
    one = paths.cache_folder()
    assert one.parent == paths.root() / "data" / "cache" / "mirrors" and paths.cache_url() == "s3://a/b"
    monkeypatch.setenv("AZIMUTH_CACHE", "s3://a/b/")
    assert paths.cache_folder() == one
    monkeypatch.setenv("AZIMUTH_CACHE", "s3://a/c")
    assert paths.cache_folder() != one
    machine(monkeypatch, tmp_path, "x")
    assert paths.cache_folder().parent == tmp_path / "x"


def test_the_command_line_reads_a_store(cloud):
    cloud.load().f()
    ran = subprocess.run([sys.executable, "-m", "compute", "verify", "--json"], capture_output=True, text=True)
    found = json.loads(ran.stdout)
    assert ran.returncode == 0 and not ran.stderr and found["damaged"] == 0
    assert [row["layer"] for row in found["entries"] if row["function"] == "planet.a.f"] == ["cache", "store"]
