"""The GGUF header: a golden file, the gguf package as authority, and headers that lie."""

import struct
import time
import tracemalloc

import numpy as np
import pytest
from gguf import GGUFReader
from golden import handmade
from golden.handmade import array, entry, pair, string

from compute.models.gguf_file import parse, read_header
from compute.models.safetensors_file import TensorSpec


def test_golden_file_is_what_the_specification_says():
    path = handmade.HERE / "two-tokens.gguf"
    raw = path.read_bytes()
    assert raw == handmade.GOLDEN_GGUF
    header = read_header(path)
    assert header.version == 3
    kinds = header.metadata.pop("tokenizer.ggml.token_type")
    assert kinds.dtype == np.int32 and kinds.tolist() == [3, 1]
    assert header.metadata == {
        "general.architecture": "llama",
        "general.alignment": 32,
        "llama.rope.freq_base": 100000.0,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": [b"<|end|>", "Ġthe".encode()],
    }
    assert header.tensors == {
        "token_embd.weight": TensorSpec("Q8_0", (2, 32), len(raw) - 128, len(raw) - 60),
        "output_norm.weight": TensorSpec("F32", (2,), len(raw) - 32, len(raw) - 24),
    }


def test_agrees_with_the_gguf_package_on_the_golden_file():
    path = handmade.HERE / "two-tokens.gguf"
    theirs, ours = GGUFReader(path), read_header(path)
    assert [tensor.name for tensor in theirs.tensors] == list(ours.tensors)
    for tensor in theirs.tensors:
        spec = ours.tensors[tensor.name]
        assert (tensor.tensor_type.name, tensor.data_offset) == (spec.dtype, spec.start)
        assert tuple(reversed(tensor.shape.tolist())) == spec.shape
        assert tensor.n_bytes == spec.end - spec.start
    for key, value in ours.metadata.items():
        found = theirs.get_field(key).contents()
        if isinstance(value, np.ndarray):
            assert found == value.tolist()
        elif isinstance(value, list):
            assert found == [item.decode() for item in value]
        else:
            assert found == value


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("alignment", [1, 8, 32, 4096])
def test_versions_and_alignments(version, alignment):
    pairs = [pair("general.alignment", 4, struct.pack("<I", alignment))]
    tensors = {"a": ("F32", [3], b"a" * 12), "b": ("F32", [], b"b" * 4)}
    raw = handmade.gguf(pairs, tensors, version, alignment)
    header = parse(raw, len(raw))
    assert header.version == version
    for name, (_, shape, content) in tensors.items():
        spec = header.tensors[name]
        assert (spec.shape, raw[spec.start : spec.end]) == (tuple(shape), content)


def test_every_kind_of_value():
    layouts = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 10: "Q", 11: "q", 12: "d"}
    pairs = [pair(f"one.{kind}", kind, struct.pack("<" + layout, 7)) for kind, layout in layouts.items()]
    pairs += [
        pair(f"many.{kind}", 9, array(kind, [struct.pack("<" + layout, i) for i in range(3)]))
        for kind, layout in layouts.items()
    ]
    pairs += [pair("yes", 7, b"\1"), pair("none", 9, array(8, []))]
    pairs += [pair("raw", 9, array(8, [string(b"\xff")]))]
    raw = handmade.gguf(pairs, {})
    found = parse(raw, len(raw)).metadata
    assert all(found[f"one.{kind}"] == 7 for kind in layouts)
    assert all(found[f"many.{kind}"].tolist() == [0, 1, 2] for kind in layouts)
    assert found["yes"] is True and found["none"] == [] and found["raw"] == [b"\xff"]


def test_a_type_not_met_before_is_left_to_whoever_wants_that_tensor():
    raw = _file(tensors=[entry("odd", [4], 9_999, 0), entry("even", [8], 0, 32)], content=bytes(64))
    assert parse(raw, len(raw)).tensors["odd"].dtype == "type 9999"


def test_a_file_cut_anywhere_is_refused():
    whole = handmade.GOLDEN_GGUF
    last_used = len(whole) - 24  # what follows the last tensor is padding
    for length in range(last_used):
        with pytest.raises(ValueError, match=r"\w{4}"):
            parse(whole[:length], length)
    assert parse(whole[:last_used], last_used).tensors


def _file(pairs=(), tensors=(), n_pairs=None, n_tensors=None, version=3, magic=b"GGUF", content=b"") -> bytes:
    n_pairs = len(pairs) if n_pairs is None else n_pairs
    n_tensors = len(tensors) if n_tensors is None else n_tensors
    head = magic + struct.pack("<IQQ", version, n_tensors, n_pairs) + b"".join(pairs) + b"".join(tensors)
    return head + bytes(-len(head) % 32) + content


def _alignment(value: int) -> bytes:
    return pair("general.alignment", 4, struct.pack("<I", value))


def _long(count: int) -> bytes:
    return struct.pack("<Q", count)


