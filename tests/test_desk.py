"""The cache's commands: what they print, what they return, and what they do to what is kept."""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import planets
import pytest
from planets import SMALL, STEPS, child, flip, same, wait_for

from compute import desk, paths, tables
from compute.cache import audit, shipping
from compute.cache.reach import combined

planet = planets.planet
PROBED = """
def probe_of_long(n, shipped):
    noted("probe")
    return bool((shipped["steps"][:3] == walk(min(n, 3))).all())

@cached(probe=probe_of_long)
def long(n) -> dict:
    noted("long")
    return {"steps": walk(n), "nested": [{"n": n}]}

def walk(n):
    return np.cumsum(np.full(n, STRIDE, dtype=np.float32))

STRIDE = 0.1
"""


@pytest.fixture
def run(planet, monkeypatch, capsys):
    """Runs one command over the named results of `planet`, and returns (exit code, stdout, stderr)."""
    planet.write(SMALL + PROBED)
    module = planet.load()
    module.long.call(5)

    def results(_model):
        module = sys.modules["planet.a"]
        thing = module.Thing("content", "a label\x1b[31m")
        return [("first", module.f.call()), ("second", module.f.call(2)), ("long", module.long.call(5)),
                ("text", module.g.call(thing)), ("files", module.files.call(3))]  # fmt: skip

    monkeypatch.setattr(desk, "_calls", results)

    def command(*words: str) -> tuple[int, str, str]:
        parser = argparse.ArgumentParser(prog="compute")
        desk.add_commands(parser.add_subparsers(required=True))
        arguments = parser.parse_args(words)
        capsys.readouterr()
        code = arguments.run(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def told(run, *words: str, code: int = 0):
    """What a command says as JSON, one object alone on stdout."""
    found = run(*words, "--json")
    assert found[0] == code, found
    return json.loads(found[1])


def states(run) -> dict[str, str]:
    return {row["name"]: row["state"] for row in told(run, "status")["results"]}


def test_status_tells_fresh_shipped_stale_and_missing(run, planet):
    module = planet.load()
    assert set(states(run).values()) == {"missing"}
    module.f(), module.f(2), module.files(3), module.g(module.Thing("content"))
    module.files.call(3).entry("shipped").parent.mkdir(parents=True)
    module.files.call(3).entry().rename(module.files.call(3).entry("shipped"))
    planet.edit("return x + 1", "return x + 2")
    planet.load()
    assert states(run) == {"first": "stale", "second": "stale", "long": "missing", "text": "fresh", "files": "shipped"}
    rows = told(run, "status")["results"]
    assert all(list(row) == ["name", "key", "state", "seconds", "bytes", "date"] for row in rows)
    missing, files = rows[2], rows[4]
    assert (missing["seconds"], missing["bytes"], missing["date"]) == (None, None, None) and len(missing["key"]) == 64
    entry = sys.modules["planet.a"].files.call(3).entry("shipped")
    assert files["bytes"] == sum(path.stat().st_size for path in entry.rglob("*") if path.is_file())
    assert files["key"] == entry.name and files["date"].endswith("+00:00") and 0 < files["seconds"] < 60
    code, said, _ = run("status")
    assert code == 0 and len(said.splitlines()) == 2 + 5 and all(len(line) <= 80 for line in said.splitlines())


def test_why_names_what_changed(run, planet, tmp_path):
    planet.load().f()
    found = told(run, "why", "first")
    assert found["state"] == "fresh" and found["differs"] is None and Path(found["entry"]).is_dir()
    assert found["origin"]["versions"]["numpy"] == np.__version__
    assert found["code"] == ["planet.a.LOG", "planet.a.f", "planet.a.helper", "planet.a.noted"]
    planet.edit("return x + 1", "return x + EXTRA\n\nEXTRA = 1")
    planet.edit("def noted", "# moved by a comment\ndef noted")
    planet.load()
    found = told(run, "why", "first")
    assert found["state"] == "stale" and found["origin"] is None
    assert found["differs"].pop("date") == found["date"] and found["differs"].pop("format") is None
    assert found["differs"] == {
        "changed": ["planet.a.helper"],
        "added": ["planet.a.EXTRA"],
        "removed": [],
        "arguments": [],
    }
    code, said, _ = run("why", "first")
    assert code == 0 and "changed  planet.a.helper" in said and "added    planet.a.EXTRA" in said


def test_why_names_the_argument_and_the_input_that_changed(run, planet):
    module = planet.load()
    module.f(3)
    found = told(run, "why", "second")
    assert (found["state"], found["seconds"], found["date"]) == ("missing", None, None)
    differs = found["differs"]
    assert differs["arguments"] == [{"name": "x", "then": 3, "now": 2}] and not differs["changed"]
    module.g(module.Thing("other content", "a label\x1b[31m"))
    code, said, _ = run("why", "text")
    assert code == 0 and "by this name, but of other content" in said
    assert "\x1b" not in said and "\\u001b" in said, "labels are hostile: what a terminal would obey is spelled out"


def test_unknown_names_are_answered_with_the_known_ones(run):
    with pytest.raises(ValueError, match="no result 'zeroth'; there are: first, second, long, text, files"):
        run("why", "zeroth")


def test_verify_reads_every_byte_of_both_layers(run, planet):
    module = planet.load()
    module.f(), module.files(3)
    assert run("ship", "first")[0] == 0
    found = told(run, "verify")
    assert found["damaged"] == 0 and [row["layer"] for row in found["entries"]] == ["cache", "cache", "shipped"]
    code, said, _ = run("verify")
    assert code == 0 and "3 entries" in said and "none damaged" in said and max(map(len, said.splitlines())) <= 80
    flip(module.files.call(3).entry() / "files/deep/numbers.txt", 2)
    found = told(run, "verify", code=1)
    assert found["damaged"] == 1 and "files/deep/numbers.txt" in found["entries"][1]["damage"]
    flip(module.f.call().entry("shipped") / "record.json", 100)
    code, said, _ = run("verify")
    assert code == 1 and "2 damaged" in said and said.count("DAMAGED") == 2
    assert module.files.call(3).entry().is_dir(), "verify only looks"


def test_gc_lists_by_default_and_removes_only_what_is_not_of_todays_code(run, planet, tmp_path):
    module = planet.load()
    module.f(), module.f(99), module.files(3)
    flip(module.f.call(99).entry() / "value.json", 3)
    with pytest.warns(UserWarning, match="is damaged"):
        module.f(99)
    draft = tmp_path / "cache" / "writing" / "planet.a.f" / ("0" * 64)
    draft.mkdir(parents=True)
    (draft / "value.json").write_text("half of")
    found = told(run, "gc")
    assert [row["kind"] for row in found["found"]] == ["damaged", "unfinished"] and not found["deleted"]
    planet.edit("return x + 1", "return x + 2")
    module = planet.load()
    module.f()
    found = told(run, "gc")
    assert [row["kind"] for row in found["found"]] == ["other code", "other code", "damaged", "unfinished"]
    assert found["bytes"] == sum(row["bytes"] for row in found["found"]) > 1000
    code, said, _ = run("gc")
    assert code == 0 and "nothing was removed" in said and max(map(len, said.splitlines())) <= 80
    assert all(Path(row["path"]).is_dir() for row in found["found"])
    assert told(run, "gc", "--delete", "--older-than", "1")["found"] == []
    found = told(run, "gc", "--delete")
    assert len(found["found"]) == 4 and all(row["removed"] and not Path(row["path"]).exists() for row in found["found"])
    assert module.f.call().state() == "fresh" and module.files.call(3).state() == "fresh"
    assert run("gc")[1].startswith("nothing to remove") and run("verify")[0] == 0


def test_gc_takes_what_is_old_enough(run, planet):
    module = planet.load()
    module.f()
    planet.edit("return x + 1", "return x + 2")
    planet.load()
    (row,) = told(run, "gc")["found"]
    assert abs(time.time() - audit.datetime.fromisoformat(row["date"]).timestamp()) < 60
    assert told(run, "gc", "--older-than", "0.5")["found"] == []
    path = Path(row["path"]) / "record.json"
    path.write_text(path.read_text().replace(row["date"][:4] + "-", "2001-"))
    assert len(told(run, "gc", "--older-than", "0.5")["found"]) == 1


def test_gc_removes_functions_that_are_gone_and_records_that_cannot_be_read(run, planet):
    module = planet.load()
    module.f(), module.g(module.Thing("x"))
    (module.g.call(module.Thing("x")).entry() / "record.json").write_text("{")
    planet.edit("def f(", "def renamed(")
    planet.load()
    assert [row["kind"] for row in audit.sweep()] == ["other code", "other code"]
    assert len(audit.sweep()) == 2, "a dry run is the default"


def test_gc_leaves_what_a_living_process_writes(run, planet, tmp_path):
    slow = "import time, compute.cache.store as s; real = s._seal\n"
    slow += "def sealing(*words):\n    time.sleep(3600)\ns._seal = sealing; from planet.a import f; f(5)"
    writer = child(slow, tmp_path)
    wait_for(lambda: list((tmp_path / "cache" / "writing").glob("*/*/value.json")))
    assert audit.sweep(delete=True) == []
    writer.kill()
    writer.communicate()
    assert [row["kind"] for row in audit.sweep(delete=True)] == ["unfinished"]
    assert not list((tmp_path / "cache" / "writing").glob("*/*"))


def test_gc_takes_the_workspace_of_a_killed_run_that_nothing_would_resume(planet, tmp_path):
    planet.write(SMALL + STEPS)
    writer = child("from planet.a import steps; steps(6)", tmp_path)
    wait_for(lambda: planet.runs("step2") == 1)
    writer.kill()
    writer.communicate()
    planet.load()
    assert audit.sweep() == []
    planet.edit("step == 2", "step == 3")
    planet.load()
    (row,) = audit.sweep(delete=True)
    assert row["kind"] == "workspace" and not Path(row["path"]).exists()
    assert not list((tmp_path / "cache" / "workspace").glob("*/*"))


# Committed results


def manifest() -> list[dict]:
    path = paths.results_folder() / "manifest.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_ship_copies_a_fresh_result_and_leaves_a_line(run, planet, tmp_path, monkeypatch):
    code, _, said = run("ship", "files")
    assert code == 1 and "files is missing, and only a fresh result can be shipped" in said
    found = planet.load().files(3)
    line = told(run, "ship", "files")
    (entry,) = (tmp_path / "results" / "planet.a.files").iterdir()
    assert line["key"] == entry.name == found.provenance.key and line["action"] == "ship" and manifest() == [line]
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"planet.a.files", "manifest.jsonl"}
    code, _, said = run("ship", "files")
    assert code == 0 and "shipped already" in said and len(manifest()) == 1
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "empty"))
    again = planet.load().files(3)
    assert again.provenance.layer == "shipped" and again["numbers"].read_text() == "0 1 2" and planet.runs("files") == 1


