"""The hub by byte ranges: one tensor and no more, whatever the server, the line or a kill does."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loopback_hub import COMMIT, LoopbackHub, safetensors

from compute.models import checkpoint, hub, one_tensor, ranges, sources, weights
from compute.models.ranges import Patience, Server

MODEL = "star/dust"
QUICK = Patience(timeout=0.5, pause=0.01, longest_pause=0.02)
PART = 1000  # bytes; small, so that small tensors come in many parts
BITS = np.random.default_rng(7).integers(0, 1 << 14, (64, 48), np.uint16)  # finite as bfloat16
OTHER = ("BF16", (8, 6), bytes(96))
NAMES = {True: "model.embed_tokens.weight", False: "lm_head.weight"}
TOKENIZER = json.dumps({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "added_tokens": []}).encode()


def files(tied: bool = True, sharded: bool = True) -> dict[str, bytes]:
    """A checkpoint whose unembedding is BITS, with other tensors before and behind it."""
    tensors = {
        "model.layers.0.weight": OTHER,
        NAMES[tied]: ("BF16", BITS.shape, BITS.tobytes()),
        "model.norm.weight": ("BF16", (6,), bytes(12)),
    }
    if not tied:
        tensors["model.embed_tokens.weight"] = ("BF16", BITS.shape, bytes(BITS.nbytes))
    found = {"config.json": json.dumps({"tie_word_embeddings": tied}).encode(), "tokenizer.json": TOKENIZER}
    if not sharded:
        return found | {"model.safetensors": safetensors(tensors)}
    last = {"model.layers.9.weight": OTHER}
    shards = {"model-00001-of-00002.safetensors": tensors, "model-00002-of-00002.safetensors": last}
    index = {"weight_map": {name: shard for shard, held in shards.items() for name in held}}
    found["model.safetensors.index.json"] = json.dumps(index).encode()
    return found | {shard: safetensors(held) for shard, held in shards.items()}


def holder(sharded: bool = True) -> str:
    return "model-00001-of-00002.safetensors" if sharded else "model.safetensors"


@pytest.fixture(autouse=True)
def room(tmp_path, monkeypatch):
    """Folders of the test's own, no token, no proxy, small parts."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AZIMUTH_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("AZIMUTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setattr(one_tensor, "PART", PART)
    return tmp_path


@pytest.fixture
def serve(monkeypatch):
    """Starts a loopback hub with the given files and makes it the endpoint."""
    running = []

    def start(held=None, **settings) -> LoopbackHub:
        server = LoopbackHub(MODEL, files() if held is None else held, **settings).__enter__()
        running.append(server)
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        return server

    yield start
    for server in running:
        server.__exit__()


def obtain(revision="main", **settings) -> hub.Kept:
    return hub.obtain(MODEL, revision, patience=QUICK, **settings)


def check_bits(kept: hub.Kept) -> None:
    gamma = weights.open_path(kept.folder, tensor=kept.tensor).catalogue
    assert gamma.storage == "BF16"
    assert np.array_equal(gamma.stored(), BITS)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("sharded", [True, False])
def test_only_the_header_and_the_one_tensor_are_asked_for(serve, tied, sharded):
    server = serve(files(tied, sharded))
    kept = obtain()
    check_bits(kept)
    assert kept.tensor == NAMES[tied] and kept.commit == COMMIT
    shard = server.files[holder(sharded)]
    header = 8 + int.from_bytes(shard[:8], "little")
    assert server.sent(holder(sharded)) == header + BITS.nbytes
    assert server.sent("model-00002-of-00002.safetensors") == 0
    assert max(asked.sent for asked in server.log if asked.range) <= PART


