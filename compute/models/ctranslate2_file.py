"""The header of a CTranslate2 model.bin, version 6, read strictly: which tensor lies where, and what it is called.

Layout (little-endian throughout): version (uint32); the specification's name (a string: uint16 length, bytes, the last
one zero); its revision (uint32); number of tensors (uint32); the tensors, each with its bytes behind it: name, number
of dimensions (uint8), dimensions (uint32 each), type (uint8), number of bytes (uint32), bytes; number of aliases
(uint32); the aliases: name, name of the tensor that it means. There is no magic: a file is known by how it begins.
"""

import math
import struct
from pathlib import Path
from typing import BinaryIO

from compute.models.safetensors_file import TensorSpec

VERSION = 6
TYPES = (("F32", 4), ("I8", 1), ("I16", 2), ("I32", 4), ("F16", 2), ("BF16", 2))  # by the number in the file
UNEMBEDDING = "decoder/projection/weight"  # an alias of the embedding where the two are tied
LONGEST_NAME = 1_000  # bytes
MOST_TENSORS = 100_000
MOST_DIMENSIONS = 8


def begins(head: bytes) -> bool:
    """Whether a file that begins with these bytes, eight at least, is one of a version that is read here.

    No safetensors file is: the upper half of its first uint64, a length, is zero there.
    """
    version, length, first = struct.unpack_from("<IHB", head)
    return version == VERSION and 1 < length <= LONGEST_NAME and chr(first).isupper()


def read_header(path: Path) -> dict[str, TensorSpec]:
    """Returns the tensors of the file at `path` by name, aliases among them; ValueError, naming the file.

    Shapes are rows first, as in the file; the tensors' bytes are skipped, not read.
    """
    with path.open("rb") as file:
        try:
            return _tensors(file, path.stat().st_size)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _tensors(file: BinaryIO, length: int) -> dict[str, TensorSpec]:
    (version,) = _numbers(file, "<I", "the version")
    if version != VERSION:
        raise ValueError(f"CTranslate2 version {version}; version {VERSION} is read: convert the model anew")
    _name(file, "the specification")
    _, count = _numbers(file, "<II", "the revision and the number of tensors")
    if count > MOST_TENSORS:
        raise ValueError(f"it claims {count:,} tensors; up to {MOST_TENSORS:,} are believed")
    found: dict[str, TensorSpec] = {}
    for _ in range(count):
        name, spec = _tensor(file, length)
        if name in found:
            raise ValueError(f"the tensor {name[:80]!r} stands twice")
        found[name] = spec
        file.seek(spec.end)
    (count,) = _numbers(file, "<I", "the number of aliases")
    for _ in range(min(count, MOST_TENSORS)):
        alias, name = _name(file, "an alias"), _name(file, "what an alias means")
        if name not in found or alias in found:
            raise ValueError(f"the alias {alias[:80]!r} means {name[:80]!r}, which is no tensor, or it stands twice")
        found[alias] = found[name]
    if file.tell() != length:
        raise ValueError(f"its tensors and aliases end at byte {file.tell():,} of {length:,}")
    return found


def _tensor(file: BinaryIO, length: int) -> tuple[str, TensorSpec]:
    """Reads one entry of the table, up to where its bytes begin."""
    name = _name(file, "a tensor's name")
    shown = f"tensor {name[:80]!r}"
    (rank,) = _numbers(file, "<B", shown)
    if rank > MOST_DIMENSIONS:
        raise ValueError(f"{shown} has {rank} dimensions; up to {MOST_DIMENSIONS} are believed")
    *shape, kind, size = _numbers(file, f"<{rank}IBI", shown)
    dtype, width = TYPES[kind] if kind < len(TYPES) else (f"type {kind}", None)
    if width is not None and math.prod(shape) * width != size:
        raise ValueError(f"{shown} of {dtype} {shape} does not fill its {size:,} bytes")
    start = file.tell()
    if start + size > length:
        raise ValueError(f"{shown} ends at byte {start + size:,} of a file of {length:,}")
    return name, TensorSpec(dtype, tuple(shape), start, start + size)


def _numbers(file: BinaryIO, layout: str, what: str) -> tuple[int, ...]:
    raw = file.read(struct.calcsize(layout))
    if len(raw) < struct.calcsize(layout):
        raise ValueError(f"the file ends in the middle of {what}")
    return struct.unpack(layout, raw)


def _name(file: BinaryIO, what: str) -> str:
    (length,) = _numbers(file, "<H", what)
    raw = file.read(length)
    if not 1 < length <= LONGEST_NAME or len(raw) < length or raw[-1] or not raw[:-1].isascii():
        raise ValueError(f"{what} is no name: {raw[:40]!r}")
    return raw[:-1].decode("ascii")
