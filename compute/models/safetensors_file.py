"""The header of a safetensors file, read strictly: which tensors, where, and nothing believed unchecked.

Layout: 8 bytes, the header's length n (uint64, little-endian); n bytes, a JSON object {name: {dtype,
shape, data_offsets}}, perhaps with spaces behind it; then the tensors' bytes, end to end, without a
hole, up to the end of the file. The offsets in the header count from the first byte behind it; those
handed out here count from the first byte of the file, ready for a memory map or an HTTP range.
"""

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as brief  # of any JSON value, however deep or long
from typing import NamedTuple

from compute.models import strict_json

BITS = {  # of one element; float4 and float6 are packed, so bits and not bytes
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}  # fmt: skip
MOST_DIMENSIONS = 32


class TensorSpec(NamedTuple):
    """Where a tensor lies: dtype as the format names it, shape, and the bytes [start, end) of its file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def header_length(first: bytes, file_length: int) -> int:
    """Returns the JSON header's length, from a file's first 8 bytes; ValueError where no file can be so."""
    if len(first) < 8 or file_length < 8:
        raise ValueError(f"not a safetensors file: {file_length} bytes, too short for the header's length")
    (length,) = struct.unpack_from("<Q", first)
    if length > file_length - 8:
        raise ValueError(
            f"the header claims {length:,} bytes, but only {file_length - 8:,} follow it: "
            "not a safetensors file, or a truncated one; fetch it again"
        )
    if length > strict_json.LARGEST:
        raise ValueError(f"the header claims {length:,} bytes; the format allows {strict_json.LARGEST:,}")
    return length


def parse_header(raw: bytes, file_length: int) -> dict[str, TensorSpec]:
    """Returns {name: place} of every tensor, from a file's first bytes (8 + header at least) and its length.

    Raises ValueError where the header is longer than the file or than 100 MB, is not one JSON object of
    unique names, or holds a tensor whose shape, dtype and span disagree, or that overlaps another, leaves
    a hole before it, or leaves the file.
    """
    length = header_length(raw, file_length)
    if raw[8:9] != b"{":
        raise ValueError("not a safetensors file: its header does not begin with '{'")
    if len(raw) < 8 + length:
        raise ValueError(f"the header is {length:,} bytes long, but only {len(raw) - 8:,} of it are here")
    entries = strict_json.parse(bytes(raw[8 : 8 + length]), "the safetensors header")
    notes = entries.pop("__metadata__", {})
    if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
        raise ValueError("the header's __metadata__ is not an object of strings")
    found = {name: _spec(name, entry, 8 + length) for name, entry in entries.items()}
    _check_spans(found, 8 + length, file_length)
    return found


def read_header(path: Path) -> dict[str, TensorSpec]:
    """Returns {name: place} of every tensor of the file at `path`; ValueError as `parse_header` has it."""
    file_length = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(9)  # the ninth byte tells a header from a hole before the rest is read
        try:
            length = header_length(first, file_length)
            rest = file.read(length - 1) if first[8:] == b"{" else b""
            return parse_header(first + rest, file_length)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _spec(name: str, entry: object, origin: int) -> TensorSpec:
    """Returns one tensor's place; ValueError where its entry is malformed or does not fill its span."""
    shown = f"tensor {name[:80]!r}"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{shown} is not described by exactly dtype, shape and data_offsets")
    dtype, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str):
        raise ValueError(f"{shown} has a dtype that is no string")
    if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS or not all(map(_is_count, shape)):
        raise ValueError(f"{shown} has an impossible shape {brief(shape)}")
    if not isinstance(span, list) or len(span) != 2 or not all(map(_is_count, span)) or span[0] > span[1]:
        raise ValueError(f"{shown} has impossible data_offsets {brief(span)}")
    bits = BITS.get(dtype)  # a dtype newer than this table is an error only for whoever asks for that tensor
    if bits is not None and math.prod(shape) * bits != 8 * (span[1] - span[0]):
        raise ValueError(f"{shown} of {dtype} {shape} does not fill its {span[1] - span[0]:,} bytes")
    return TensorSpec(dtype, tuple(shape), origin + span[0], origin + span[1])


def _check_spans(found: Mapping[str, TensorSpec], origin: int, file_length: int) -> None:
    """Raises ValueError unless the tensors' spans lie end to end, from the header to the end of the file."""
    reached = origin
    for name, spec in sorted(found.items(), key=lambda item: item[1][2:]):
        if spec.end > file_length:
            raise ValueError(f"tensor {name[:80]!r} ends at byte {spec.end:,} of a file of {file_length:,}")
        if spec.start != reached:
            problem = "overlaps the one before it" if spec.start < reached else "leaves a hole before it"
            raise ValueError(f"tensor {name[:80]!r} {problem}: begins at {spec.start:,}, not {reached:,}")
        reached = spec.end
    if reached != file_length:
        raise ValueError(f"the tensors end at byte {reached:,}, but the file is {file_length:,} bytes long")
