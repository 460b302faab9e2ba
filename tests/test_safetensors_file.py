"""The safetensors header: a golden file, the format's own library as authority, and headers that lie."""

import json
import re
import struct
import tracemalloc

import numpy as np
import pytest
from golden import handmade
from safetensors.numpy import save

from compute.models.safetensors_file import TensorSpec, parse_header, read_header


def test_golden_file_is_what_the_specification_says():
    path = handmade.HERE / "three-tokens.safetensors"
    raw = path.read_bytes()
    assert raw == handmade.GOLDEN_SAFETENSORS
    (length,) = struct.unpack("<Q", raw[:8])
    found = read_header(path)
    assert found == {
        "model.norm.weight": TensorSpec("F32", (1,), 8 + length, 12 + length),
        "lm_head.weight": TensorSpec("BF16", (3, 2), 12 + length, 24 + length),
    }
    head = found["lm_head.weight"]
    assert raw[head.start : head.end] == handmade.GOLDEN_BITS


def test_agrees_with_the_library_of_the_format():
    generator = np.random.default_rng(7)
    shapes = {"a": (), "b": (3,), "empty": (0, 5), "c": (2, 3), "d": (2, 1, 3)}
    tensors = {
        f"{name}.{dtype}": generator.integers(0, 100, shape).astype(dtype)
        for name, shape in shapes.items()
        for dtype in ("float16", "float32", "float64", "uint8", "int64", "bool")
    }
    raw = save(tensors, metadata={"who": "a test"})
    found = parse_header(raw, len(raw))
    assert found.keys() == tensors.keys()
    for name, spec in found.items():
        assert spec.shape == tensors[name].shape
        assert raw[spec.start : spec.end] == tensors[name].tobytes()


def test_spaces_behind_the_header_belong_to_it():
    raw = handmade.with_header(json.dumps({"a": _entry("U8", [2], 0, 2)}) + "   \n", b"xy")
    assert parse_header(raw, len(raw))["a"] == TensorSpec("U8", (2,), len(raw) - 2, len(raw))


def test_a_dtype_not_met_before_is_left_to_whoever_wants_that_tensor():
    raw = handmade.safetensors({"odd": ("F2", [9], b"abc"), "even": ("U8", [1], b"d")})
    assert parse_header(raw, len(raw))["odd"].dtype == "F2"


def test_a_file_cut_anywhere_is_refused():
    whole = handmade.GOLDEN_SAFETENSORS
    for length in range(len(whole)):
        with pytest.raises(ValueError, match=r"\w{4}"):
            parse_header(whole[:length], length)
    with pytest.raises(ValueError, match="the file is"):
        parse_header(whole + b"\0", len(whole) + 1)


def _entry(dtype: object, shape: object, *span: object) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(span)}


HEADERS_THAT_LIE = {
    "not UTF-8": (b'{"\xff\xfe": {}}', "not UTF-8"),
    "a list": ("[]", "does not begin with"),
    "no JSON": ('{"a": }', "not valid JSON"),
    "text behind": ('{} {"a": 1}', "not valid JSON"),
    "nested": ('{"a": ' + "[" * 100_000, "nested too deeply"),
    "nested objects": ('{"a":' * 100_000, "nested too deeply"),
    "a number of 9,999 digits": ('{"a": ' + "9" * 9_999 + "}", "not valid JSON"),
    "a name twice": ('{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
    "notes are no object": ({"__metadata__": [1]}, "__metadata__"),
    "notes are no strings": ({"__metadata__": {"a": 1}}, "__metadata__"),
    "an entry that is no object": ({"a": 3}, "dtype, shape and data_offsets"),
    "an entry with more": ({"a": _entry("U8", [4], 0, 4) | {"x": 1}}, "dtype, shape and data_offsets"),
    "an entry with less": ({"a": {"dtype": "U8", "shape": [4]}}, "dtype, shape and data_offsets"),
    "dtype no string": ({"a": _entry(8, [4], 0, 4)}, "dtype"),
    "shape no list": ({"a": _entry("U8", 4, 0, 4)}, "impossible shape"),
    "negative shape": ({"a": _entry("U8", [-4], 0, 4)}, "impossible shape"),
    "two negatives": ({"a": _entry("U8", [-2, -2], 0, 4)}, "impossible shape"),
    "fraction": ({"a": _entry("U8", [4.0], 0, 4)}, "impossible shape"),
    "true": ({"a": _entry("U8", [True, 4], 0, 4)}, "impossible shape"),
    "overflowing shape": ({"a": _entry("U8", [2**32, 2**32 + 1], 0, 4)}, "does not fill"),
    "shape beyond 64 bits": ({"a": _entry("U8", [2**64 + 4], 0, 4)}, "impossible shape"),
    "a thousand dimensions": ({"a": _entry("U8", [1] * 1000, 0, 4)}, "impossible shape"),
    "shape too small": ({"a": _entry("U8", [3], 0, 4)}, "does not fill"),
    "shape too large": ({"a": _entry("F32", [4], 0, 4)}, "does not fill"),
    "backward span": ({"a": _entry("U8", [0], 4, 0)}, "impossible data_offsets"),
    "negative span": ({"a": _entry("U8", [4], -4, 0)}, "impossible data_offsets"),
    "one offset": ({"a": _entry("U8", [4], 4)}, "impossible data_offsets"),
    "beyond the file": ({"a": _entry("U8", [5], 0, 5)}, "ends at byte"),
    "far beyond the file": ({"a": _entry("U8", [2**62], 0, 2**62)}, "ends at byte"),
    "overlap": ({"a": _entry("U8", [3], 0, 3), "b": _entry("U8", [2], 2, 4)}, "overlaps"),
    "the same bytes": ({"a": _entry("U8", [4], 0, 4), "b": _entry("U8", [4], 0, 4)}, "overlaps"),
    "hole": ({"a": _entry("U8", [1], 0, 1), "b": _entry("U8", [2], 2, 4)}, "hole"),
    "bytes left over": ({"a": _entry("U8", [3], 0, 3)}, "the tensors end at"),
    "nothing": ({}, "the tensors end at"),
}


@pytest.mark.parametrize("what", HEADERS_THAT_LIE)
def test_a_header_that_lies_is_refused_with_its_lie(what):
    header, complaint = HEADERS_THAT_LIE[what]
    raw = handmade.with_header(json.dumps(header) if isinstance(header, dict) else header, b"four")
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_header(raw, len(raw))


@pytest.mark.parametrize(
    ("claimed", "length", "complaint"),
    [
        (2**64 - 1, 1000, "truncated"),
        (993, 1000, "truncated"),
        (100_000_001, 1 << 40, "the format allows"),
        (99_999_999, 1 << 40, "does not begin with"),  # a hole of zeros, not worth reading
    ],
)
def test_no_length_is_believed_before_it_is_checked(tmp_path, claimed, length, complaint):
    path = tmp_path / "sparse.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", claimed))
        file.truncate(length)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=complaint) as refusal:
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert str(path) in str(refusal.value)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.safetensors").touch()
    with pytest.raises(ValueError, match="too short"):
        read_header(tmp_path / "empty.safetensors")