FILES_THAT_LIE = {
    "wrong magic": (_file(magic=b"GGML"), "not a GGUF file"),
    "version 1": (_file(version=1), "version 1"),
    "version 4": (_file(version=4), "version 4"),
    "big-endian": (_file(version=3 << 24), "big-endian"),
    "pairs beyond number": (_file(n_pairs=2**64 - 1), "number of metadata pairs"),
    "tensors beyond number": (_file(n_tensors=2**63), "number of tensors"),
    "more pairs than there are": (_file([_alignment(32)], n_pairs=2), "do not fit|are left|runs past"),
    "key twice": (_file([_alignment(32)] * 2), "stands twice"),
    "key not UTF-8": (_file([pair(b"\xff", 7, b"\1")]), "not UTF-8"),
    "key too long": (_file([pair(b"k" * 65_536, 7, b"\1")]), "65,536 bytes long"),
    "key beyond the file": (_file([_long(2**63)], n_pairs=1, content=bytes(64)), "needs 9,223"),
    "string not UTF-8": (_file([pair("a", 8, string(b"\xff"))]), "not UTF-8"),
    "string beyond the file": (_file([pair("a", 8, _long(2**64 - 1))]), "needs 18,446"),
    "value of an unknown type": (_file([pair("a", 13, b"")]), "unknown type 13"),
    "array of an unknown type": (_file([pair("a", 9, array(77, []))]), "unknown type 77"),
    "array of arrays": (_file([pair("a", 9, array(9, [array(4, [])]))]), "array of arrays"),
    "arrays all the way down": (_file([pair("a", 9, struct.pack("<IQ", 9, 1) * 9_999)]), "array of arrays"),
    "numbers beyond the file": (_file([pair("a", 9, struct.pack("<IQ", 12, 2**61))]), "do not fit"),
    "strings beyond the file": (_file([pair("a", 9, struct.pack("<IQ", 8, 2**61))]), "do not fit"),
    "a string of many beyond": (_file([pair("a", 9, struct.pack("<IQQ", 8, 1, 2**64 - 1))]), "runs past"),
    "alignment 0": (_file([_alignment(0)]), "power of two"),
    "alignment 24": (_file([_alignment(24)]), "power of two"),
    "alignment a string": (_file([pair("general.alignment", 8, string("32"))]), "power of two"),
    "alignment below 0": (_file([pair("general.alignment", 5, struct.pack("<i", -32))]), "power of two"),
    "alignment beyond the file": (_file([_alignment(2**31)], [entry("a", [1], 0, 0)]), "ends at byte"),
    "five dimensions": (_file(tensors=[entry("a", [1] * 5, 0, 0)], content=bytes(32)), "5 dimensions"),
    "2^32 - 1 dimensions": (
        _file(tensors=[string("a") + struct.pack("<I", 2**32 - 1)], n_tensors=1, content=bytes(64)),
        "dimensions",
    ),
    "name not UTF-8": (_file(tensors=[entry(b"\xff", [1], 0, 0)], content=bytes(32)), "not UTF-8"),
    "name twice": (_file(tensors=[entry("a", [8], 0, i) for i in (0, 32)], content=bytes(64)), "same name"),
    "offset beyond the file": (_file(tensors=[entry("a", [8], 0, 64)], content=bytes(64)), "ends at byte"),
    "offset beyond 64 bits": (_file(tensors=[entry("a", [8], 0, 2**64 - 32)], content=bytes(64)), "ends at"),
    "offset out of line": (_file(tensors=[entry("a", [8], 0, 4)], content=bytes(64)), "no multiple of 32"),
    "shape beyond the file": (_file(tensors=[entry("a", [17], 0, 0)], content=bytes(64)), "ends at byte"),
    "shape that overflows": (_file(tensors=[entry("a", [2**32] * 2, 0, 0)], content=bytes(64)), "ends at"),
    "overlap": (
        _file(tensors=[entry("a", [9], 0, 0), entry("b", [8], 0, 32)], content=bytes(64)),
        "overlaps",
    ),
    "half a block": (_file(tensors=[entry("a", [2, 16], 8, 0)], content=bytes(64)), "multiple of 32"),
}


@pytest.mark.parametrize("what", FILES_THAT_LIE)
def test_a_header_that_lies_is_refused_with_its_lie(what, tmp_path):
    raw, complaint = FILES_THAT_LIE[what]
    path = tmp_path / "liar.gguf"
    path.write_bytes(raw)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=complaint) as refusal:
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert str(path) in str(refusal.value)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.gguf").touch()
    with pytest.raises(ValueError, match="empty"):
        read_header(tmp_path / "empty.gguf")


def test_a_header_that_never_ends_is_left_after_100_megabytes(tmp_path):
    path = tmp_path / "sparse.gguf"
    with path.open("wb") as file:
        file.write(_file([pair("a", 8, _long(200_000_000))]))
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="needs 200,000,000 bytes"):
        read_header(path)


def test_fifty_thousand_tokens_and_their_merges_parse_in_half_a_second(tmp_path):
    strings = [f"token {i}" for i in range(50_000)]
    metadata = handmade.vocabulary(strings, [1] * 50_000)
    metadata.append(pair("tokenizer.ggml.merges", 9, array(8, [string(text) for text in strings])))
    path = tmp_path / "wide.gguf"
    path.write_bytes(handmade.gguf(metadata, {}))
    begin = time.process_time()
    found = read_header(path).metadata
    seconds = time.process_time() - begin
    assert found["tokenizer.ggml.tokens"] == [text.encode() for text in strings]
    assert seconds < 0.5


def test_agrees_with_the_gguf_package_on_the_default_model(smollm2):
    path = smollm2.catalogue.path
    theirs, ours = GGUFReader(path), read_header(path)
    assert len(theirs.tensors) == len(ours.tensors) == 272
    for tensor in theirs.tensors:
        spec = ours.tensors[tensor.name]
        assert (tensor.tensor_type.name, tensor.data_offset, tensor.n_bytes) == (
            spec.dtype, spec.start, spec.end - spec.start,
        )  # fmt: skip
    field = theirs.get_field("tokenizer.ggml.tokens")
    tokens = [bytes(field.parts[place]) for place in field.data]
    assert ours.metadata["tokenizer.ggml.tokens"] == tokens
    kinds = theirs.get_field("tokenizer.ggml.token_type").contents()
    assert ours.metadata["tokenizer.ggml.token_type"].tolist() == kinds
