"""The cache: what names a result, what is kept of it bit for bit, and what happens when things go wrong."""

import enum
import errno
import importlib
import json
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import planets
import pytest
import safetensors.numpy
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planets import child, flip, same

from compute import cache, paths
from compute.cache import DamageWarning, audit, cached, entries, key, origin, parts, reach, store

planet = planets.planet

# What names a result

ARGUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from(["tuple", "float", "dict", "file"]), inner, max_size=3)
    ),
    max_leaves=6,
)
NEIGHBOURS = [
    1, 1.0, True, "1", "True", 0, -0.0, 0.0, False, None, "None", "", math.nan, "nan", math.inf, -math.inf, [], (), {},
    [1], (1,), [[1]], [(1,)], {"tuple": [1]}, {"float": "1.0"}, {"float": "nan"}, {"dict": []}, {"": 1},
    {"a": 1, "b": 2}, {"b": 2, "a": 1}, [["a", 1], ["b", 2]], {"dict": [["a", 1], ["b", 2]]}, "é", "e\u0301", "\ud800",
    2**53, 2.0**53, 2**53 + 1, 10**30, 1e30, 5e-324, "\x00", "1,1", ["1", "1"], ["1,1"],
]  # fmt: skip


def written(value) -> str:
    return key.text(key.canonical(value, "x"))


def test_neighbouring_arguments_never_meet_in_a_key():
    assert len({written(value) for value in NEIGHBOURS}) == len(NEIGHBOURS)


@given(ARGUMENTS, ARGUMENTS)
def test_two_arguments_share_their_canonical_form_only_if_they_are_the_same(one, other):
    assert (written(one) == written(other)) == same(one, other)
    assert written(one).isascii() and json.loads(written(one)) == json.loads(written(key.plain(one)))


def test_the_key_is_what_it_was_in_the_first_version():
    """A golden key: whoever changes how keys are made raises `key.FORMAT`, and knows that all results go."""
    arguments = {"x": key.canonical([1, 1.0, True, None, "é", -0.0, (math.inf,), {"b": 1, "a": 2}], "x")}
    assert key.text(arguments) == (
        '{"x":[1,{"float":"1.0"},true,null,"\\u00e9",{"float":"-0.0"},{"tuple":[{"float":"inf"}]},{"dict":[["b",1],["a",2]]}]}'
    )
    assert key.key("planet.a.f", "0" * 64, arguments) == (
        "370be8eb2e82d6ecec42f2ee6e91e312927ea5bd1c42348746666ae7ff52be9f"
    )


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.zeros(3), "f: x is a ndarray"),
        (b"1", "f: x is a bytes"),
        (1j, "f: x is a complex"),
        ({1}, "f: x is a set"),
        (Colour.RED, "f: x is a Colour"),
        (object(), "f: x is a object"),
        (np.longdouble(1), "f: x is a longdouble"),
        (np.complex64(1), "f: x is a complex64"),
        ([1, {"a": (b"",)}], r"f: x\[1\]\['a'\]\[0\] is a bytes"),
        ({1: 2}, "f: x has the key 1"),
        ({np.str_("a"): 2}, "f: x has the key"),
    ],
)
def test_what_cannot_be_named_is_refused_by_name(planet, value, said):
    with pytest.raises(TypeError, match=said):
        planet.load().f(value)


def test_defaults_are_filled_in_and_ways_of_calling_do_not_matter(planet):
    f = planet.load().f
    assert f.call().key == f.call(1).key == f.call(x=1).key == f.call(1, 2.0).key == f.call(scale=2.0, x=1).key
    assert len({f.call().key, f.call(2).key, f.call(1.0).key, f.call(True).key, f.call(1, 2).key}) == 5


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.float32, np.float64, np.bool_, np.str_, ml_dtypes.bfloat16])
def test_numpy_scalars_are_named_and_handed_on_as_the_python_scalars_that_they_equal(planet, kind):
    f, value = planet.load().f, kind(1)
    assert f.call(value).key == f.call(value.item()).key
    assert f.call([{"a": (value,)}]).key == f.call([{"a": (value.item(),)}]).key
    if kind is not np.str_:
        assert f(value)["kind"] == type(value.item()).__name__


