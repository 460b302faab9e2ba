"""The tokens of a model as bytes, from the tokenizer that lies beside its weights or in their metadata.

Two spellings occur. Byte-level BPE (GPT-2, Qwen, Llama 3, SmolLM) writes every byte as one printable
character. SentencePiece (Llama 2, Gemma) writes a space as "▁" and a lone byte as "<0xE0>". Special and added
tokens are plain text in both. No tokenizer is built: only the table of tokens is read.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from reprlib import repr as brief

import numpy as np

from compute.models import strict_json


class Kind(IntEnum):
    """What a row of the unembedding is for; the numbers are GGUF's, 0 is a row without a token."""

    NONE = 0
    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The tokens of the N rows of a catalogue, as bytes; None where a row has no token."""

    label: str
    source: str  # 'gguf metadata', 'tokenizer.json', 'vocab.json', 'none'
    tokens: tuple[bytes | None, ...]
    kinds: np.ndarray  # uint8 (N,), read-only: a Kind each

    def __len__(self) -> int:
        return len(self.tokens)

    def bytes_of(self, token_id: int) -> bytes | None:
        """Returns the bytes of a token, or None where its row has none. Raises IndexError."""
        if not 0 <= token_id < len(self.tokens):
            raise IndexError(f"token {token_id:,} of {self.label}, which has {len(self):,} rows")
        return self.tokens[token_id]

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of source, kinds, lengths and bytes, in hexadecimal."""
        lengths = np.array([len(token or b"") for token in self.tokens], "<i8")  # kinds tell None from empty
        digest = hashlib.sha256(f"{self.source} {len(self)}\n".encode())
        digest.update(self.kinds.tobytes() + lengths.tobytes())
        digest.update(b"".join(token or b"" for token in self.tokens))
        return digest.hexdigest()


def _byte_characters() -> dict[str, int]:
    """Returns {character: byte} of byte-level BPE: the printable bytes of Latin-1 stand for themselves.

    The other 68 bytes, in order, are written as the characters from U+0100 on (GPT-2's bytes_to_unicode).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(hidden)}


BYTE_CHARACTERS = _byte_characters()
LONE_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def from_byte_level(text: str) -> bytes:
    """Returns the bytes that byte-level BPE writes as `text`; with a foreign character it is plain."""
    try:
        return bytes(map(BYTE_CHARACTERS.__getitem__, text))
    except KeyError:
        return _plain(text)


def from_sentencepiece(text: str) -> bytes:
    """Returns the bytes that SentencePiece writes as `text`."""
    lone = LONE_BYTE.fullmatch(text)
    return bytes([int(lone[1], 16)]) if lone else _plain(text.replace("▁", " "))


def _plain(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # JSON can spell a lone surrogate: shown as bytes, later


def from_gguf(metadata: Mapping[str, object], n_rows: int, label: str) -> Vocabulary:
    """Returns the vocabulary in a GGUF file's metadata; ValueError where its arrays do not make sense.

    Rows that the converter filled up with unused "[PAD123]" have no token; an unknown spelling gives none.
    """
    spelling = {"gpt2": from_byte_level, "llama": from_sentencepiece, "t5": from_sentencepiece}.get(
        str(metadata.get("tokenizer.ggml.model"))
    )
    texts, types = metadata.get("tokenizer.ggml.tokens"), metadata.get("tokenizer.ggml.token_type")
    if spelling is None or texts is None:
        return _assembled(label, "none", n_rows, ())
    if not isinstance(texts, list):
        raise ValueError("tokenizer.ggml.tokens is not an array of strings")
    if types is None:
        types = np.full(len(texts), Kind.NORMAL)
    if not isinstance(types, np.ndarray) or types.dtype.kind not in "iu" or len(types) != len(texts):
        raise ValueError(f"tokenizer.ggml.token_type is not an array of {len(texts):,} integers, one a token")
    if len(types) and not 0 <= types.min() <= types.max() <= max(Kind):
        raise ValueError(f"tokenizer.ggml.token_type goes from {types.min()} to {types.max()}, not 0 to 6")

    def entries() -> Iterable[tuple[int, bytes, int]]:
        for i, (raw, kind) in enumerate(zip(texts, types.tolist(), strict=True)):
            if kind == Kind.UNUSED and raw == b"[PAD%d]" % i:
                continue
            kind = kind or Kind.NORMAL  # 0 is "undefined" in GGUF, not "none"
            if kind in (Kind.NORMAL, Kind.UNUSED, Kind.BYTE):
                raw = _spelled(raw, spelling)
            yield i, raw, kind

    return _assembled(label, "gguf metadata", n_rows, entries())


def _spelled(raw: bytes, spelling: Callable[[str], bytes]) -> bytes:
    try:
        return spelling(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return raw  # not text in any spelling: the bytes themselves


def from_folder(folder: Path, n_rows: int, label: str) -> Vocabulary:
    """Returns the vocabulary of tokenizer.json, else of vocab.json, in a folder; else one of no tokens."""
    if (folder / "tokenizer.json").is_file():
        path, read = folder / "tokenizer.json", _tokenizer_entries
    elif (folder / "vocab.json").is_file():
        path, read = folder / "vocab.json", _vocab_entries
    else:
        return _assembled(label, "none", n_rows, ())
    try:
        return _assembled(label, path.name, n_rows, read(strict_json.read(path)))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _vocab_entries(table: dict) -> Iterable[tuple[object, bytes, int]]:
    """Yields (id, bytes, kind) of a vocab.json, GPT-2's format: {text: id}, always byte-level."""
    for text, i in table.items():
        special = text.startswith("<|") and text.endswith("|>")
        yield (i, _plain(text), Kind.CONTROL) if special else (i, from_byte_level(text), Kind.NORMAL)