def test_what_is_kept_tells_where_it_came_from(serve):
    server = serve()
    kept = obtain()
    told = json.loads((kept.folder / "source.json").read_text())
    assert kept.folder.name == f"star--dust@{COMMIT}"
    assert (told["model"], told["endpoint"], told["commit"]) == (MODEL, server.address, COMMIT)
    assert told["shard"] == holder() and told["etag"] == f"{len(server.files[holder()])}-{holder()}"
    assert told["sha256"] == kept.sha256 == hashlib.sha256(BITS.tobytes()).hexdigest()
    assert sorted(told["files"]) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert not list(kept.folder.parent.glob(".partial/*"))


def test_a_second_time_needs_no_network(serve, monkeypatch):
    server = serve()
    first = obtain()
    server.log.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(hub, "one_at_a_time", None)  # nor a lock
    assert obtain() == first and obtain(COMMIT) == first
    assert server.log == []


def test_another_name_of_the_same_commit_is_recorded_and_not_fetched_again(serve):
    server = serve()
    first = obtain()
    server.log.clear()
    assert obtain("v1.0") == first
    assert [asked.path.rsplit("/", 1)[1] for asked in server.log] == ["config.json"]
    assert obtain("v1.0") == first
    assert len(server.log) == 1


def test_locate_opens_a_hub_id(serve):
    serve(files(tied=False))
    found = sources.locate(f"{MODEL}@v2")
    assert found.label == "star/dust@v2" and found.tensor == "lm_head.weight"
    assert found.card["revision"] == COMMIT and found.card["hash"].startswith("sha256:")
    assert np.array_equal(weights.open_model(f"{MODEL}@v2").catalogue.stored(), BITS)
    assert set(sources.fetch(f"{MODEL}@v2")) == {"config.json", "model.safetensors", "source.json", "tokenizer.json"}


def test_a_stored_head_of_a_tied_model_does_not_change_what_was_chosen(serve):
    held = files(tied=False, sharded=False) | {"config.json": b'{"tie_word_embeddings": true}'}
    serve(held)
    assert obtain().tensor == "model.embed_tokens.weight"


def test_a_model_without_a_tokenizer_is_fetched_all_the_same(serve):
    held = files()
    del held["tokenizer.json"]
    serve(held)
    check_bits(obtain())


# --- lines that break


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, PART - 1), min_size=1, max_size=20))
def test_wherever_the_line_breaks_the_bytes_are_the_same(tmp_path_factory, serve, cuts):
    left = list(cuts)

    def fault(asked, reply):
        # Never the same part twice in a row more often than a client tries: every other answer is whole.
        if asked.range and left and len(server.log) % 2:
            reply.cut = left.pop()

    server = serve(fault=fault)
    os.environ["AZIMUTH_MODELS"] = str(tmp_path_factory.mktemp("models"))
    check_bits(obtain())


def test_a_break_costs_only_what_had_not_arrived(serve):
    cut = []

    def fault(asked, reply):
        if reply.status == 206 and len(reply.body) == PART and not cut:
            reply.cut = 600
            cut.append(asked)

    server = serve(fault=fault)
    check_bits(obtain())
    shard = server.files[holder()]
    header = 8 + int.from_bytes(shard[:8], "little")
    assert len(cut) == 1 and server.sent(holder()) == header + BITS.nbytes


def test_a_line_that_stays_broken_is_given_up_and_a_rerun_goes_on(serve):
    def broken(asked, reply):
        if asked.range and int(asked.range[6:].split("-")[0]) > 3000:
            reply.cut = 0

    server = serve(fault=broken)
    with pytest.raises(ConnectionError, match="gave up after 6 tries.*run again"):
        obtain()
    tries = [asked for asked in server.log if asked.range and int(asked.range[6:].split("-")[0]) > 3000]
    assert len(tries) == QUICK.attempts
    before = server.sent(holder())
    server.fault = lambda asked, reply: None
    check_bits(obtain())
    header = 8 + int.from_bytes(server.files[holder()][:8], "little")
    assert server.sent(holder()) - before < header + BITS.nbytes - 2 * PART