def test_ship_refuses_what_is_damaged_or_stale(run, planet):
    planet.load().f()
    flip(planet.load().f.call().entry() / "tensors.safetensors", 70)
    code, _, said = run("ship", "first")
    assert code == 1 and "tensors.safetensors has SHA-256" in said
    planet.edit("return x + 1", "return x + 2")
    planet.load()
    code, _, said = run("ship", "first")
    assert code == 1 and "first is stale" in said and not manifest()


@pytest.mark.parametrize(
    ("limit", "said"), [("LARGEST_FILE", "no file there may have more"), ("LARGEST_TOTAL", "it may hold")]
)
def test_ship_refuses_what_is_too_large(run, planet, monkeypatch, limit, said):
    assert (shipping.LARGEST_FILE, shipping.LARGEST_TOTAL) == (10_000_000, 20_000_000)
    planet.load().f(), planet.load().f(2)
    size = sum(path.stat().st_size for path in planet.load().f.call().entry().iterdir())
    assert run("ship", "first")[0] == 0
    monkeypatch.setattr(shipping, limit, {"LARGEST_FILE": 300, "LARGEST_TOTAL": 2 * size}[limit])
    code, _, reason = run("ship", "second")
    assert code == 1 and said in reason and "second is too large to be committed" in reason
    assert planet.load().f.call(2).state() == "fresh" and len(manifest()) == 1
    monkeypatch.setattr(shipping, limit, 10**6)
    assert run("ship", "second")[0] == 0


