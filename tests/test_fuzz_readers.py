"""Files that nobody meant to write: whatever the readers are given, they read it or refuse it, quickly and cheaply."""

import json
import struct
import time
import tracemalloc

import numpy as np
import pytest
from golden import handmade
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compute.models import gguf_file, safetensors_file, weights

FUZZ = settings(
    max_examples=600,
    deadline=None,  # the time is measured below, for each attempt
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
MOST_SECONDS, MOST_BYTES = 2.0, 3_000_000  # the first use of a format imports its decoder


def attempt(read, *arguments):
    """Returns what `read` gives, or None where it refuses; anything but a clear refusal in bounds is a failure."""
    begin = time.process_time()  # of this process alone, however busy the machine
    tracemalloc.start()
    try:
        return read(*arguments)
    except (ValueError, OSError) as refusal:
        assert len(str(refusal)) > 10
        return None
    finally:
        _, most_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most_bytes < MOST_BYTES
        assert time.process_time() - begin < MOST_SECONDS


EXTREMES = [0, 1, 2, 31, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]
NUMBERS = st.sampled_from(EXTREMES) | st.integers(0, 2**64 - 1) | st.integers(0, 600)
EDITS = st.one_of(
    st.tuples(st.just("put"), st.binary(min_size=1, max_size=4)),
    st.tuples(st.just("insert"), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("put"), NUMBERS.map(lambda number: struct.pack("<Q", number))),
    st.tuples(st.just("put"), NUMBERS.map(lambda number: struct.pack("<I", number % 2**32))),
    st.tuples(st.just("drop"), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("cut"), st.just(b"")),
)


@st.composite
def mutations(draw, whole: bytes):
    """Draws the file with a few of its bytes overwritten, more of them, fewer of them, or cut short."""
    raw = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        what, content = draw(EDITS)
        at = draw(st.integers(0, len(raw)))
        if what == "put":
            raw[at : at + len(content)] = content
        elif what == "insert":
            raw[at:at] = content
        elif what == "drop":
            del raw[at : at + len(content)]
        else:
            del raw[at:]
    return bytes(raw)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | NUMBERS | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
SMALL = st.integers(0, 24)
ENTRIES = st.fixed_dictionaries({
    "dtype": st.sampled_from(["BF16", "F16", "F32", "U8", "F4", "F64", "?"]) | VALUES,
    "shape": st.lists(SMALL | NUMBERS | st.integers(), max_size=3) | VALUES,
    "data_offsets": st.lists(SMALL | NUMBERS, min_size=2, max_size=2) | VALUES,
})  # fmt: skip
NAMES = st.sampled_from(["lm_head.weight", "a", "__metadata__"]) | st.text(max_size=4)
HEADERS = st.dictionaries(NAMES, ENTRIES | VALUES, max_size=4).map(
    lambda header: handmade.with_header(json.dumps(header), bytes(range(24)))
)


def _check_safetensors(raw: bytes) -> None:
    found = attempt(safetensors_file.parse_header, raw, len(raw))
    if found is not None:
        spans = sorted(spec[2:] for spec in found.values())
        assert all(8 <= start <= end <= len(raw) for start, end in spans)
        assert all(one[1] == other[0] for one, other in zip(spans, spans[1:], strict=False))


@FUZZ
@given(mutations(handmade.GOLDEN_SAFETENSORS) | HEADERS | st.binary(max_size=300))
def test_safetensors_header(raw):
    _check_safetensors(raw)


def _check_gguf(raw: bytes) -> None:
    found = attempt(gguf_file.parse, raw, len(raw))
    if found is not None:
        spans = sorted(spec[2:] for spec in found.tensors.values())
        assert all(24 <= start <= end <= len(raw) for start, end in spans)
        assert all(one[1] <= other[0] for one, other in zip(spans, spans[1:], strict=False))


@FUZZ
@given(mutations(handmade.GOLDEN_GGUF) | st.binary(max_size=300).map(lambda raw: b"GGUF\3\0\0\0" + raw))
def test_gguf_header(raw):
    _check_gguf(raw)


@pytest.mark.parametrize("check, whole", [
    (_check_safetensors, handmade.GOLDEN_SAFETENSORS),
    (_check_gguf, handmade.GOLDEN_GGUF),
])  # fmt: skip
def test_every_byte_of_a_golden_file_turned(check, whole):
    for place in range(len(whole)):
        for turned in {whole[place] ^ 1, whole[place] ^ 0x80, 0, 0xFF}:
            check(whole[:place] + bytes([turned]) + whole[place + 1 :])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def _open_and_use(path) -> None:
    """Opens a file and reads all that its catalogue and its vocabulary offer."""
    model = weights.open_path(path)
    catalogue = model.catalogue
    assert catalogue.matrix().shape == (catalogue.n_tokens, catalogue.dim)
    assert catalogue.stored().shape == catalogue.stored_shape
    assert len(catalogue._hash()) == 64
    assert len(model.vocabulary) == catalogue.n_tokens and len(model.vocabulary.fingerprint) == 64
    weights.check(catalogue)


@FUZZ
@given(raw=mutations(handmade.GOLDEN_GGUF) | mutations(handmade.GOLDEN_SAFETENSORS) | HEADERS)
def test_whole_files(folder, raw):
    path = folder / "fuzzed"
    path.write_bytes(raw)
    attempt(_open_and_use, path)


TOKENIZER = {
    "model": {"type": "BPE", "byte_fallback": True, "vocab": {"Ġthe": 0, "▁a": 1, "<0x0A>": 2}},
    "added_tokens": [{"id": 2, "content": "<|end|>", "special": True}],
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}]},
    "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}}]},
}


@st.composite
def tokenizers(draw):
    """Draws a tokenizer.json of which one part, somewhere, is something else."""
    table = json.loads(json.dumps(TOKENIZER))
    place = table
    for _ in range(draw(st.integers(0, 3))):
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key]:
            break
        place = place[key]
    key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = draw(VALUES)
    return json.dumps(table).encode()


@FUZZ
@given(raw=tokenizers() | mutations(json.dumps(TOKENIZER).encode()), config=VALUES | st.just({}), index=VALUES)
def test_tokenizer_config_and_index(folder, raw, config, index):
    home = folder / "model"
    home.mkdir(exist_ok=True)
    (home / "one.safetensors").write_bytes(handmade.GOLDEN_SAFETENSORS)
    (home / "tokenizer.json").write_bytes(raw)
    (home / "config.json").write_text(json.dumps(config))
    table = index if isinstance(index, dict) and index else {"lm_head.weight": "one.safetensors"}
    (home / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
    attempt(_open_and_use, home)


def test_the_attempt_can_fail():
    def crash():
        raise KeyError("a name")

    def gulp():
        return np.ones(MOST_BYTES, np.uint8).nbytes

    def silent():
        raise ValueError

    with pytest.raises(KeyError):
        attempt(crash)
    with pytest.raises(AssertionError):
        attempt(gulp)
    with pytest.raises(AssertionError):
        attempt(silent)