def test_a_killed_client_goes_on_where_it_was(serve, room):
    reached = threading.Event()
    held_back = threading.Event()

    def fault(asked, reply):
        if asked.range and int(asked.range[6:].split("-")[0]) > 4000 and not held_back.is_set():
            reached.set()
            reply.wait = lambda: held_back.wait(20)

    server = serve(fault=fault)
    client = subprocess.Popen(
        [sys.executable, "-c", f"from compute.models import hub, one_tensor; one_tensor.PART = {PART}; "
         f"hub.obtain({MODEL!r}, 'main')"], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert reached.wait(20)
    client.send_signal(signal.SIGKILL)
    client.wait()
    held_back.set()
    assert hub.kept(room / "models" / "hub", MODEL, "main") is None
    server.log.clear()
    check_bits(obtain())
    header = 8 + int.from_bytes(server.files[holder()][:8], "little")
    assert server.sent(holder()) <= header + BITS.nbytes - 3 * PART


@pytest.mark.parametrize("harm", ["flip", "short", "diary", "diary list"])
def test_a_damaged_beginning_is_not_gone_on_with(serve, room, harm):
    def broken(asked, reply):
        if asked.range and int(asked.range[6:].split("-")[0]) > 4000:
            reply.cut = 0

    server = serve(fault=broken)
    with pytest.raises(ConnectionError):
        obtain()
    draft = room / "models" / "hub" / ".partial" / f"star--dust@{COMMIT}" / "model.safetensors.part"
    diary = draft.with_name("model.safetensors.part.json")
    raw = bytearray(draft.read_bytes())
    if harm == "flip":
        raw[-1] ^= 1
        draft.write_bytes(raw)
    elif harm == "short":
        draft.write_bytes(raw[:-1])
    else:
        diary.write_text("{" if harm == "diary" else "[1]")
    server.fault = lambda asked, reply: None
    check_bits(obtain())


def test_a_beginning_of_another_file_is_not_gone_on_with(serve):
    def broken(asked, reply):
        if asked.range and int(asked.range[6:].split("-")[0]) > 4000:
            reply.cut = 0

    held = files()
    shard = bytearray(held[holder()])
    shard[-2000:] = bytes(2000)
    server = serve(held | {holder(): bytes(shard)}, fault=broken)
    with pytest.raises(ConnectionError):
        obtain()
    server.files = held

    def renamed(asked, reply):
        reply.headers["ETag"] = '"new"' if reply.status == 206 else reply.headers.get("ETag")

    server.fault = renamed
    check_bits(obtain())


def test_a_server_that_hangs_is_not_waited_for_forever(serve):
    free = threading.Event()

    def hang(asked, reply):
        if asked.range:
            reply.wait = lambda: free.wait(20)

    serve(fault=hang)
    since = time.monotonic()
    with pytest.raises(ConnectionError, match="timed out"):
        hub.obtain(MODEL, "main", patience=Patience(timeout=0.15, attempts=3, pause=0.01))
    free.set()
    assert time.monotonic() - since < 5


def test_a_server_that_drips_is_a_broken_line(serve):
    def drip(asked, reply):
        reply.pause = 0.02 if asked.range else 0.0

    serve(fault=drip)
    since = time.monotonic()
    with pytest.raises(ConnectionError, match=r"gave up after 2 tries: \d+ bytes in 0 s"):
        hub.obtain(MODEL, "main", patience=Patience(timeout=0.1, pace=1e6, attempts=2, pause=0.01))
    assert time.monotonic() - since < 5


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_out_of_breath_is_asked_again(serve, status):
    failed = set()

    def fault(asked, reply):
        if (asked.path, asked.range) not in failed:
            failed.add((asked.path, asked.range))
            reply.status, reply.body = status, b""
            reply.headers = {"Retry-After": "0", "Content-Length": "0"}

    serve(fault=fault)
    check_bits(obtain())


def test_a_server_that_stays_out_of_breath_is_given_up(serve):
    def fault(asked, reply):
        reply.status = 500

    server = serve(fault=fault)
    with pytest.raises(ConnectionError, match="gave up after 6 tries: status 500"):
        obtain()
    assert len(server.log) == 6


# --- servers that answer something else


def spoil(**headers):
    """A fault of the range answers: other headers (None removes one)."""

    def fault(asked, reply):
        if reply.status == 206:
            reply.headers.update({name.replace("_", "-"): value for name, value in headers.items()})

    return fault


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (spoil(Content_Range=None), "Content-Range is ''"),
        (spoil(Content_Range="bytes 0-3/10"), "Content-Range is 'bytes 0-3/10'"),
        (spoil(Content_Range="bytes 0-8/*"), "Content-Range"),
        (spoil(Content_Range="bytes 0-8/5"), "Content-Range"),
        (spoil(Content_Range="bytes 0-8/" + "9" * 5000), "Content-Range"),
        (spoil(Content_Length="4"), "Content-Length is 4"),
        (spoil(Content_Length="10"), "Content-Length is 10"),
        (spoil(Content_Type="text/html"), "web page"),
        (spoil(Content_Encoding="gzip"), "packed"),
    ],
)
def test_an_answer_that_is_not_the_range_is_refused_at_once(serve, fault, words):
    server = serve(fault=fault)
    with pytest.raises(ValueError, match=words):
        obtain()
    assert sum(asked.range is not None for asked in server.log) == 1