def test_an_input_file_counts_by_its_content(planet, tmp_path):
    g = planet.load().g
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("content")
    other.write_text("content")
    assert g.call(one).key == g.call(other).key and g.call(one).arguments["source"] == "one"
    before = g.call(one).key
    one.write_text("CONTENT")
    assert g.call(one).key != before and g(one)["text"] == "CONTENT"
    one.unlink()
    with pytest.raises(FileNotFoundError, match="g: source is .*one"):
        g(one)


def test_an_object_counts_by_its_fingerprint_and_its_code_not_by_its_label(planet):
    module = planet.load()
    g, thing = module.g, module.Thing
    assert g.call(thing("x", "a")).key == g.call(thing("x", "b")).key != g.call(thing("y", "a")).key
    call = g.call([thing("x", "a"), thing("y", "b")], item={"z": thing("z", "a")})
    assert call.model == "a, b" and call.arguments["source"] == ["a", "b"]
    before = {kind: g.call(kind("x")).key for kind in (module.Thing, module.Other)}
    assert before[module.Thing] != before[module.Other]
    planet.edit("factor = 1", "factor = 2")  # no annotation names this class, but an argument is one
    again = planet.load()
    assert again.g.call(again.Thing("x")).key == before[module.Thing]
    assert again.g.call(again.Other("x")).key != before[module.Other]


def test_functions_whose_source_cannot_be_followed_are_refused():
    with pytest.raises(TypeError, match="cannot be cached"):
        cached(lambda: {})
    with pytest.raises(TypeError, match="cannot be cached.*not in a notebook"):
        exec("from compute.cache import cached\n@cached\ndef f():\n    return {}\n", {"__name__": "__main__"})
    with pytest.raises(TypeError, match="go together"):
        cached(workspace=True)(test_functions_whose_source_cannot_be_followed_are_refused)


# What is kept

DTYPES = [*parts.NAMES, *(np.dtype(kind).newbyteorder(">") for kind in ("i2", "u4", "f4", "f8"))]
ARRAYS = st.tuples(
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 3), max_size=4).map(tuple),
    st.sampled_from(["as it is", "transposed", "every other", "reversed"]),
    st.integers(0, 2**32 - 1),
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5)
NAMES = st.text(max_size=4) | st.sampled_from(
    ["$array", "$float", "$dict", "$file", "a/b", "a~1b", "__metadata__", "0"]
)


def made(drawn) -> np.ndarray:
    """An array of random bits (of bool, random truths) in some layout."""
    dtype, shape, layout, seed = drawn
    generator = np.random.default_rng(seed)
    full = [2 * n for n in shape] if layout == "every other" else shape
    count = math.prod(full)
    if dtype == np.bool_:
        flat = generator.integers(0, 2, count).astype(bool)
    else:
        flat = np.frombuffer(generator.bytes(count * dtype.itemsize), dtype)
    array = flat.reshape(full)
    if layout == "every other" and array.ndim:
        return array[tuple(slice(None, None, 2) for _ in full)]
    return array.T if layout == "transposed" else array[::-1] if layout == "reversed" and array.ndim else array