@pytest.fixture
def committed(run, planet, tmp_path, monkeypatch):
    """The result `long` in the committed layer, and an empty cache."""
    planet.load().long(5)
    assert run("ship", "long")[0] == 0
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "empty"))
    return run


def test_bless_moves_a_committed_result_to_todays_key_after_its_probe(committed, planet, tmp_path):
    before = planet.load().long(5)
    code, _, said = committed("bless", "long")
    assert code == 0 and "needs no blessing" in said and planet.runs("probe") == 0
    planet.edit(
        "return np.cumsum(np.full(n, STRIDE, dtype=np.float32))",
        "steps = np.full(n, STRIDE, dtype=np.float32)\n    return np.cumsum(steps)",
    )
    after = planet.load().long
    assert after.call(5).state() == "stale"
    line = told(committed, "bless", "long")
    assert line["action"] == "bless" and line["old_key"] == before.provenance.key and line["key"] == after.call(5).key
    assert (
        line["probe"] == "probe_of_long" and line["probe_seconds"] >= 0 and line["versions"]["numpy"] == np.__version__
    )
    assert manifest()[1] == line and planet.runs("probe") == 1 and planet.runs("long") == 1
    found = after(5)
    assert found.provenance.layer == "shipped" and same(dict(found), dict(before)) and planet.runs("long") == 1
    assert (found.provenance.date, found.provenance.seconds) == (before.provenance.date, before.provenance.seconds)
    assert combined(found.provenance.code) == combined(after.call(5).code)
    (entry,) = (tmp_path / "results" / "planet.a.long").iterdir()
    assert entry.name == found.provenance.key and committed("verify")[0] == 0
    assert told(committed, "why", "long")["origin"]["blessed"]["old_key"] == before.provenance.key