def test_more_bytes_than_asked_for_are_refused(serve):
    def fault(asked, reply):
        if reply.status == 206:
            reply.headers["Content-Length"] = None
            reply.body += b"x"

    serve(fault=fault)
    with pytest.raises(ValueError, match="more bytes came"):
        obtain()


def test_a_server_that_ignores_ranges_is_refused_without_reading_the_file(serve):
    server = serve()

    def fault(asked, reply):
        if asked.range:
            reply.status, reply.headers["Content-Range"] = 200, None
            reply.headers["Content-Length"] = str(1 << 40)
            reply.body = server.files[holder()]

    server.fault = fault
    with pytest.raises(ValueError, match="ignores byte ranges.*HF_ENDPOINT"):
        obtain()
    assert sum(asked.range is not None for asked in server.log) == 1


@pytest.mark.parametrize("name", ["model.safetensors.index.json", holder(), "tokenizer.json"])
def test_a_file_of_another_commit_than_the_config_is_noticed(serve, name):
    def fault(asked, reply):
        if asked.path.endswith("/" + name):
            reply.headers["X-Repo-Commit"] = "f" * 40

    serve(fault=fault)
    with pytest.raises(ValueError, match=f"its commit was {COMMIT} and is now ffff"):
        obtain()


@pytest.mark.parametrize("header", ["ETag", "X-Linked-Etag", "X-Repo-Commit"])
def test_a_file_that_changes_between_parts_is_noticed(serve, header):
    def fault(asked, reply):
        if reply.status == 206:
            part = int(asked.range[6:].split("-")[0])
            if header != "X-Repo-Commit" or part > 2000:
                reply.headers[header] = f'"{part > 2000}"'

    serve(fault=fault)
    with pytest.raises(ValueError, match="changed while it was being fetched"):
        obtain()


def test_a_file_that_grows_between_parts_is_noticed(serve):
    def fault(asked, reply):
        if reply.status == 206 and int(asked.range[6:].split("-")[0]) > 2000:
            reply.headers["Content-Range"] = reply.headers["Content-Range"].split("/")[0] + "/999999"

    serve(fault=fault)
    with pytest.raises(ValueError, match="length was .* and is now 999999"):
        obtain()


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, PermissionError, "HF_TOKEN"),
        (403, PermissionError, "accept its terms"),
        (404, FileNotFoundError, "no such model"),
        (418, ValueError, "418"),
        (204, ValueError, "204"),
    ],
)
def test_a_refusal_is_final_and_says_what_to_do(serve, status, error, words):
    def fault(asked, reply):
        reply.status, reply.body = status, b""
        reply.headers = {"X-Error-Message": "no\x1b[31m entry", "Content-Length": "0"}

    server = serve(fault=fault)
    with pytest.raises(error, match=words) as raised:
        obtain()
    assert len(server.log) == 1 and "\x1b" not in str(raised.value)


