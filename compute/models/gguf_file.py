"""The header of a GGUF file, version 2 or 3, read strictly: metadata, and which tensor lies where.

Layout (little-endian throughout): "GGUF", version (uint32), number of tensors and of metadata pairs
(uint64 each); the pairs: key (a string: uint64 length, bytes), type (uint32), value; the tensors' table:
name, number of dimensions (uint32), dimensions (uint64 each, the fastest first), type (uint32), offset
(uint64); padding up to the alignment; the tensors' bytes. Offsets in the table count from there, those
handed out here from the first byte of the file. Every count and length is held against the bytes that
are left before it is used.
"""

import math
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from compute.models.safetensors_file import TensorSpec

LONGEST_HEADER = 100_000_000  # bytes; Gemma's 262,144 tokens with all their merges take about 15 MB
LONGEST_NAME = 65_535  # bytes; the format's bound on a key
MOST_DIMENSIONS = 4
STRING, ARRAY = 8, 9
SCALARS = {  # metadata value type -> numpy type
    0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?",
    10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip


class Header(NamedTuple):
    """What a GGUF file says of itself: version, metadata {key: value}, tensors {name: place}.

    A value is a bool, int, float or str; an array of numbers is a numpy array; an array of strings is a
    list of bytes, since tokens need not be UTF-8. Shapes are rows first, (N, D), the reverse of the file's.
    """

    version: int
    metadata: dict[str, object]
    tensors: dict[str, TensorSpec]


class _Cursor:
    """A place in the header's bytes that refuses to move past their end."""

    def __init__(self, raw: bytes | mmap.mmap):
        self.raw, self.at, self.end = raw, 0, len(raw)

    def take(self, length: int, what: str) -> int:
        """Returns the place where `length` bytes begin, and moves behind them."""
        start = self.at
        if length > self.end - start:
            raise ValueError(f"{what} needs {length:,} bytes at {start:,}; {self.end - start:,} are left")
        self.at = start + length
        return start

    def number(self, layout: str, what: str) -> int:
        return struct.unpack_from(layout, self.raw, self.take(struct.calcsize(layout), what))[0]

    def count(self, smallest: int, what: str) -> int:
        """Returns a uint64 count of things of `smallest` bytes or more; ValueError where they cannot fit."""
        count = self.number("<Q", what)
        if count * smallest > self.end - self.at:
            raise ValueError(f"{what}: {count:,} do not fit in the {self.end - self.at:,} bytes left")
        return count

    def string(self, what: str) -> bytes:
        length = self.number("<Q", what)
        start = self.take(length, what)
        return self.raw[start : start + length]

    def name(self, what: str) -> str:
        raw = self.string(what)
        if len(raw) > LONGEST_NAME:
            raise ValueError(f"{what} is {len(raw):,} bytes long; the format allows {LONGEST_NAME:,}")
        return _text(raw, what)


def parse(raw: bytes | mmap.mmap, file_length: int) -> Header:
    """Returns the header of a GGUF file, from its first bytes and its length; ValueError if it is amiss."""
    cursor = _Cursor(raw)
    if raw[:4] != b"GGUF":
        raise ValueError(f"not a GGUF file: it begins with {bytes(raw[:4])!r}")
    cursor.take(4, "the magic")
    version = cursor.number("<I", "the version")
    if version & 0xFFFF == 0:
        raise ValueError("a big-endian GGUF file; convert it to little-endian first")
    if version not in (2, 3):
        raise ValueError(f"GGUF version {version}; versions 2 and 3 are read: convert the file anew")
    n_tensors = cursor.count(24, "the number of tensors")
    n_pairs = cursor.count(13, "the number of metadata pairs")
    metadata: dict[str, object] = {}
    for _ in range(n_pairs):
        key = cursor.name("a metadata key")
        if key in metadata:
            raise ValueError(f"the metadata key {key[:80]!r} stands twice")
        metadata[key] = _value(cursor, cursor.number("<I", f"the type of {key[:80]!r}"), key[:80])
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise ValueError(f"general.alignment is {alignment!r:.40}; a power of two is expected")
    table = [_entry(cursor) for _ in range(n_tensors)]
    origin = -(-cursor.at // alignment) * alignment
    tensors = {name: TensorSpec(dtype, shape, start + origin, end + origin)
               for name, dtype, shape, start, end in table}  # fmt: skip
    if len(tensors) != len(table):
        raise ValueError("two tensors have the same name")
    _check_spans(tensors, alignment, file_length)
    return Header(version, metadata, tensors)


def read_header(path: Path) -> Header:
    """Returns the header of the GGUF file at `path`, through a memory map; ValueError, naming the file."""
    file_length = path.stat().st_size
    if file_length == 0:
        raise ValueError(f"{path} is empty")
    with path.open("rb") as file:
        mapped = min(file_length, LONGEST_HEADER)
        with mmap.mmap(file.fileno(), mapped, access=mmap.ACCESS_READ) as raw:
            try:
                return parse(raw, file_length)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error


def _text(raw: bytes, what: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} is not UTF-8: {raw[:40]!r}") from error


def _value(cursor: _Cursor, kind: int, key: str) -> object:
    """Returns one metadata value of the given type."""
    what = f"the value of {key!r}"
    if kind in SCALARS:
        dtype = np.dtype(SCALARS[kind])
        return np.frombuffer(cursor.raw, dtype, 1, cursor.take(dtype.itemsize, what))[0].item()
    if kind == STRING:
        return _text(cursor.string(what), what)
    if kind != ARRAY:
        raise ValueError(f"{what} is of the unknown type {kind}")
    kind = cursor.number("<I", what)
    if kind == STRING:
        return _strings(cursor, cursor.count(8, what), what)
    if kind not in SCALARS:
        raise ValueError(f"{what} is an array of {'arrays' if kind == ARRAY else f'the unknown type {kind}'}")
    dtype = np.dtype(SCALARS[kind])
    count = cursor.count(dtype.itemsize, what)
    return np.frombuffer(cursor.raw, dtype, count, cursor.take(count * dtype.itemsize, what)).copy()


def _strings(cursor: _Cursor, count: int, what: str) -> list[bytes]:
    """Returns an array of strings: the one inner loop here, so it does without the cursor's methods."""
    raw, at, end, found = cursor.raw, cursor.at, cursor.end, []
    length_at = struct.Struct("<Q").unpack_from
    for _ in range(count):
        start = at + 8
        if start > end or (at := start + length_at(raw, at)[0]) > end:
            raise ValueError(f"{what}: string {len(found):,} of {count:,} runs past byte {end:,}")
        found.append(raw[start:at])
    cursor.at = at
    return found


def _entry(cursor: _Cursor) -> tuple[str, str, tuple[int, ...], int, int]:
    """Returns one tensor of the table: name, type, shape (rows first), start and end behind the header."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    name = cursor.name("a tensor's name")
    shown = f"tensor {name[:80]!r}"
    n_dimensions = cursor.number("<I", shown)
    if n_dimensions > MOST_DIMENSIONS:
        raise ValueError(f"{shown} has {n_dimensions:,} dimensions; the format allows {MOST_DIMENSIONS}")
    shape = struct.unpack_from(f"<{n_dimensions}Q", cursor.raw, cursor.take(8 * n_dimensions, shown))[::-1]
    kind = cursor.number("<I", shown)
    start = cursor.number("<Q", shown)
    try:
        dtype = GGMLQuantizationType(kind)
    except ValueError:  # newer than this gguf package: an error only for whoever asks for that tensor
        return name, f"type {kind}", shape, start, start
    per_block, block_bytes = GGML_QUANT_SIZES[dtype]
    if shape and shape[-1] % per_block:
        raise ValueError(f"{shown} of {dtype.name} has rows of {shape[-1]}, not a multiple of {per_block}")
    return name, dtype.name, shape, start, start + math.prod(shape) // per_block * block_bytes


def _check_spans(tensors: Mapping[str, TensorSpec], alignment: int, file_length: int) -> None:
    """Raises ValueError where a tensor is out of line, leaves the file, or overlaps another."""
    reached = 0
    for name, spec in sorted(tensors.items(), key=lambda item: item[1][2:]):
        if spec.start % alignment:
            raise ValueError(f"tensor {name[:80]!r} begins at {spec.start:,}, no multiple of {alignment:,}")
        if spec.end > file_length:
            raise ValueError(f"tensor {name[:80]!r} ends at byte {spec.end:,} of a file of {file_length:,}")
        if spec.start < reached:
            raise ValueError(f"tensor {name[:80]!r} overlaps the one before it, which ends at {reached:,}")
        reached = spec.end