def test_the_manifest_keeps_the_last_blessing_of_each_result(committed, planet):
    (shipped,) = manifest()
    for number in range(3):
        planet.edit("return np.cumsum(", f"steps = {number}\n    return np.cumsum(")
        planet.load()
        line = told(committed, "bless", "long")
        assert manifest() == [shipped, line]
    assert not list(paths.results_folder().glob(".*"))


def kept_bytes() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in paths.results_folder().rglob("*") if path.is_file()}


OTHER_STRIDE = ("STRIDE = 0.1", "STRIDE = 0.1000001")
OTHER_PROBE = ("    return bool((", "    assert (shipped['steps'][:3] == walk(3)).all(), 'step 1'\n    return bool((")
NO_PROBE = ("@cached(probe=probe_of_long)", "@cached")


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([OTHER_STRIDE], "the probe probe_of_long says so"),
        ([OTHER_STRIDE, OTHER_PROBE], "the probe probe_of_long found step 1"),
        ([OTHER_STRIDE, NO_PROBE], r"they differ at /steps: element \(0,\) is 0.1"),
        ([('[{"n": n', '[{"n": float(n)'), NO_PROBE], "they differ at /nested/0/n"),
        ([('[{"n": n', '[{"m": 1, "n": n'), NO_PROBE], "they differ at /nested/0"),
        ([("dtype=np.float32", "dtype=np.float64"), NO_PROBE], "they differ at /steps: float32 .* against float64"),
    ],
)
def test_bless_refuses_what_comes_out_otherwise_and_says_where(committed, planet, edits, said):
    before = kept_bytes()
    for old, new in edits:
        planet.edit(old, new)
    planet.load()
    code, _, reason = committed("bless", "long")
    assert code == 1 and re.search(said, reason), reason
    assert "Nothing was changed" in reason and kept_bytes() == before


def test_bless_without_a_probe_runs_the_whole_function(committed, planet):
    planet.edit("@cached(probe=probe_of_long)", "@cached")
    planet.edit("STRIDE = 0.1", "STRIDE = 0.10")
    assert planet.load().long.call(5).state() == "shipped", "0.10 is 0.1, and where a result is kept is no code"
    planet.edit("STRIDE = 0.10", "STRIDE = 1 / 10")
    planet.load()
    line = told(committed, "bless", "long")
    assert line["probe"] == "whole" and planet.runs("long") == 2 and planet.runs("probe") == 0
    assert planet.load().long.call(5).state() == "shipped"


def test_bless_compares_files_too(run, planet, tmp_path, monkeypatch):
    planet.load().files(3)
    assert run("ship", "files")[0] == 0
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "empty"))
    planet.edit('" ".join(', '", ".join(')
    planet.load()
    code, _, said = run("bless", "files")
    assert code == 1 and "they differ at files/deep/numbers.txt" in said
    planet.edit('", ".join(', '(" ").join(')
    planet.edit("(map(str, range(n)))", "([str(i) for i in range(n)])")
    planet.load()
    assert run("bless", "files")[0] == 0 and planet.load().files(3).provenance.layer == "shipped"


def test_bless_has_nothing_to_do_where_nothing_was_shipped(run):
    code, _, said = run("bless", "first")
    assert code == 1 and "no committed result of first" in said


# The front


def test_every_command_explains_itself(capsys):
    parser = argparse.ArgumentParser(prog="compute")
    desk.add_commands(parser.add_subparsers())
    for name in ("status", "why", "verify", "gc", "ship", "bless"):
        with pytest.raises(SystemExit) as stop:
            parser.parse_args([name, "--help"])
        said = capsys.readouterr().out
        assert stop.value.code == 0 and "--json" in said and len(said.splitlines()) >= 8


def test_the_real_command_line_runs(tmp_path):
    """Through the front, as a user types it, with an empty cache."""
    environment = os.environ | {"AZIMUTH_CACHE": str(tmp_path)}
    for words, code in ((["verify", "--json"], 0), (["gc"], 0)):
        ran = subprocess.run([sys.executable, "-m", "compute", *words], env=environment, capture_output=True, text=True)
        assert ran.returncode == code and not ran.stderr, ran.stderr
    assert "nothing to remove" in ran.stdout


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "-"), (0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (99_949, "99.9 kB"), (99_951, "100 kB"),
     (999_499, "999 kB"), (999_500, "1.0 MB"), (123_456_789_012, "123 GB"), (5 * 10**15, "5000 TB")],
)  # fmt: skip
def test_sizes_are_rounded_as_a_person_would(number, text):
    assert tables.size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.0004, "0 ms"), (0.9994, "999 ms"), (0.9996, "1.0 s"), (59.9, "59.9 s"), (59.96, "1 min 00 s"),
     (3599.4, "59 min 59 s"), (3599.6, "1 h 00 min"), (90_000, "25 h 00 min")],
)  # fmt: skip
def test_durations_are_rounded_as_a_person_would(seconds, text):
    assert tables.duration(seconds) == text