def test_a_checkpoint_without_safetensors_is_not_there(serve):
    serve({"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        obtain()


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("config.json", b"<html>", "not valid JSON"),
        ("config.json", b'{"tie_word_embeddings": 3}', "tie_word_embeddings"),
        ("model.safetensors.index.json", b"{}", "no weight_map"),
        ("model.safetensors.index.json", b'{"weight_map": {"lm_head.weight": "../../x.safetensors"}}', "plain name"),
        ("model.safetensors.index.json", json.dumps({"weight_map": {"encoder": holder()}}).encode(), "no output"),
        (
            "model.safetensors.index.json",
            json.dumps({"weight_map": {"model.embed_tokens.weight": "model-00002-of-00002.safetensors"}}).encode(),
            "which has",
        ),
        (holder(), b"\xff" * 64, "header"),
        (holder(), safetensors({NAMES[True]: ("BF16", (48,), bytes(96))}), "a matrix was expected"),
    ],
)
def test_a_malformed_checkpoint_is_a_clear_error(serve, name, raw, words):
    serve(files() | {name: raw})
    with pytest.raises(ValueError, match=words):
        obtain()


def test_a_config_of_any_length_is_not_read_into_memory(serve):
    def fault(asked, reply):
        reply.headers["Content-Length"] = str(1 << 50)

    serve(fault=fault)
    with pytest.raises(ValueError, match="no more than"):
        obtain()


def test_a_full_disk_is_told_before_anything_is_fetched(serve, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(9, 8, 1000))
    server = serve()
    with pytest.raises(OSError, match="make room") as raised:
        obtain()
    assert raised.value.errno == errno.ENOSPC
    assert server.sent(holder()) < BITS.nbytes


# --- tokens and redirects


