"""Files of both formats, laid out byte by byte from their specifications, without the readers under test.

Run as a script it writes the two golden files beside it; the tests hold those against what it lays out.
"""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import ml_dtypes
import numpy as np

HERE = Path(__file__).parent
HEAD, INPUT = "lm_head.weight", "model.embed_tokens.weight"
GGML = {"F32": 0, "F16": 1, "Q8_0": 8, "F64": 28, "BF16": 30}


def safetensors(tensors: Mapping[str, tuple[str, Sequence[int], bytes]], notes: dict | None = None) -> bytes:
    """Returns a safetensors file of {name: (dtype, shape, bytes)}, in that order."""
    header: dict = {"__metadata__": notes} if notes else {}
    content = b""
    for name, (dtype, shape, raw) in tensors.items():
        span = [len(content), len(content) + len(raw)]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": span}
        content += raw
    return with_header(json.dumps(header), content)


def with_header(header: str | bytes, content: bytes = b"") -> bytes:
    """Returns a file that has the given header, whatever it says, and content."""
    raw = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(raw)) + raw + content


def string(text: str | bytes) -> bytes:
    """Returns a GGUF string."""
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str | bytes, kind: int, value: bytes) -> bytes:
    """Returns one GGUF metadata pair; kinds: 4 uint32, 5 int32, 6 float32, 7 bool, 8 string, 9 array."""
    return string(key) + struct.pack("<I", kind) + value


def array(kind: int, items: Sequence[bytes]) -> bytes:
    """Returns a GGUF array's value."""
    return struct.pack("<IQ", kind, len(items)) + b"".join(items)


def vocabulary(tokens: Sequence[str | bytes], kinds: Sequence[int], model: str = "gpt2") -> list[bytes]:
    """Returns the metadata pairs of a tokenizer."""
    return [
        pair("tokenizer.ggml.model", 8, string(model)),
        pair("tokenizer.ggml.tokens", 9, array(8, [string(token) for token in tokens])),
        pair("tokenizer.ggml.token_type", 9, array(5, [struct.pack("<i", kind) for kind in kinds])),
    ]


def entry(name: str | bytes, shape: Sequence[int], kind: int, offset: int) -> bytes:
    """Returns one line of the table of tensors; the shape is rows first, as everywhere but in the file."""
    dims = struct.pack(f"<{len(shape)}Q", *reversed(shape))
    return string(name) + struct.pack("<I", len(shape)) + dims + struct.pack("<IQ", kind, offset)


def gguf(
    pairs: Sequence[bytes],
    tensors: Mapping[str, tuple[str, Sequence[int], bytes]],
    version: int = 3,
    alignment: int = 32,
) -> bytes:
    """Returns a GGUF file of metadata pairs and {name: (dtype, shape, bytes)}, in that order."""
    table, content = b"", b""
    for name, (dtype, shape, raw) in tensors.items():
        table += entry(name, shape, GGML[dtype], len(content))
        content += raw + bytes(-len(raw) % alignment)
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)) + b"".join(pairs) + table
    return head + bytes(-len(head) % alignment) + content


def q8_block(scale: float, values: Sequence[int]) -> bytes:
    """Returns a Q8_0 block: a float16 scale and 32 int8."""
    return struct.pack("<e32b", scale, *values)


def bits(*shape: int, seed: int = 0) -> np.ndarray:
    """Returns random finite bfloat16 patterns."""
    values = np.random.default_rng(seed).standard_normal(shape).astype(ml_dtypes.bfloat16)
    return values.view(np.uint16)


def values(stored: np.ndarray) -> np.ndarray:
    """Returns what bfloat16 patterns stand for, as float32."""
    return stored.view(ml_dtypes.bfloat16).astype(np.float32)


def bf16(stored: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    """Returns a tensor of bfloat16 patterns as `safetensors` takes it."""
    return "BF16", stored.shape, stored.tobytes()


def lone(path: Path, name: str, dtype: str, array: np.ndarray) -> Path:
    """Writes a file of one tensor, and returns its path."""
    path.write_bytes(safetensors({name: (dtype, array.shape, array.tobytes())}))
    return path


def folder(path: Path, config: dict, shards: dict[str, dict[str, np.ndarray]]) -> Path:
    """Writes a checkpoint of bfloat16 tensors: one file, or shards with an index."""
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    for shard, tensors in shards.items():
        content = {name: bf16(stored) for name, stored in tensors.items()}
        (path / shard).write_bytes(safetensors(content))
    if set(shards) != {"model.safetensors"}:
        table = {name: shard for shard, tensors in shards.items() for name in tensors}
        (path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": table}))
    return path


def plain_hash(dtype: str, stored: np.ndarray) -> str:
    """Returns the fingerprint that a catalogue of these patterns must have."""
    return hashlib.sha256(f"{dtype} {stored.shape[0]} {stored.shape[1]}\n".encode() + stored.tobytes()).hexdigest()


# Three tokens of two components: 1 and -2, then 0.5 and -0.0, then the largest and the smallest number.
GOLDEN_ROWS = [[1.0, -2.0], [0.5, -0.0], [3.3895313892515355e38, 9.183549615799121e-41]]
GOLDEN_BITS = bytes.fromhex("803f 00c0 003f 0080 7f7f 0100")
GOLDEN_SAFETENSORS = safetensors(
    {"model.norm.weight": ("F32", [1], bytes(4)), "lm_head.weight": ("BF16", [3, 2], GOLDEN_BITS)},
    notes={"format": "pt"},
)
GOLDEN_BLOCKS = [(0.5, list(range(-16, 16))), (2.0, [127] + [0] * 30 + [-128])]
GOLDEN_GGUF = gguf(
    [
        pair("general.architecture", 8, string("llama")),
        pair("general.alignment", 4, struct.pack("<I", 32)),
        pair("llama.rope.freq_base", 6, struct.pack("<f", 100000.0)),
        pair("tokenizer.ggml.add_bos_token", 7, b"\0"),
        *vocabulary(["<|end|>", "Ġthe"], [3, 1]),
    ],
    {
        "token_embd.weight": ("Q8_0", [2, 32], b"".join(q8_block(*block) for block in GOLDEN_BLOCKS)),
        "output_norm.weight": ("F32", [2], struct.pack("<2f", 1.0, 1.0)),
    },
)

if __name__ == "__main__":
    (HERE / "three-tokens.safetensors").write_bytes(GOLDEN_SAFETENSORS)
    (HERE / "two-tokens.gguf").write_bytes(GOLDEN_GGUF)
