"""A corpus opened: the stream of tokens that Goldilocks is trained on, and which tokens never occur in it.

Chapter: Goldilocks.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from compute.cache import Result, cached
from compute.corpus import bpe, reading

WINDOW = 129  # the tokens that one window of 128 needs: the last one's successor is predicted too


@dataclass(frozen=True)
class Source:
    """One file of a corpus: what it is for, how it is to be read, what it holds."""

    role: str  # 'training', 'held out' or 'unseen'
    form: str  # one of those of compute.corpus.reading
    name: str  # for display
    sha256: str


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text as tokens. Known by its fingerprint before any of it is fetched, read or tokenised.

    Where no source is held out, the last tenth of the training text is.
    """

    label: str
    sources: tuple[Source, ...]
    files: Callable[[], list[Path]] = field(repr=False)  # brings the sources onto this disk, in their order

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of what the sources hold, how they are read, and the settings of the tokenizer."""
        named = [[source.role, source.form, source.sha256] for source in self.sources]
        settings = [bpe.VOCABULARY, bpe.UNKNOWN, bpe.SPACE, reading.HELD_OUT]
        return hashlib.sha256(json.dumps([named, settings]).encode()).hexdigest()

    @cached_property
    def tokenised(self) -> Result:
        """Everything below, as it is kept; computed at the first use."""
        return tokenised(self)

    @property
    def stream(self) -> np.ndarray:
        """The training text: (T,) uint16 token ids, mapped from the disk, read-only."""
        return self.tokenised["stream"]

    @property
    def held_out(self) -> np.ndarray:
        """The text that is never trained on: uint16 token ids, read-only."""
        return self.tokenised["held_out"]

    @property
    def counts(self) -> np.ndarray:
        """How often each token occurs in the stream: (V,) int64."""
        return self.tokenised["counts"]

    @property
    def dead(self) -> np.ndarray:
        """The tokens that never occur in the stream: (V,) bool."""
        return self.counts == 0

    @property
    def n_tokens(self) -> int:
        """V, the size of the vocabulary."""
        return len(self.counts)

    @property
    def n_english(self) -> int:
        """How many tokens come from the tokenizer of the training text; their ids come first."""
        return self.tokenised["n_english"]

    @property
    def texts(self) -> tuple[bytes, ...]:
        """The bytes of each token; a ▁ is a space."""
        return tuple(text.replace(bpe.SPACE, " ").encode() for text in self.tokenised["surfaces"])

    @property
    def unigram_entropy(self) -> float:
        """-sum_i p_i log p_i over the tokens of the stream, in nats: the loss of who knows frequencies only."""
        return self.tokenised["unigram_entropy"]


@cached
def tokenised(corpus: Corpus) -> dict:
    """Trains both tokenizers, merges them, and encodes the texts.

    Raises ValueError where a file is not what the corpus says, or its text is none to train on: empty, no UTF-8,
    shorter than one window, or one in which every token occurs.
    """
    texts: dict[str, list[str]] = {"training": [], "held out": [], "unseen": []}
    for source, path in zip(corpus.sources, corpus.files(), strict=True):
        raw = path.read_bytes()
        if (found := hashlib.sha256(raw).hexdigest()) != source.sha256:
            raise ValueError(
                f"{source.name} has SHA-256 {found[:12]}, not {source.sha256[:12]}: it changed. Open it again"
            )
        texts[source.role] += reading.documents(raw, source.form, source.name)
    if not texts["held out"]:
        texts["training"], texts["held out"] = reading.split(texts["training"])
    english = bpe.train(texts["training"])
    merged = bpe.merge(english, bpe.train(texts["unseen"]))
    surfaces = bpe.surfaces(merged)
    stream, held_out = (bpe.encode(merged, texts[role]) for role in ("training", "held out"))
    counts = np.bincount(stream, minlength=len(surfaces))  # (V,) int64
    check(stream, held_out, counts, corpus.label)
    shares = counts[counts > 0] / len(stream)
    return {
        "stream": stream,
        "held_out": held_out,
        "counts": counts,
        "surfaces": surfaces,
        "n_english": len(bpe.surfaces(english)),
        "unigram_entropy": float(-(shares * np.log(shares)).sum()),
        "tokenizer": merged,
    }


def check(stream: np.ndarray, held_out: np.ndarray, counts: np.ndarray, label: str) -> None:
    """Raises ValueError unless a corpus can be trained on: a window of each part, and one dead token at least."""
    for part, what in ((stream, "training"), (held_out, "held-out")):
        if len(part) < WINDOW:
            raise ValueError(
                f"the {what} text of {label} has {len(part):,} tokens, and one window needs {WINDOW}: give a longer "
                f"text (of a text of one's own, one word in {reading.HELD_OUT} is held out)"
            )
    if counts.all():
        raise ValueError(
            f"every one of the {len(counts):,} tokens occurs in {label}: there is no dead token to watch. The unseen "
            "text has to be in a script that the training text does not use"
        )