def test_the_token_goes_to_the_endpoint_and_not_to_another_host(serve, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret\n")
    held = files()
    with LoopbackHub(MODEL, held) as elsewhere:

        def fault(asked, reply):
            if asked.range:
                reply.status, reply.body = 302, b""
                reply.headers = {
                    "Location": elsewhere.address + asked.path,
                    "X-Linked-Etag": '"linked"',
                    "X-Repo-Commit": COMMIT,
                    "Content-Length": "0",
                }

        server = serve(held, fault=fault)
        kept = obtain()
    check_bits(kept)
    assert {asked.token for asked in server.log} == {"Bearer hf_secret"}
    assert elsewhere.log and {asked.token for asked in elsewhere.log} == {None}
    told = (kept.folder / "source.json").read_text()
    assert json.loads(told)["etag"] == "linked" and "hf_secret" not in told


def test_a_redirect_within_the_endpoint_keeps_the_token(serve, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")

    def fault(asked, reply):
        if "/resolve/main/" in asked.path:
            reply.status, reply.body = 307, b""
            reply.headers = {"Location": asked.path.replace("main", COMMIT), "Content-Length": "0"}

    server = serve(fault=fault)
    check_bits(obtain())
    assert {asked.token for asked in server.log} == {"Bearer hf_secret"}


@pytest.mark.parametrize(
    "target", ["file:///etc/hosts", "ftp://127.0.0.1/x", None, f"/{MODEL}/resolve/main/config.json"]
)
def test_a_redirect_to_nowhere_is_not_followed(serve, target):
    def fault(asked, reply):
        reply.status, reply.body = 302, b""
        reply.headers = {"Location": target, "Content-Length": "0"}

    serve(fault=fault)
    with pytest.raises(ValueError, match="redirect"):
        obtain()


def test_a_redirect_out_of_tls_is_not_followed():
    _next = ranges._next
    assert _next("https://hub/a", "/b", "asked") == "https://hub/b"
    assert _next("http://hub/a", "https://store/b", "asked") == "https://store/b"
    for target in ("http://store/b", "file:///etc/hosts", "ftp://store/b"):
        with pytest.raises(ValueError, match="not followed"):
            _next("https://hub/a", target, "asked")


def test_a_token_with_a_line_break_inside_is_refused_without_being_shown(serve, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_a\r\nHost: evil")
    server = serve()
    with pytest.raises(ValueError, match="HF_TOKEN") as raised:
        obtain()
    assert "evil" not in str(raised.value) and server.log == []


@pytest.mark.parametrize("address", ["file:///etc", "127.0.0.1:80", "https://", "nonsense"])
def test_an_endpoint_that_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match="address"):
        Server(address)


# --- without a network, and beside others


def test_offline_with_nothing_there_names_the_two_ways(monkeypatch):
    with LoopbackHub(MODEL, {}) as gone:
        address = gone.address
    monkeypatch.setenv("HF_ENDPOINT", address)
    words = "gave up after 2 tries.*Two ways.*compute fetch star/dust.*AZIMUTH_MODEL"
    with pytest.raises(FileNotFoundError, match=words) as raised:
        obtain()
    assert raised.value.__suppress_context__


def test_offline_by_order_asks_nobody(serve, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    server = serve()
    with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE is set"):
        obtain()
    assert server.log == []


@pytest.mark.parametrize("sharded", [True, False])
def test_a_copy_in_the_library_cache_is_used_without_a_network(room, sharded):
    repository = room / "huggingface" / "hub" / "models--star--dust"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    for name, raw in files(sharded=sharded).items():
        (snapshot / name).write_bytes(raw)
    for revision in ("main", COMMIT):
        found = obtain(revision)
        assert (found.folder, found.commit, found.sha256) == (snapshot, COMMIT, None)
        check_bits(found)
    if sharded:  # the other shard is of no use and may be missing; this one not
        (snapshot / "model-00002-of-00002.safetensors").unlink()
        check_bits(obtain())
        (snapshot / holder()).unlink()
        assert hub.in_library_cache(MODEL, "main") is None
    assert hub.in_library_cache(MODEL, "v9") is None


def test_a_pinned_commit_that_is_not_there_gives_main_with_a_warning(serve):
    server = serve(revisions=("main",))
    with pytest.warns(UserWarning, match="taking main"):
        first = obtain("f" * 40, pinned=True)
    check_bits(first)
    server.log.clear()
    assert obtain("f" * 40, pinned=True) == first
    assert server.log == []
    with pytest.raises(FileNotFoundError):
        obtain("e" * 40)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "source.json"])
def test_a_damaged_copy_is_put_aside_and_fetched_again(serve, name):
    server = serve()
    first = obtain()
    raw = bytearray((first.folder / name).read_bytes())
    raw[-1] ^= 1
    (first.folder / name).write_bytes(raw)
    server.log.clear()
    with pytest.warns(RuntimeWarning, match=f"damaged.*{name}"):
        check_bits(obtain())
    assert server.sent(holder()) > BITS.nbytes
    assert first.folder.with_name(first.folder.name + ".damaged").is_dir()


def test_many_at_once_fetch_once(serve):
    server = serve()
    found = []
    threads = [threading.Thread(target=lambda: found.append(obtain())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and len(set(found)) == 1
    assert sum(asked.path.endswith("config.json") and "tokenizer" not in asked.path for asked in server.log) == 1


def test_a_server_without_commit_or_etag_serves_too(serve):
    def fault(asked, reply):
        reply.headers["X-Repo-Commit"] = reply.headers["ETag"] = None

    serve(fault=fault)
    kept = obtain()
    check_bits(kept)
    assert kept.commit == "main"


def test_the_file_written_is_one_that_the_safetensors_library_reads(serve):
    from safetensors import safe_open

    serve()
    with safe_open(obtain().folder / checkpoint.SINGLE, framework="np") as file:
        assert list(file.keys()) == [NAMES[True]]
        assert file.get_slice(NAMES[True]).get_shape() == list(BITS.shape)