VALUES = st.recursive(
    LEAVES | ARRAYS.map(made),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def aligned(value) -> bool:
    """Whether all arrays lie where a processor likes them."""
    if isinstance(value, np.ndarray):
        return value.flags.aligned and (not value.size or value.ctypes.data % value.itemsize == 0)
    return (
        all(map(aligned, value.values() if isinstance(value, dict) else value)) if type(value) in (dict, list) else True
    )


def kept(folder: Path, value: dict) -> dict:
    """A value written as an entry and read back."""
    entry = folder / "planet.a.f" / ("0" * 63 + format(len(list(folder.rglob("*"))), "x")[-1])
    for old in entry.rglob("*"):
        old.unlink()
    if entry.exists():
        entry.rmdir()
    store.write(entry, {"function": entry.parent.name, "key": entry.name}, store.Parts(value, None))
    return store.read(entry)[1]


def native(value):
    """The value as it comes back: arrays in little-endian order."""
    if isinstance(value, np.ndarray):
        return value.astype(value.dtype.newbyteorder("<"))
    if isinstance(value, list):
        return [native(item) for item in value]
    return {name: native(item) for name, item in value.items()} if isinstance(value, dict) else value


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(value=st.dictionaries(NAMES, VALUES, max_size=4))
def test_every_value_comes_back_bit_for_bit(tmp_path, monkeypatch, value):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    found = kept(tmp_path, value)
    assert same(found, native(value)) and aligned(found)


def test_all_65536_patterns_of_bfloat16_and_float16_come_back(tmp_path):
    bits = np.arange(2**16, dtype=np.uint16)
    value = {"bf16": bits.view(ml_dtypes.bfloat16).reshape(256, 256), "f16": bits.view(np.float16)}
    found = kept(tmp_path, value)
    assert found["bf16"].dtype == ml_dtypes.bfloat16 and found["bf16"].shape == (256, 256)
    assert np.array_equal(found["bf16"].view(np.uint16).ravel(), bits) and np.array_equal(
        found["f16"].view(np.uint16), bits
    )


def test_others_can_read_the_arrays(tmp_path):
    """The authority on the format, the safetensors library, reads what is written."""
    value = {
        "deep": [{"w": np.arange(6, dtype=np.float32).reshape(2, 3)}],
        "b": np.array(True),
        "e": np.zeros((0, 4), "i8"),
    }
    value["h"] = np.arange(3).astype(ml_dtypes.bfloat16)
    kept(tmp_path, value)
    (file,) = tmp_path.rglob("tensors.safetensors")
    found = safetensors.numpy.load_file(file)
    assert sorted(found) == ["/b", "/deep/0/w", "/e", "/h"]
    assert same(found["/deep/0/w"], value["deep"][0]["w"]) and found["/e"].shape == (0, 4) and bool(found["/b"]) is True
    assert found["/h"].view(np.uint16).tolist() == value["h"].view(np.uint16).tolist()
    (sums,) = tmp_path.rglob("SHA256SUMS")
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", sums.name], cwd=sums.parent, check=True)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": [1, {"b": np.zeros(2, complex)}]}, "/a/1/b has dtype complex128"),
        ({"a": np.array(["text"])}, "/a has dtype <U4"),
        ({"a": np.array([object()])}, "/a has dtype object"),
        ({"a": np.array(["2020"], "datetime64[D]")}, "/a has dtype datetime64"),
        ({"a": np.zeros(2, [("x", "f4")])}, "/a has dtype"),
        ({"a": np.zeros(2, np.longdouble)}, "/a has dtype"),
        ({"a": np.zeros((1,) * 33)}, "/a has dtype float64 and 33 dimensions"),
        ({"a": np.ma.masked_array([1], [True])}, "/a is a MaskedArray"),
        ({"a": {1: 2}}, "/a has the key 1"),
        ({"a": {"b/c": {2}}}, "/a/b~1c is a set"),
        ({"a": b"bytes"}, "/a is a bytes"),
        ({"a": Path("x")}, "/a is a Path; only functions with @cached"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_place(value, said):
    with pytest.raises(TypeError, match=said.replace("$", r"\$")):
        store.Parts(value, None)


def test_numpy_scalars_come_back_as_python_scalars_and_tuples_as_lists(tmp_path):
    value = {"a": np.float32(0.1), "b": np.int8(3), "c": np.bool_(True), "d": (1, (2.5, np.str_("x")))}
    assert same(kept(tmp_path, value), {"a": float(np.float32(0.1)), "b": 3, "c": True, "d": [1, [2.5, "x"]]})


# The life of a result


def test_a_result_is_computed_once_and_both_calls_give_the_same_bits(planet):
    f = planet.load().f
    assert f.call().state() == "missing"
    first, second = f(), f()
    assert planet.runs() == 1 and f.call().state() == "fresh"
    assert (
        isinstance(first, dict)
        and same(first, second)
        and same(dict(first), {"values": np.arange(5) * 2, "x": 1, "kind": "int"})
    )
    assert first.provenance == second.provenance
    for array in (first["values"], second["values"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True


def test_provenance_tells_where_a_value_comes_from(planet, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    module = planet.load()
    found = module.g(module.Thing("x", "a label"), item=2.5).provenance
    assert found.function == "planet.a.g" and found.layer == "cache" and found.model == "a label"
    assert found.key == module.g.call(module.Thing("x"), 2.5).key and found.arguments == {
        "source": "a label",
        "item": 2.5,
    }
    assert found.versions["numpy"] == np.__version__ and found.versions["python"] == ".".join(
        map(str, sys.version_info[:3])
    )
    assert found.threads == 3 and f", {os.cpu_count()} cores, " in found.machine and 0 <= found.seconds < 10
    assert found.machine.split(",")[0] in Path("/proc/cpuinfo").read_text() or not sys.platform.startswith("linux")
    assert (
        found.date.endswith("+00:00") and abs(time.time() - cache.datetime.fromisoformat(found.date).timestamp()) < 60
    )
    assert sorted(found.code) == ["planet.a.LOG", "planet.a.Thing", "planet.a.g", "planet.a.noted"]
    assert "planet.a.g" in cache.registry()
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert 1 <= module.f().provenance.threads <= os.cpu_count()
    with pytest.raises(AttributeError):
        found.key = "another"


def test_an_edit_of_a_helper_computes_again_and_the_way_back_costs_nothing(planet):
    assert planet.load().f()["values"][1] == 2
    planet.edit("return x + 1", "return x + 2")
    f = planet.load().f
    assert f.call().state() == "stale"
    assert f()["values"][1] == 3 and planet.runs() == 2
    planet.edit("return x + 2", "return x + 1  # as before")
    assert planet.load().f()["values"][1] == 2 and planet.runs() == 2


def test_code_that_was_edited_after_it_was_loaded_is_never_run_under_the_new_name(planet):
    f = planet.load().f
    kept = f(5)
    planet.edit("return x + 1", "return x + 2")
    with pytest.raises(RuntimeError, match=r"planet\.a\.f reaches code that was edited.*: planet\.a\.helper\. Restart"):
        f(5)
    planet.edit("return x + 2", "return x + 1")
    assert same(f(5), kept) and planet.runs() == 1
    planet.edit("return x + 1", "return x + 3")
    importlib.reload(sys.modules["planet.a"])
    assert sys.modules["planet.a"].f(5)["values"][1] == 8


def test_one_look_names_many_results_from_one_reading(planet, monkeypatch):
    """An edit meanwhile counts as one made afterwards."""
    read, readings = reach.sources, []
    monkeypatch.setattr(reach, "sources", lambda *of: readings.append(of) or read(*of))
    f = planet.load().f
    with origin.one_look():
        before = [f.call(x).key for x in range(5)]
        planet.edit("return x + 1", "return x + 2")
        assert [f.call(x).key for x in range(5)] == before and len(readings) == 1
        with origin.one_look():
            assert f.call(0).key != before[0]
        assert f.call(0).key == before[0]
    assert f.call(0).key != before[0] and len(readings) == 3
    with pytest.raises(RuntimeError, match="reaches code that was edited"):
        f(0)


def test_an_input_that_changes_under_a_running_function_is_noticed(planet, tmp_path):
    source = tmp_path / "source"
    source.write_text("before")
    planet.edit('noted("g")', 'noted("g"); source.write_text("after")')
    g = planet.load().g
    with pytest.raises(RuntimeError, match="g: source changed while it was being computed from"):
        g(source)
    assert g(source)["text"] == "after" and planet.runs("g") == 2


def test_a_function_that_changes_its_arguments_changes_none_of_ours(planet):
    planet.edit('noted("g")', 'noted("g"); item["deep"].append(1)')
    module = planet.load()
    item = {"deep": [0]}
    call = module.g.call(module.Thing("x"), item)
    call.run()
    assert item == {"deep": [0]} and call.state() == "fresh" and module.g.call(module.Thing("x"), item).key == call.key


def test_errors_of_the_function_go_through_and_leave_nothing(planet, tmp_path):
    planet.edit("return x + 1", "raise KeyError('mine')")
    with pytest.raises(KeyError, match="mine"):
        planet.load().f()
    planet.edit('return {"values"', 'return []; {"values"')
    with pytest.raises(TypeError, match=r"planet\.a\.f returned a list; a cached function returns a dict"):
        planet.load().f()
    assert not list(entries.every(tmp_path / "cache")) and not list((tmp_path / "cache" / "writing").glob("*/*"))


def test_a_hit_writes_nothing(planet, tmp_path):
    f = planet.load().f
    f()
    (tmp_path / "cache" / "locks" / "planet.a.f" / f"{f.call().key}.lock").unlink()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    f()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_it_knows_its_folders(monkeypatch, tmp_path):
    monkeypatch.delenv("AZIMUTH_CACHE")
    assert paths.root() == ROOT and paths.cache_folder() == ROOT / "data" / "cache"
    monkeypatch.setenv("AZIMUTH_CACHE", "elsewhere")
    monkeypatch.chdir(tmp_path)
    assert paths.cache_folder() == ROOT / "elsewhere", "a relative folder is one of the project, wherever a kernel runs"
    monkeypatch.setenv("AZIMUTH_MODELS", str(tmp_path / "models"))
    assert paths.models_folder() == tmp_path / "models"
    assert (
        paths.results_folder() == ROOT / "data" / "results" and paths.published_folder() == ROOT / "data" / "published"
    )


# Workspaces


def test_files_of_a_workspace_move_into_the_entry(planet, tmp_path):
    files = planet.load().files
    found = files(4)
    assert (
        found["numbers"].read_text() == "0 1 2 3" and found["numbers"].parent.parent == files.call(4).entry() / "files"
    )
    assert same(dict(found), dict(files(4))) and planet.runs("files") == 1
    assert "workspace" not in found.provenance.arguments
    assert not files.call(4).workspace().exists() and not list((tmp_path / "cache" / "workspace").glob("*/*"))


@pytest.mark.parametrize("where", ["workspace.parent / 'stray'", "workspace / 'none'", "workspace"])
def test_a_file_outside_of_the_workspace_is_refused(planet, where):
    planet.edit('"numbers": target', f'"numbers": {where}')
    planet.edit(
        '    (workspace / "deep")', "    (workspace.parent / 'stray').write_text('')\n    (workspace / \"deep\")"
    )
    with pytest.raises(ValueError, match="the file at /numbers, .*, is not a file inside the workspace"):
        planet.load().files(1)


def test_hdf5_is_kept_as_it_was_written(planet):
    planet.edit(
        "target.write_text(",
        "import h5py\n    h5py.File(target, 'w').create_dataset('steps', data=range(n)).file.close(); str(",
    )
    found = planet.load().files(6)
    with h5py.File(found["numbers"]) as file:
        assert file["steps"][:].tolist() == list(range(6))
    flip(found["numbers"], 5)
    with pytest.warns(DamageWarning, match="files/deep/numbers.txt has SHA-256"):
        planet.load().files(6)
    assert planet.runs("files") == 2


# Damage


def test_every_flipped_byte_is_noticed_and_the_result_computed_again(planet, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # thousands of them
    monkeypatch.setattr(cache.origin, "check", lambda roots, code: None)
    f = planet.load().f
    right = f()
    call = f.call()
    count = 0
    for name in sorted(path.name for path in call.entry().iterdir()):
        at = -1
        while (at := at + 1) < (call.entry() / name).stat().st_size:  # which varies: it holds how long f took
            flip(call.entry() / name, at, at % 8)
            assert call.read() is None
            with pytest.warns(DamageWarning) as caught:
                assert same(call.run(), right)
            assert name in str(caught[0].message) or "SHA256SUMS" in str(caught[0].message) or name == "SHA256SUMS"
            count += 1
    assert count > 1000 and planet.runs() == 1 + count
    assert len(list((tmp_path / "cache" / "damaged" / "planet.a.f").iterdir())) == count


@pytest.mark.parametrize("harm", ["removed", "emptied", "cut", "longer", "a folder"])
def test_a_file_that_is_gone_or_of_another_length_is_noticed(planet, harm):
    f = planet.load().f
    right, call = f(), f.call()
    for count, name in enumerate(sorted(path.name for path in call.entry().iterdir())):
        path = call.entry() / name
        whole = path.read_bytes()
        path.unlink()
        if harm == "a folder":
            path.mkdir()
        elif harm != "removed":
            path.write_bytes({"emptied": b"", "cut": whole[:-1], "longer": whole + b"\n"}[harm])
        with pytest.warns(DamageWarning, match=r"planet\.a\.f.* is damaged: .*It is put aside as .*damaged"):
            assert same(f(), right)
        assert planet.runs() == 2 + count


def test_an_entry_under_another_name_is_not_believed(planet):
    f = planet.load().f
    f(1)
    f(2)
    other = f.call(3).entry()
    f.call(2).entry().rename(other)
    with pytest.warns(DamageWarning, match="it is the entry of planet.a.f"):
        assert f(3)["x"] == 3


def test_an_empty_or_foreign_folder_is_no_result(planet):
    f = planet.load().f
    f.call().entry().mkdir(parents=True)
    assert f.call().state() == "missing"
    with pytest.warns(DamageWarning, match="SHA256SUMS"):
        assert f()["x"] == 1


def test_a_disk_that_does_not_keep_what_it_was_given_is_named(planet, monkeypatch):
    f, write = planet.load().f, store.write

    def lying(folder, *words):
        write(folder, *words)
        flip(folder / "value.json", 3)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", lying)
        with pytest.raises(OSError, match=r"planet\.a\.f was written to .*, but cannot be read back: check that disk"):
            f()
    with pytest.warns(DamageWarning, match="value.json"):
        assert f()["x"] == 1


# A full disk


@pytest.mark.parametrize(
    "refuses", ["compute.cache.store._put", "os.fsync", "os.rename", "os.link", "pathlib.Path.mkdir"]
)
def test_a_full_disk_is_a_clear_error_and_costs_nothing_that_was_kept(planet, tmp_path, monkeypatch, refuses):
    module = planet.load()
    before = module.f(), module.files(3)
    owner, _, name = refuses.rpartition(".")
    owner = Path if owner == "pathlib.Path" else sys.modules[owner]
    real, failures = getattr(owner, name), 0
    for allowed in range(40):
        calls = iter(range(allowed))

        def refusing(*args, calls=calls, **settings):
            if next(calls, None) is None:
                if refuses == "compute.cache.store._put":  # as much as fits
                    args[0].write_bytes(b"".join(args[1])[:9])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **settings)

        function = module.files if refuses == "os.link" else module.f
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, refusing)
            try:
                function(100 + allowed)
                break
            except OSError as error:
                failures += 1
                assert error.errno == errno.ENOSPC and "No space left on device" in str(error)
                assert f"{function.call(1).function} could not be written" in str(error) or "the lock of" in str(error)
                assert "bytes" in str(error) and str(tmp_path) in str(error) and "AZIMUTH_CACHE" in str(error)
        assert not list((tmp_path / "cache" / "writing").glob("*/*"))
        done = function.call(100 + allowed).entry().exists()  # only if it was the very last flush that failed
        assert not done or refuses == "os.fsync"
    assert failures or refuses == "os.link", "nothing was refused: the test is blind"
    assert same(before[0], module.f()) and same(before[1], module.files(3)) and planet.runs("files") >= 1
    assert all(row is None for row in damages())


def damages() -> list[str | None]:
    return [row["damage"] for row in audit.verify()]


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from planet.a import f
import numpy as np
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
try:
    f(7)
except OSError as error:
    print(error)
    sys.exit(3)
"""


def test_a_write_that_really_stops_halfway_leaves_a_miss(planet, tmp_path):
    planet.edit("np.arange(5)", "np.arange(5000)")
    planet.edit('    noted("f")\n', "")
    f = planet.load().f
    for limit in (1, 100, 20_000):
        process = child(LIMITED, tmp_path, limit)
        said = process.communicate()[0]
        assert process.returncode == 3 and "planet.a.f could not be written" in said and "File too large" in said
        assert f.call(7).state() == "missing" and not list((tmp_path / "cache" / "writing").glob("*/*"))
    assert f(7)["values"].shape == (5000,)


def test_everything_is_flushed_to_the_disk_before_it_becomes_visible(planet, monkeypatch):
    """Against a power cut: all files and folders of an entry first, then the rename, then the folder that holds it."""
    files = planet.load().files
    events, flush, rename = [], os.fsync, os.rename

    def identity(status: os.stat_result) -> tuple[int, int]:
        return status.st_dev, status.st_ino

    monkeypatch.setattr(os, "fsync", lambda handle: (flush(handle), events.append(identity(os.fstat(handle)))))
    monkeypatch.setattr(os, "rename", lambda *names: (events.append("rename"), rename(*names)))
    files(3)
    entry = files.call(3).entry()
    cut = events.index("rename")
    flushed, after = events[:cut], events[cut + 1 :]
    for path in [entry, *entry.rglob("*")]:
        assert identity(path.stat()) in flushed, f"{path.name} was not flushed before it became visible"
    assert flushed.index(identity((entry / "SHA256SUMS").stat())) < flushed.index(identity(entry.stat()))
    assert identity(entry.parent.stat()) in after


# Many at once


def test_eight_processes_that_ask_at_once_compute_once(planet, tmp_path):
    planet.edit('noted("f")', 'noted("f"); import time; time.sleep(1)')
    ask = "import sys; from planet.a import f; sys.stdin.read(); print(f(3)['values'].tolist())"
    processes = [child(ask, tmp_path, stdin=subprocess.PIPE) for _ in range(8)]
    for process in processes:
        process.stdin.close()
        process.stdin = None
    said = [process.communicate()[0] for process in processes]
    assert said == ["[0, 4, 8, 12, 16]\n"] * 8 and planet.runs() == 1


def test_eight_threads_that_ask_at_once_compute_once(planet):
    planet.edit('noted("f")', 'noted("f"); import time; time.sleep(0.2)')
    f, found = planet.load().f, []
    threads = [threading.Thread(target=lambda: found.append(f(3))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and all(same(found[0], one) for one in found) and planet.runs() == 1


def test_two_keys_do_not_wait_for_each_other(planet):
    f = planet.load().f
    with entries.lock("planet.a.f", f.call(1).key) as held:
        assert held and f(2)["x"] == 2


# Two layers


@pytest.fixture
def shipped(planet, tmp_path):
    """The function f, whose result lies in the committed layer only."""
    f = planet.load().f
    f()
    (tmp_path / "results" / "planet.a.f").mkdir(parents=True)
    f.call().entry().rename(f.call().entry("shipped"))
    return f


def test_the_committed_layer_is_read_under_the_cache(shipped, planet, monkeypatch):
    assert shipped.call().state() == "shipped" and shipped().provenance.layer == "shipped" and planet.runs() == 1
    monkeypatch.setenv("AZIMUTH_FRESH", "1")
    assert shipped.call().state() == "missing"
    assert shipped().provenance.layer == "cache" and planet.runs() == 2
    monkeypatch.setenv("AZIMUTH_FRESH", "0")
    assert shipped.call().state() == "fresh" and shipped().provenance.layer == "cache" and planet.runs() == 2


def test_a_damaged_committed_result_is_named_ignored_and_left_alone(shipped, planet):
    entry = shipped.call().entry("shipped")
    flip(entry / "value.json", 7)
    before = {path: path.read_bytes() for path in entry.iterdir()}
    with pytest.warns(DamageWarning, match="results/planet.a.f/.* is damaged: value.json .*It is ignored"):
        assert shipped().provenance.layer == "cache"
    assert planet.runs() == 2 and before == {path: path.read_bytes() for path in entry.iterdir()}
    assert shipped()["x"] == 1 and planet.runs() == 2


def test_an_edit_makes_a_committed_result_stale(shipped, planet):
    planet.edit("return x + 1", "return x + 2")
    f = planet.load().f
    assert f.call().state() == "stale" and f()["values"][1] == 3