def _tokenizer_entries(tokenizer: dict) -> Iterable[tuple[object, bytes, int]]:
    """Yields (id, bytes, kind) of a tokenizer.json: the model's tokens, then the added, which overrule."""
    model, added = tokenizer.get("model"), tokenizer.get("added_tokens") or []
    if not isinstance(model, dict) or not isinstance(added, list):
        raise ValueError("no model, or added_tokens is no list: not a file of the tokenizers library")
    table = model.get("vocab")
    if isinstance(table, list):  # Unigram: [[text, score], ...] in the order of the ids
        pairs = [(item[0] if isinstance(item, list) and item else item, i) for i, item in enumerate(table)]
    elif isinstance(table, dict):
        pairs = list(table.items())
    else:
        raise ValueError("model.vocab is neither a table nor a list")
    stages = list(_stages(tokenizer.get("pre_tokenizer"))) + list(_stages(tokenizer.get("decoder")))
    types = [stage.get("type") for stage in stages]
    is_spaced = "Metaspace" in types or any(_is_underline(stage.get("pattern")) for stage in stages)
    spelling = from_byte_level if "ByteLevel" in types else from_sentencepiece if is_spaced else _plain
    for text, i in pairs:
        if not isinstance(text, str):
            raise ValueError(f"model.vocab holds {brief(text)} where a token's text was expected")
        is_byte = spelling is from_sentencepiece and LONE_BYTE.fullmatch(text)
        yield i, spelling(text), Kind.BYTE if is_byte else Kind.NORMAL
    for token in added:
        if not isinstance(token, dict) or not isinstance(token.get("content"), str):
            raise ValueError(f"added_tokens holds {brief(token)}, which has no content")
        kind = Kind.CONTROL if token.get("special") else Kind.USER_DEFINED
        yield token.get("id"), _plain(token["content"]), kind


def _stages(component: object) -> Iterable[dict]:
    """Yields the parts of a pre-tokenizer or decoder, which may be a sequence of them."""
    if isinstance(component, dict):
        yield component
        for key in ("pretokenizers", "decoders"):
            inner = component.get(key)
            yield from (part for part in inner if isinstance(part, dict)) if isinstance(inner, list) else ()


def _is_underline(pattern: object) -> bool:
    return isinstance(pattern, dict) and pattern.get("String") == "▁"


def _assembled(label: str, source: str, n_rows: int, entries: Iterable[tuple[object, bytes, int]]) -> Vocabulary:
    """Returns the vocabulary of `n_rows` rows; a token beyond the last row has no row, and is left out."""
    tokens: list[bytes | None] = [None] * n_rows
    kinds = np.zeros(n_rows, np.uint8)
    for i, raw, kind in entries:
        if not isinstance(i, int) or isinstance(i, bool) or i < 0:
            raise ValueError(f"the token {raw[:40]!r} has the id {brief(i)}, not a whole number from 0")
        if i < n_rows:
            tokens[i], kinds[i] = raw, kind
    kinds.flags.writeable = False
    return Vocabulary(label, source, tuple(tokens), kinds)
